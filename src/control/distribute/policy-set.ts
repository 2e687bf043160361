import type { MeshApi } from "../../api/load.ts";
import { POLICY_SET_NAME, POLICY_SET_TYPE } from "../../api/resource-types.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import { createResource, type Resource } from "./resource.ts";

export type LabelSet = Readonly<Record<string, string>>;

interface PolicySetParts {
  readonly revision: string;
  readonly settings: MeshSettings;
  /** The policies that the receiver needs. */
  readonly policies: readonly Resource[];
  /** The label sets by which they were chosen; empty: not by labels. */
  readonly scope: readonly LabelSet[];
}

/** The resource that makes a revision of its policies: the same parts give the same bytes, whatever the order of the policies. */
export function createPolicySet(parts: PolicySetParts, api: MeshApi): Resource {
  const { revision, settings, policies } = parts;
  const hashes = Object.fromEntries(policies.map(({ name, version }) => [name, version] as const).toSorted(byKey));
  const scope = parts.scope.map((labels) => ({ labels }));
  return createResource(POLICY_SET_NAME, api.policySet, POLICY_SET_TYPE, {
    revision,
    settings: {
      ...settings,
      trustDomainAliases: [...settings.trustDomainAliases],
      extensionProviders: settings.extensionProviders.map((provider) => JSON.stringify(provider)),
    },
    hashes,
    scope,
  });
}

function byKey([left]: readonly [string, string], [right]: readonly [string, string]): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
