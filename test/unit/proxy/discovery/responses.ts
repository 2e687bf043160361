import { packAny } from "../../../../src/api/any.ts";
import type { MeshSettings__Output } from "../../../../src/api/generated/cardea/mesh/v1/MeshSettings.ts";
import type { PolicySet } from "../../../../src/api/generated/cardea/mesh/v1/PolicySet.ts";
import type { Policy } from "../../../../src/api/generated/cardea/mesh/v1/Policy.ts";
import type { DeltaDiscoveryResponse__Output } from "../../../../src/api/generated/envoy/service/discovery/v3/DeltaDiscoveryResponse.ts";
import type { Resource__Output } from "../../../../src/api/generated/envoy/service/discovery/v3/Resource.ts";
import type { Address } from "../../../../src/api/generated/istio/workload/Address.ts";
import { loadMeshApi } from "../../../../src/api/load.ts";
import { ADDRESS_TYPE, POLICY_SET_NAME, POLICY_SET_TYPE, POLICY_TYPE } from "../../../../src/api/resource-types.ts";
import { versionOf } from "../../../../src/api/resource-version.ts";

const api = loadMeshApi();

/** A response as it comes off the wire. */
export function responseOf(
  resources: readonly Resource__Output[],
  removedResources: readonly string[] = [],
): DeltaDiscoveryResponse__Output {
  return {
    systemVersionInfo: "",
    resources: [...resources],
    typeUrl: "",
    nonce: "1",
    removedResources: [...removedResources],
  };
}

export function addressResource(name: string, address: Address): Resource__Output {
  return resourceOf(name, packAny(api.address, ADDRESS_TYPE, address));
}

/** A policy of namespace shop; `change` replaces parts of the message. */
export function policyResource(name: string, spec: object, change: Partial<Policy> = {}): Resource__Output {
  const document = {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name, namespace: "shop" },
    spec,
  };
  const message = {
    namespace: "shop",
    name,
    kind: "AuthorizationPolicy",
    document: JSON.stringify(document),
    file: "p.yaml",
    line: 7,
    ...change,
  };
  return resourceOf(`AuthorizationPolicy/shop/${name}`, packAny(api.policy, POLICY_TYPE, message));
}

/** A DestinationRule of namespace shop for orders. */
export function ruleResource(name: string, maxConnections: number, change: Partial<Policy> = {}): Resource__Output {
  const document = {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata: { name, namespace: "shop" },
    spec: { host: "orders", trafficPolicy: { connectionPool: { tcp: { maxConnections } } } },
  };
  const message = {
    namespace: "shop",
    name,
    kind: "DestinationRule",
    document: JSON.stringify(document),
    file: "t.yaml",
    line: 3,
    ...change,
  };
  return resourceOf(`DestinationRule/shop/${name}`, packAny(api.policy, POLICY_TYPE, message));
}

/** A document on authentication, of namespace shop. */
export function authenticationResource(
  name: string,
  spec: object,
  kind: "RequestAuthentication" | "PeerAuthentication" | "Telemetry" = "RequestAuthentication",
): Resource__Output {
  const document = {
    apiVersion: kind === "Telemetry" ? "telemetry.istio.io/v1" : "security.istio.io/v1",
    kind,
    metadata: { name, namespace: "shop" },
    spec,
  };
  const message = {
    namespace: "shop",
    name,
    kind,
    document: JSON.stringify(document),
    file: "r.yaml",
    line: 5,
  };
  return resourceOf(`${kind}/shop/${name}`, packAny(api.policy, POLICY_TYPE, message));
}

export const SETTINGS: MeshSettings__Output = {
  trustDomain: "cluster.local",
  trustDomainAliases: [],
  rootNamespace: "cardea-system",
  enforcement: "ENFORCE",
  defaultAction: "DENY",
  pathNormalization: "BASE",
  numTrustedProxies: 0,
  extensionProviders: [],
};

/** A set of the given policies; `change` replaces parts of the message. */
export function setResource(
  revision: string,
  policies: readonly Resource__Output[],
  change: Partial<PolicySet> = {},
): Resource__Output {
  const hashes = Object.fromEntries(policies.map(({ name, version }) => [name, version]));
  const message = { revision, settings: SETTINGS, hashes, ...change };
  return resourceOf(POLICY_SET_NAME, packAny(api.policySet, POLICY_SET_TYPE, message));
}

export function resourceOf(name: string, any: { type_url: string; value: Buffer }): Resource__Output {
  return { name, version: versionOf(any.value), resource: any };
}
