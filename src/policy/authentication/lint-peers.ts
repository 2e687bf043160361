import type { Fault } from "../../core/located.ts";
import type { Workload } from "../facts.ts";
import { selectPolicies } from "../select.ts";
import type { AuthenticationDocument, DocumentOf } from "./document.ts";
import type { PeerAuthentication } from "./peer-authentication.ts";
import { isSameSelector, lintRank, warning } from "./lint-rank.ts";
import { peerAuthenticationsOf } from "./resolve-peer.ts";

type Document = DocumentOf<PeerAuthentication>;

/** A workload of which it is known where it listens; null: not which ports it has. */
export interface WorkloadPorts extends Workload {
  readonly name: string;
  readonly ports: readonly { readonly port: number }[] | null;
}

interface Known {
  readonly rootNamespace: string;
  /** Null: nothing is known of them, and nothing is said. */
  readonly workloads: readonly WorkloadPorts[] | null;
}

/** PeerAuthentications that are valid, and hold for nobody or for less than it seems: one warning each. */
export function lintPeers(all: readonly AuthenticationDocument[], known: Known): readonly Fault[] {
  const documents = peerAuthenticationsOf(all).toSorted((left, right) => (left.id < right.id ? -1 : 1));
  return documents.flatMap((document) => {
    const inRoot = document.namespace === known.rootNamespace;
    if (inRoot && document.matchLabels.size > 0) return [warning(document, "spec.selector", NOBODY)];
    return [...lintRank(document, documents), ...lintWorkloads(document, documents, known)];
  });
}

const NOBODY =
  "holds for nobody: in the root namespace a PeerAuthentication is the mesh's, and one with labels is passed over";

function lintWorkloads(document: Document, documents: readonly Document[], known: Known): readonly Fault[] {
  if (known.workloads === null || document.matchLabels.size === 0) return [];
  const selected = known.workloads.filter((each) => selectPolicies([document], each, known.rootNamespace).length > 0);
  if (selected.length === 0) return [warning(document, "spec.selector", "selects no known workload")];
  return [...lintOverlap(document, documents, selected), ...lintPorts(document, selected)];
}

/** Other labels, and a workload that has both. */
function lintOverlap(document: Document, documents: readonly Document[], selected: readonly WorkloadPorts[]) {
  const before = documents.filter(
    (each) =>
      each.id < document.id &&
      each.namespace === document.namespace &&
      each.matchLabels.size > 0 &&
      !isSameSelector(each, document),
  );
  return selected.flatMap((workload) => {
    const [first] = selectPolicies(before, workload, "");
    if (first === undefined) return [];
    return [warning(document, "", `is passed over for ${workload.name}: ${first.id} holds, the first by name`)];
  });
}

function lintPorts(document: Document, selected: readonly WorkloadPorts[]): readonly Fault[] {
  const open = new Set(selected.flatMap(({ ports }) => ports?.map(({ port }) => port) ?? []));
  if (selected.some(({ ports }) => ports === null)) return [];
  const missing = [...document.ports.keys()].filter((port) => !open.has(port));
  return missing.map((port) =>
    warning(
      document,
      `spec.portLevelMtls["${port}"]`,
      `none of the workloads that it selects has the port; container ports count, not those of services: ${[...open].join(", ")}`,
    ),
  );
}
