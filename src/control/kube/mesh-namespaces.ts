import type { KubeObject } from "../../core/kube.ts";

/** Kubernetes' own; the mesh stays out of them. */
export function isSystemNamespace(name: string): boolean {
  return name === "kube-system" || name === "kube-public" || name === "kube-node-lease";
}

/** Whether a namespace is labelled as one of the mesh: by our label or revision, by Istio's or by Linkerd's. */
export function isMeshNamespace({ metadata }: KubeObject): boolean {
  const labels = metadata.labels ?? {};
  const own = labels["cardea.dev/inject"];
  if (own !== undefined) return own === "enabled";
  if (labels["cardea.dev/rev"] !== undefined) return true;
  return labels["istio-injection"] === "enabled" || labels["linkerd.io/inject"] === "enabled";
}

/** Whether a pod says of itself that it wants no sidecar. */
export function isOptedOut(labels: Readonly<Record<string, string>>): boolean {
  return labels["cardea.dev/inject"] === "disabled" || labels["sidecar.istio.io/inject"] === "false";
}
