import type { Workload } from "../facts.ts";
import type { AuthenticationDocument, DocumentOf } from "./document.ts";
import { type MutualTls, type MutualTlsMode, type PortMutualTls, STRICT_BY_DEFAULT } from "./mutual-tls.ts";
import type { PeerAuthentication } from "./peer-authentication.ts";

type Document = DocumentOf<PeerAuthentication>;

export function peerAuthenticationsOf(documents: readonly AuthenticationDocument[]): readonly Document[] {
  return documents.filter((each) => each.kind === "PeerAuthentication");
}

/**
 * What a workload's ports take: the mesh's PeerAuthentication (root namespace, no labels), over it the namespace's, over
 * it the workload's own; UNSET leaves what is above. As Istio's ComposePeerAuthentication, but that files have no age: of
 * several of one rank, the first by name holds.
 */
export function resolveMutualTls(documents: readonly Document[], workload: Workload, rootNamespace: string): MutualTls {
  const { ofMesh, ofNamespace, ofWorkload } = chosenFor(documents, workload, rootNamespace);
  let above: PortMutualTls = STRICT_BY_DEFAULT;
  for (const each of [ofMesh, ofNamespace, ofWorkload]) above = under(above, each, each?.mode ?? null);
  const ports = [...(ofWorkload?.ports ?? [])].map(([port, mode]) => [port, under(above, ofWorkload, mode)] as const);
  const { mode, by } = above;
  return { mode, by, ports: new Map(ports) };
}

interface Chosen {
  readonly ofMesh: Document | null;
  readonly ofNamespace: Document | null;
  readonly ofWorkload: Document | null;
}

/** Those that speak of the workload. One with labels in the root namespace selects nobody: so Istio has it. */
function chosenFor(documents: readonly Document[], workload: Workload, rootNamespace: string): Chosen {
  const { namespace, labels } = workload;
  const isRoot = namespace === rootNamespace;
  const selecting = ({ matchLabels }: Document) =>
    matchLabels.size > 0 && [...matchLabels].every(([name, label]) => labels[name] === label);
  const own = documents.filter((each) => each.namespace === namespace);
  return {
    ofMesh: firstByName(documents.filter((each) => each.namespace === rootNamespace && each.matchLabels.size === 0)),
    ofNamespace: firstByName(own.filter(({ matchLabels }) => matchLabels.size === 0)),
    ofWorkload: isRoot ? null : firstByName(own.filter(selecting)),
  };
}

/** By code unit, not by locale: the same everywhere. */
function firstByName(documents: readonly Document[]): Document | null {
  return documents.reduce<Document | null>(
    (first, each) => (first === null || each.name < first.name ? each : first),
    null,
  );
}

function under(above: PortMutualTls, document: Document | null, mode: MutualTlsMode | null): PortMutualTls {
  return mode === null ? above : { mode, by: document?.id ?? null };
}
