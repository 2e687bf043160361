import type { MeshApi } from "../../api/load.ts";
import { ADDRESS_TYPE, POLICY_SET_TYPE, POLICY_TYPE } from "../../api/resource-types.ts";
import type { Latest } from "../../core/latest.ts";
import { type SpiffeId, workloadNameOf } from "../../core/spiffe-id.ts";
import type { AuthorizationPolicy } from "../../policy/document.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import { selectPolicies } from "../../policy/select.ts";
import { concerns } from "../../traffic/concerns.ts";
import type { TrafficDocument } from "../../traffic/document.ts";
import type { PolicyContent } from "./policy-content.ts";
import { createPolicySet, type LabelSet } from "./policy-set.ts";
import type { RegistryContent } from "./registry-content.ts";
import type { Resource, ResourceView, TypeView } from "./resource.ts";

interface ScopeOptions {
  readonly registry: Latest<RegistryContent>;
  readonly policies: Latest<PolicyContent | null>;
  readonly settings: MeshSettings;
  readonly api: MeshApi;
}

/**
 * Decides who gets what. The caller is who its certificate says: nothing in a request widens its view. A sidecar gets
 * all services, of the policies those that can select a workload of its identity, and of the traffic rules those that a
 * client of its namespace heeds.
 */
export function createScope(options: ScopeOptions): (caller: SpiffeId) => ResourceView {
  let views = new Map<SpiffeId, ResourceView>();
  let registry = options.registry.get();
  let policies = options.policies.get();

  return (caller) => {
    if (options.registry.get() !== registry || options.policies.get() !== policies) {
      views = new Map();
      registry = options.registry.get();
      policies = options.policies.get();
    }
    const known = views.get(caller);
    if (known !== undefined) return known;
    const view = new Map<string, TypeView>([[ADDRESS_TYPE, registry]]);
    if (policies !== null)
      for (const [type, part] of policyViews(caller, registry, policies, options)) view.set(type, part);
    views.set(caller, view);
    return view;
  };
}

function policyViews(
  caller: SpiffeId,
  registry: RegistryContent,
  policies: PolicyContent,
  { settings, api }: ScopeOptions,
): ResourceView {
  const { revision } = policies;
  const scope = labelSetsOf(caller, registry);
  const selected = selectFor(caller, scope, policies.documents, settings.rootNamespace);
  const traffic = trafficFor(caller, policies.traffic, settings.rootNamespace);
  const resources = [...selected, ...traffic].flatMap((document) => policies.resources.get(document) ?? []);
  const set = createPolicySet({ revision, settings, policies: resources, scope }, api);
  return new Map([
    [POLICY_TYPE, { version: revision, resources: byName(resources) }],
    [POLICY_SET_TYPE, { version: revision, resources: byName([set]) }],
  ]);
}

/** The different label sets of the identity's workloads. Empty: the registry does not know any. */
function labelSetsOf(caller: SpiffeId, registry: RegistryContent): LabelSet[] {
  const workloads = registry.workloads.filter((workload) => workload.spiffeId === caller);
  const distinct = new Map(workloads.map(({ labels }) => [JSON.stringify(labels), labels]));
  return [...distinct].toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([, labels]) => labels);
}

/**
 * Several workloads may share an identity: all get what any of them needs, and each compiles what selects itself.
 * While no labels are known none may be assumed, since a DENY policy left out would open what it closes.
 */
function selectFor(
  caller: SpiffeId,
  scope: readonly LabelSet[],
  documents: readonly AuthorizationPolicy[],
  rootNamespace: string,
): readonly AuthorizationPolicy[] {
  const namespace = workloadNameOf(caller)?.namespace;
  if (namespace === undefined) return [];
  if (scope.length === 0)
    return documents.filter((document) => document.namespace === namespace || document.namespace === rootNamespace);
  return [...new Set(scope.flatMap((labels) => selectPolicies(documents, { namespace, labels }, rootNamespace)))];
}

/** What a client of the caller's namespace can heed. */
function trafficFor(
  caller: SpiffeId,
  documents: readonly TrafficDocument[],
  rootNamespace: string,
): readonly TrafficDocument[] {
  const namespace = workloadNameOf(caller)?.namespace;
  return namespace === undefined ? [] : documents.filter((each) => concerns(each, namespace, rootNamespace));
}

function byName(resources: readonly Resource[]): ReadonlyMap<string, Resource> {
  return new Map(resources.map((resource) => [resource.name, resource]));
}
