import { injectPod } from "../inject/inject-pod.ts";
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
  const injection = injectPod(request.object, namespace, world.settings());
  switch (injection.kind) {
    case "inject":
      return { allowed: true, patch: injection.patch, warnings: injection.warnings, audit: { injection: "injected" } };
    case "leave":
      return { ...admitted(), audit: { injection: `left as it is: ${injection.why}` } };
    case "refuse":
      return { allowed: false, code: 422, message: `${injection.why}; ${injection.mend}`, warnings: [] };
  }
}
