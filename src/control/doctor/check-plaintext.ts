import { parsePolicyObject } from "../../config/policy-files.ts";
import { type KubeObject, keyOf } from "../../core/kube.ts";
import type { AuthenticationDocument } from "../../policy/authentication/document.ts";
import { mutualTlsFor } from "../../policy/authentication/see-peer.ts";
import { isMeshNamespace, wantsSidecar } from "../kube/mesh-namespaces.ts";
import type { ClusterFacts } from "./cluster-facts.ts";
import { type Finding, reporter } from "./finding.ts";

/** Pods that are named of each kind of finding. */
const NAMED_MAX = 20;

/** Pods without a sidecar, of which mutual TLS is said, or which have to call where it is taken alone. */
export function checkPlaintext(
  bare: readonly KubeObject[],
  namespaces: ReadonlyMap<string, KubeObject>,
  facts: ClusterFacts,
): readonly Finding[] {
  const { ok, unknown } = reporter("plaintext");
  if (facts.peerAuthentications === null) return [unknown("PeerAuthentications cannot be listed")];
  const documents = facts.peerAuthentications.flatMap(documentsOf);
  const others = bare.filter(({ metadata }) => metadata.namespace !== facts.namespace);
  const found = [...claimed(others, documents, facts.namespace), ...shutOut(others, namespaces, { documents, facts })];
  return found.length === 0 ? [ok("no pod without a sidecar counts on mutual TLS")] : found;
}

/** A faulty one holds for nobody, and `policy check` is where that is told. */
function documentsOf(object: KubeObject): readonly AuthenticationDocument[] {
  const { kind = "PeerAuthentication", apiVersion = "security.istio.io/v1", metadata, spec = {} } = object;
  const { name, namespace } = metadata;
  return parsePolicyObject({ apiVersion, kind, metadata: { name, namespace }, spec }, "PeerAuthentication")
    .authentication;
}

/** STRICT is said of them, and they have nobody who would do it. */
function claimed(
  bare: readonly KubeObject[],
  documents: readonly AuthenticationDocument[],
  rootNamespace: string,
): readonly Finding[] {
  const { warning } = reporter("plaintext");
  const found = bare.flatMap((pod) => {
    const { namespace = "", labels = {} } = pod.metadata;
    const { mode, by } = mutualTlsFor(documents, { namespace, labels }, rootNamespace);
    // What is said of the whole mesh is meant for those that are in it.
    if (mode !== "STRICT" || by === null || by.startsWith(`${rootNamespace}/`)) return [];
    return [
      warning(`has no sidecar: the PeerAuthentication ${by} says STRICT of it, and it takes plaintext from anybody`, {
        about: `pod ${keyOf(pod)}`,
        mend: "bring it into the mesh, or do not count on it",
      }),
    ];
  });
  return found.slice(0, NAMED_MAX);
}

interface Ground {
  readonly documents: readonly AuthenticationDocument[];
  readonly facts: ClusterFacts;
}

/** Pods of the mesh's namespaces that were left out on purpose: their neighbours refuse them. */
function shutOut(
  bare: readonly KubeObject[],
  namespaces: ReadonlyMap<string, KubeObject>,
  { documents, facts }: Ground,
): readonly Finding[] {
  const { warning } = reporter("plaintext");
  const byNamespace = Map.groupBy(bare, ({ metadata }) => metadata.namespace ?? "");
  return [...byNamespace].flatMap(([namespace, all]) => {
    const of = namespaces.get(namespace);
    if (of === undefined || !isMeshNamespace(of)) return [];
    // Those that should have one are told of elsewhere.
    const pods = all.filter(
      ({ metadata: { labels = {}, annotations = {} } }) => !wantsSidecar({ labels, annotations }, of),
    );
    if (pods.length === 0) return [];
    const { mode } = mutualTlsFor(documents, { namespace, labels: {} }, facts.namespace);
    if (mode !== "STRICT") return [];
    const named = pods.slice(0, 3).map(({ metadata }) => metadata.name);
    const more = pods.length > named.length ? ` and ${pods.length - named.length} more` : "";
    return [
      warning(
        `takes mutual TLS alone, so that its pods without a sidecar are refused by the others: ${named.join(", ")}${more}`,
        {
          about: `namespace ${namespace}`,
          mend: "if they have to call: a PeerAuthentication PERMISSIVE for the ports that they need, until they have sidecars",
        },
      ),
    ];
  });
}
