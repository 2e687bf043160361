import type { AuthorizationPolicy } from "./document.ts";
import type { Workload } from "./facts.ts";

/** Any security document that selects workloads. */
export type Selecting = Pick<AuthorizationPolicy, "id" | "namespace" | "matchLabels"> &
  Partial<Pick<AuthorizationPolicy, "terms">>;

/**
 * The policies that hold for a workload: those of its namespace and of the root namespace whose labels it has
 * all of. In the order in which they are reported: by namespace, then name, whatever order they came in; those that break
 * the glass last, so that only what nothing else allows is told as theirs.
 */
export function selectPolicies<Document extends Selecting>(
  documents: readonly Document[],
  workload: Workload,
  rootNamespace: string,
): readonly Document[] {
  return documents.filter((policy) => selects(policy, workload, rootNamespace)).toSorted(byId);
}

/** Whether the policy takes part in decisions under this action: one in a dry run does not. */
export function isEnforcedAs(action: "ALLOW" | "DENY", policy: AuthorizationPolicy): boolean {
  return policy.action === action && !policy.isDryRun;
}

function selects(policy: Selecting, workload: Workload, rootNamespace: string): boolean {
  if (policy.namespace !== workload.namespace && policy.namespace !== rootNamespace) return false;
  for (const [name, value] of policy.matchLabels) {
    if (workload.labels[name] !== value) return false;
  }
  return true;
}

/** By code unit, not by locale: the same everywhere. A slash cannot stand in either part. */
function byId(a: Selecting, b: Selecting): number {
  const isLast = (a.terms?.isBreakGlass ?? false) !== (b.terms?.isBreakGlass ?? false);
  if (isLast) return a.terms?.isBreakGlass === true ? 1 : -1;
  if (a.id === b.id) return 0;
  return a.id < b.id ? -1 : 1;
}
