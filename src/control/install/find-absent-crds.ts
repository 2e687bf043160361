import { toCardeaError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/json-value.ts";
import type { KubeApi } from "../../core/kube.ts";
import { KUBE } from "../../core/kube-resources.ts";
import { PART_OF } from "./names.ts";

/** Whether the server keeps rules by itself (ValidatingAdmissionPolicy, Kubernetes 1.30). Errors: those of KubeApi. */
export async function servesAdmissionPolicies(kube: Pick<KubeApi, "list">): Promise<boolean> {
  try {
    await kube.list(KUBE.admissionPolicies, {});
    return true;
  } catch (thrown) {
    if (toCardeaError(thrown).code === "kube-absent") return false;
    throw thrown;
  }
}

/**
 * Those that the cluster lacks, or has from us. What somebody else has brought, Istio above all, is theirs. Errors: those
 * of KubeApi.
 */
export async function findAbsentCrds(
  kube: Pick<KubeApi, "get">,
  wanted: readonly JsonObject[],
): Promise<readonly JsonObject[]> {
  const found = await Promise.all(
    wanted.map((crd) => kube.get(KUBE.customResourceDefinitions, { name: (crd["metadata"] as { name: string }).name })),
  );
  return wanted.filter((_, index) => {
    const there = found[index] ?? null;
    return there === null || Object.entries(PART_OF).every(([key, text]) => there.metadata.labels?.[key] === text);
  });
}
