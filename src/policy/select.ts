import type { AuthorizationPolicy } from "./document.ts";
import type { ExtensionProvider } from "./extension-provider.ts";
import type { Workload } from "./facts.ts";
import type { MeshSettings } from "./mesh-settings.ts";

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

/**
 * The policies that hold for a workload, with what is to become of CUSTOM ones. Where their server is not known, or they
 * name more than one, nobody can be asked: then they deny what they match, as Istio has it (getBadCustomDenyRules).
 */
export function policiesFor(
  documents: readonly AuthorizationPolicy[],
  workload: Workload,
  settings: MeshSettings,
): readonly AuthorizationPolicy[] {
  const selected = selectPolicies(documents, workload, settings.rootNamespace);
  if (providerOf(selected, settings) !== null) return selected;
  return selected.map((policy) => (isCustom(policy) ? asDenial(policy) : policy));
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

/** Whether a server outside is to be asked about what it matches. */
export function isCustom({ action }: AuthorizationPolicy): boolean {
  return action === "CUSTOM";
}

/** A CUSTOM policy as a DENY one: what it matches is the same. */
export function asDenial(policy: AuthorizationPolicy): AuthorizationPolicy {
  return { ...policy, action: "DENY" };
}

/** Whom the CUSTOM policies among those of one workload ask. Null: there is none that is known, or more than one. */
export function providerOf(selected: readonly AuthorizationPolicy[], settings: MeshSettings): ExtensionProvider | null {
  const names = new Set(selected.filter(isCustom).map((policy) => policy.provider));
  if (names.size !== 1) return null;
  return settings.extensionProviders.find(({ name }) => names.has(name)) ?? null;
}
