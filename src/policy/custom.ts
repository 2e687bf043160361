import type { AuthorizationPolicy } from "./document.ts";
import type { ExtensionProvider } from "./extension-provider.ts";
import type { Workload } from "./facts.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { asDenial, isCustom, providerOf, selectPolicies } from "./select.ts";

/** What a workload's CUSTOM policies come to: one server to ask, and when. */
export interface CustomRules {
  readonly provider: ExtensionProvider;
  /** The CUSTOM policies as DENY ones: where one of them would deny, the server is asked. */
  readonly documents: readonly AuthorizationPolicy[];
}

/** Null: nobody is asked about requests to the workload. */
export function customRulesFor(
  documents: readonly AuthorizationPolicy[],
  workload: Workload,
  settings: MeshSettings,
): CustomRules | null {
  const custom = selectPolicies(documents.filter(isCustom), workload, settings.rootNamespace);
  const provider = providerOf(custom, settings);
  return provider === null ? null : { provider, documents: custom.map(asDenial) };
}

/** One sentence: why nobody can be asked by a CUSTOM policy that denies. */
export function whyNobodyIsAsked(policy: AuthorizationPolicy, settings: MeshSettings): string {
  const isKnown = settings.extensionProviders.some(({ name }) => name === policy.provider);
  if (!isKnown) return `the mesh has no extension provider ${policy.provider}`;
  return "the workload's CUSTOM policies name more than one provider";
}
