import type { KubeApi } from "../../core/kube.ts";
import { checkAfter, revisionsOf } from "./check-after.ts";
import { checkBefore, checkPermissions } from "./check-before.ts";
import { checkPods } from "./check-pods.ts";
import { readClusterFacts } from "./cluster-facts.ts";
import type { Finding } from "./finding.ts";

export interface Examination {
  /** Of installations in the namespace; null is the one without a name. None: it is not installed. */
  readonly installed: readonly (string | null)[];
  readonly findings: readonly Finding[];
}

/** Looks at a cluster, before an installation or after it. Errors: `unreachable` when it does not answer. */
export async function examine(
  kube: KubeApi,
  { namespace, nowMs }: { readonly namespace: string; readonly nowMs: number },
): Promise<Examination> {
  const facts = await readClusterFacts(kube, namespace);
  const installed = revisionsOf(facts);
  const before = checkBefore(facts);
  if (installed.length === 0) return { installed, findings: [...before, ...(await checkPermissions(kube, namespace))] };
  return { installed, findings: [...before, ...checkAfter(facts, nowMs), ...checkPods(facts)] };
}
