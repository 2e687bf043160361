import type { KubeObject } from "../../core/kube.ts";
import { Refused } from "../inject/injection.ts";
import { INJECT_LABEL, REVISION_LABEL } from "../inject/names.ts";
import { decideOptIn, type Words } from "../inject/opt-in.ts";

/** Kubernetes' own; the mesh stays out of them. */
const SYSTEM_NAMESPACES: readonly string[] = ["kube-system", "kube-public", "kube-node-lease"];

export function isSystemNamespace(name: string): boolean {
  return SYSTEM_NAMESPACES.includes(name);
}

const SILENT: Words = { labels: {}, annotations: {} };

/** Whether pods that say nothing of themselves are to be in the mesh. */
export function isMeshNamespace(namespace: KubeObject): boolean {
  return wantsSidecar(SILENT, namespace);
}

/**
 * Whether a pod is to have a sidecar, by the words that injection goes by. Words that cannot be read ask for one. Where
 * neither pod nor namespace has a label of ours, the API server does not ask us: there, Istio's and Linkerd's words are
 * meant for them.
 */
export function wantsSidecar(pod: Words, { metadata }: KubeObject): boolean {
  const { name, labels = {}, annotations = {} } = metadata;
  if (![pod.labels, labels].some(hasOurLabel)) return false;
  const options = { excludedNamespaces: SYSTEM_NAMESPACES, whenUnsaid: false };
  try {
    return decideOptIn(pod, { name, labels, annotations }, options).wanted;
  } catch (thrown) {
    if (thrown instanceof Refused) return true;
    throw thrown;
  }
}

function hasOurLabel(labels: Words["labels"]): boolean {
  return Object.hasOwn(labels, INJECT_LABEL) || Object.hasOwn(labels, REVISION_LABEL);
}
