import { injectPod } from "../inject/inject-pod.ts";
import type { Injection, NamespaceFacts } from "../inject/injection.ts";
import type { PodWorld } from "./pod-world.ts";
import type { AdmissionRequest } from "./review.ts";
import { isPod, unknownNamespace, wrongKind } from "./review-pod.ts";
import { admitted, type Verdict } from "./verdict.ts";

/**
 * Puts the sidecar into a pod that is to be created. The same pod gives the same answer, in a dry run as well: nothing is
 * kept here. A namespace that we do not know is no reason to let the pod through without a sidecar.
 */
export async function reviewInjection(request: AdmissionRequest, world: PodWorld): Promise<Verdict> {
  if (!isPod(request) || request.operation !== "CREATE") return wrongKind(request, "pods that are created");
  const namespace = await world.namespaceOf(request.namespace);
  if (namespace === null) return unknownNamespace(request.namespace);
  const injection = await decide(request, namespace, world);
  switch (injection.kind) {
    case "inject":
      return { allowed: true, patch: injection.patch, warnings: injection.warnings, audit: { injection: "injected" } };
    case "leave":
      return { ...admitted(), audit: { injection: `left as it is: ${injection.why}` } };
    case "unknown":
      return unknownNamespace(request.namespace);
    case "refuse":
      return { allowed: false, code: 422, message: `${injection.why}; ${injection.mend}`, warnings: [] };
  }
}

/**
 * The API server has asked since a label says so, and its view of the namespace is newer than ours. So before a pod goes
 * without a sidecar, the namespace is asked for; if that fails, the pod is refused.
 */
async function decide(
  request: AdmissionRequest,
  namespace: NamespaceFacts,
  world: PodWorld,
): Promise<Injection | { readonly kind: "unknown" }> {
  const injection = injectPod(request.object, namespace, world.settings());
  if (injection.kind !== "leave") return injection;
  const now = await world.namespaceOf(request.namespace, { isFresh: true });
  return now === null ? { kind: "unknown" } : injectPod(request.object, now, world.settings());
}
