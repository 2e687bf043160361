import type { HubbleEndpoint } from "../../api/hubble-messages.ts";
import { parseSpiffeId, workloadNameOf } from "../../core/spiffe-id.ts";
import type { FlowPeer } from "../../observe/flow.ts";
import { printableText } from "./printable-text.ts";

/** Cilium's identity of whoever has none, and its label. */
const WORLD = 2;
const WORLD_LABEL = "reserved:world";

/** Below stand Cilium's reserved identities, and those that a cluster of its own counts up. */
const IDENTITY_MIN = 65_536;
const IDENTITY_COUNT = 2 ** 32 - IDENTITY_MIN;

/** One side of a flow, as Hubble has it. */
export function endpointOf(peer: FlowPeer, cluster: string): HubbleEndpoint {
  const { principal, namespace, workload } = peer;
  if (principal === null && workload === null && namespace === null) return { identity: WORLD, labels: [WORLD_LABEL] };
  return {
    identity: identityOf(principal ?? `${namespace}/${workload}`),
    clusterName: cluster,
    namespace: printableText(namespace ?? ""),
    labels: labelsOf(peer, cluster),
    podName: printableText(workload ?? ""),
    // Of what kind it is (a Deployment, a Job) no record tells.
    workloads: workload === null ? [] : [{ name: printableText(workload) }],
  };
}

/** A number for an identity: the same for the same text in every process, and hardly ever for two (FNV-1a). */
export function identityOf(text: string): number {
  let hash = 0x811c9dc5;
  const octets = Buffer.from(text, "utf8");
  for (let i = 0; i < octets.length; i++) hash = Math.imul(hash ^ octets[i]!, 0x01000193);
  return IDENTITY_MIN + ((hash >>> 0) % IDENTITY_COUNT);
}

/** With the labels by which Cilium names namespace, service account and cluster. */
function labelsOf({ labels, namespace, principal }: FlowPeer, cluster: string): readonly string[] {
  const told = Object.entries(labels ?? {}).map(([key, value]) => [key, value] as const);
  const account = accountOf(principal);
  const facts = [
    ["io.cilium.k8s.policy.cluster", cluster] as const,
    ...(account === null ? [] : [["io.cilium.k8s.policy.serviceaccount", account] as const]),
    ...(namespace === null ? [] : [["io.kubernetes.pod.namespace", namespace] as const]),
  ];
  return [...told, ...facts].map(([key, value]) => printableText(`k8s:${key}=${value}`)).toSorted();
}

function accountOf(principal: string | null): string | null {
  if (principal === null) return null;
  try {
    return workloadNameOf(parseSpiffeId(principal))?.serviceAccount ?? null;
  } catch {
    return null;
  }
}
