import type { MeshApi } from "../../api/load.ts";
import { ADDRESS_TYPE, POLICY_SET_TYPE, POLICY_TYPE } from "../../api/resource-types.ts";
import type { Latest } from "../../core/latest.ts";
import { type SpiffeId, workloadNameOf } from "../../core/spiffe-id.ts";
import type { AuthenticationDocument } from "../../policy/authentication/document.ts";
import type { AuthorizationPolicy } from "../../policy/document.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import { selectPolicies } from "../../policy/select.ts";
import { concerns } from "../../traffic/concerns.ts";
import type { TrafficDocument } from "../../traffic/document.ts";
import { AddressView } from "./address-view.ts";
import { type EgressScope, egressScopeOf, sidecarDocuments } from "./egress-scope.ts";
import { keySourceId } from "../../policy/authentication/key-source.ts";
import { wantedKeysOf } from "./keyed-content.ts";
import type { PolicyContent } from "./policy-content.ts";
import { createPolicySet, type LabelSet } from "./policy-set.ts";
import type { RegisteredWorkload, RegistryContent } from "./registry-content.ts";
import type { Resource, ResourceView, TypeView } from "./resource.ts";

interface ScopeOptions {
  readonly registry: Latest<RegistryContent>;
  readonly policies: Latest<PolicyContent | null>;
  readonly settings: MeshSettings;
  readonly api: MeshApi;
}

/**
 * Decides who gets what. The caller is who its certificate says: nothing in a request widens its view. A sidecar gets
 * the services that are exported to it and that a Sidecar document, where there is one for it, names; of the policies
 * those that can select a workload of its identity, and of the traffic rules those that a client of its namespace heeds.
 */
export function createScope(options: ScopeOptions): (caller: SpiffeId) => ResourceView {
  let held = new Map<SpiffeId, HeldView>();
  let policies = options.policies.get();
  let documents = sidecarDocuments(policies?.traffic ?? []);
  const labelSets = createLabelIndex();

  function egressOf(caller: SpiffeId, labels: readonly LabelSet[]): EgressScope {
    const namespace = workloadNameOf(caller)?.namespace ?? "";
    return egressScopeOf(documents, { namespace, labels, rootNamespace: options.settings.rootNamespace });
  }

  return (caller) => {
    const registry = options.registry.get();
    if (options.policies.get() !== policies) {
      held = new Map();
      policies = options.policies.get();
      documents = sidecarDocuments(policies?.traffic ?? []);
    }
    const known = held.get(caller);
    if (known?.registry === registry) return known.view;
    const labels = labelSets(registry, caller);
    // Endpoints come and go all the time; the policies of an identity are chosen anew when its labels have changed.
    const same = known !== undefined && isSameList(known.labels, labels) ? known : null;
    const egress = same?.egress ?? egressOf(caller, labels);
    const parts = same?.parts ?? (policies === null ? [] : policyViews(caller, labels, policies, options));
    const view = new Map<string, TypeView>([[ADDRESS_TYPE, new AddressView(registry, egress, caller)], ...parts]);
    held.set(caller, { registry, labels, egress, parts, view });
    return view;
  };
}

type Selected = AuthorizationPolicy | AuthenticationDocument;

interface HeldView {
  readonly registry: RegistryContent;
  readonly labels: readonly LabelSet[];
  readonly egress: EgressScope;
  /** What does not depend on the registry but for the labels. */
  readonly parts: readonly (readonly [string, TypeView])[];
  readonly view: ResourceView;
}

function policyViews(
  caller: SpiffeId,
  scope: readonly LabelSet[],
  policies: PolicyContent,
  { settings, api }: ScopeOptions,
): readonly (readonly [string, TypeView])[] {
  const { revision } = policies;
  const selected = selectFor(caller, scope, policies, settings.rootNamespace);
  const traffic = trafficFor(caller, policies, settings.rootNamespace);
  const documents = [...selected, ...traffic].flatMap((document) => policies.resources.get(document) ?? []);
  const resources = [...documents, ...keySetsFor(selected, policies)];
  const set = createPolicySet({ revision, settings, policies: resources, scope }, api);
  return [
    [POLICY_TYPE, { version: revision, resources: byName(resources) }],
    [POLICY_SET_TYPE, { version: revision, resources: byName([set]) }],
  ];
}

/** The keys that the selected documents ask for: a sidecar is told of no others. */
function keySetsFor(selected: readonly Selected[], { keySets }: PolicyContent): readonly Resource[] {
  if (keySets.size === 0) return [];
  const documents = selected.filter((each) => "kind" in each);
  return wantedKeysOf(documents).flatMap(({ source }) => keySets.get(keySourceId(source)) ?? []);
}

/** The different label sets of an identity's workloads. Empty: the registry does not know any. */
function createLabelIndex(): (registry: RegistryContent, caller: SpiffeId) => readonly LabelSet[] {
  let indexed: RegistryContent | null = null;
  let index: ReadonlyMap<SpiffeId, readonly RegisteredWorkload[]> = new Map();
  return (registry, caller) => {
    if (registry.labelSetsOf !== undefined) return registry.labelSetsOf(caller);
    if (indexed !== registry) index = Map.groupBy(registry.workloads, ({ spiffeId }) => spiffeId);
    indexed = registry;
    const distinct = new Map((index.get(caller) ?? []).map(({ labels }) => [JSON.stringify(labels), labels]));
    return [...distinct].toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([, labels]) => labels);
  };
}

function isSameList(left: readonly LabelSet[], right: readonly LabelSet[]): boolean {
  return left === right || (left.length === right.length && JSON.stringify(left) === JSON.stringify(right));
}

/**
 * Several workloads may share an identity: all get what any of them needs, and each compiles what selects itself.
 * While no labels are known none may be assumed, since a DENY policy left out would open what it closes.
 */
function selectFor(
  caller: SpiffeId,
  scope: readonly LabelSet[],
  { byNamespace }: PolicyContent,
  rootNamespace: string,
): readonly Selected[] {
  const namespace = workloadNameOf(caller)?.namespace;
  if (namespace === undefined) return [];
  const near = [...new Set([namespace, rootNamespace])].flatMap((each) => byNamespace.get(each) ?? []);
  if (scope.length === 0) return near;
  return [...new Set(scope.flatMap((labels) => selectPolicies(near, { namespace, labels }, rootNamespace)))];
}

const trafficByNamespace = new WeakMap<PolicyContent, Map<string, readonly TrafficDocument[]>>();

/** What a client of the caller's namespace can heed: the same for all of them. */
function trafficFor(caller: SpiffeId, policies: PolicyContent, rootNamespace: string): readonly TrafficDocument[] {
  const namespace = workloadNameOf(caller)?.namespace;
  if (namespace === undefined) return [];
  const known = trafficByNamespace.get(policies) ?? new Map<string, readonly TrafficDocument[]>();
  trafficByNamespace.set(policies, known);
  const own = known.get(namespace) ?? policies.traffic.filter((each) => concerns(each, namespace, rootNamespace));
  known.set(namespace, own);
  return own;
}

function byName(resources: readonly Resource[]): ReadonlyMap<string, Resource> {
  return new Map(resources.map((resource) => [resource.name, resource]));
}
