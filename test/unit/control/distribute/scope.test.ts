import { beforeEach, describe, expect, test } from "vitest";
import { loadMeshApi } from "../../../../src/api/load.ts";
import { ADDRESS_TYPE, POLICY_SET_TYPE, POLICY_TYPE } from "../../../../src/api/resource-types.ts";
import { parsePolicyFiles } from "../../../../src/config/policy-files.ts";
import { createPolicyContent, type PolicyContent } from "../../../../src/control/distribute/policy-content.ts";
import type { RegisteredWorkload, RegistryContent } from "../../../../src/control/distribute/registry-content.ts";
import type { ResourceView } from "../../../../src/control/distribute/resource.ts";
import { createScope } from "../../../../src/control/distribute/scope.ts";
import { createLatest, type LatestSource } from "../../../../src/core/latest.ts";
import { parseSpiffeId, type SpiffeId, spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../../src/policy/mesh-settings.ts";
import { policy } from "../control-fixture.ts";

const api = loadMeshApi();
const orders = spiffeIdFor("cluster.local", "shop", "orders");

let registry: LatestSource<RegistryContent>;
let policies: LatestSource<PolicyContent | null>;
let viewFor: (caller: SpiffeId) => ResourceView;
beforeEach(() => {
  registry = createLatest(registryWith(workload("orders", { app: "orders" })));
  policies = createLatest<PolicyContent | null>(
    contentOf(
      policy("selected", "{selector: {matchLabels: {app: orders}}}"),
      policy("all-of-shop", "{}"),
      policy("mesh-wide", "{}", "cardea-system"),
      policy("mesh-wide-selected", "{selector: {matchLabels: {app: orders}}}", "cardea-system"),
      policy("other-label", "{selector: {matchLabels: {app: web}}}"),
      policy("more-labels", "{selector: {matchLabels: {app: orders, tier: gold}}}"),
      policy("other-namespace", "{}", "bank"),
      policy("other-namespace-selected", "{selector: {matchLabels: {app: orders}}}", "bank"),
      policy("mesh-wide-other", "{selector: {matchLabels: {app: web}}}", "cardea-system"),
    ),
  );
  viewFor = createScope({ registry, policies, settings: DEFAULT_MESH_SETTINGS, api });
});

describe("a sidecar gets", () => {
  test("the policies that select it, and no others", () => {
    expect(names(orders)).toEqual(["mesh-wide", "mesh-wide-selected", "all-of-shop", "selected"]);
  });

  test("what any workload of its identity needs", () => {
    registry.set(registryWith(workload("orders", { app: "orders" }), workload("orders", { app: "web" })));
    expect(names(orders).toSorted()).toEqual(
      ["all-of-shop", "mesh-wide", "mesh-wide-other", "mesh-wide-selected", "other-label", "selected"].toSorted(),
    );
    expect(setOf(orders).scope).toEqual([{ labels: { app: "orders" } }, { labels: { app: "web" } }]);
  });

  test("all of its namespace and the root's while the registry does not know it", () => {
    registry.set(registryWith());
    expect(names(orders).toSorted()).toEqual(
      [
        "all-of-shop",
        "mesh-wide",
        "mesh-wide-other",
        "mesh-wide-selected",
        "more-labels",
        "other-label",
        "selected",
      ].toSorted(),
    );
    expect(setOf(orders).scope).toEqual([]);
  });

  test("nothing by another identity's labels, though the account has the same name", () => {
    registry.set(
      registryWith({ ...workload("orders", { app: "web" }), spiffeId: spiffeIdFor("cluster.local", "bank", "orders") }),
    );
    expect(setOf(orders).scope).toEqual([]);
  });

  test("nothing when its identity is no workload's", () => {
    expect(names(parseSpiffeId("spiffe://cluster.local/other/shape"))).toEqual([]);
  });

  test("no set at all while there is no good revision", () => {
    policies.set(null);
    expect([...viewFor(orders).keys()]).toEqual([ADDRESS_TYPE]);
  });
});

describe("the set", () => {
  test("names exactly the policies that come with it, by the hashes of their bytes", () => {
    const { resources } = viewFor(orders).get(POLICY_TYPE)!;
    expect(new Map(Object.entries(setOf(orders).hashes))).toEqual(
      new Map([...resources.values()].map(({ name, version }) => [name, version])),
    );
  });

  test("is another one when the settings are, though the files are the same", () => {
    const audit = createScope({
      registry,
      policies,
      settings: { ...DEFAULT_MESH_SETTINGS, enforcement: "AUDIT" },
      api,
    });
    expect(versionOf(audit(orders))).not.toBe(versionOf(viewFor(orders)));
  });

  test("is the same over a restart", () => {
    const again = createScope({ registry, policies, settings: DEFAULT_MESH_SETTINGS, api });
    expect(versionOf(again(orders))).toBe(versionOf(viewFor(orders)));
  });

  test("does not depend on the order of workloads or labels", () => {
    const gold = workload("orders", { app: "orders", tier: "gold" });
    registry.set(registryWith(gold, workload("orders", { app: "orders" })));
    const before = versionOf(viewFor(orders));
    registry.set(registryWith(workload("orders", { app: "orders" }), gold));
    expect(versionOf(viewFor(orders))).toBe(before);
  });
});

test("a view is made once for each change, and anew after one", () => {
  const before = viewFor(orders);
  expect(viewFor(orders)).toBe(before);
  policies.set(contentOf(policy("selected", "{}")));
  expect(viewFor(orders)).not.toBe(before);
});

test("what says how callers are known is given by namespace and labels, as policies are", () => {
  policies.set(
    contentOf(
      known("selected", "{selector: {matchLabels: {app: orders}}}"),
      known("all-of-mesh", "{}", "cardea-system"),
      known("other-label", "{selector: {matchLabels: {app: web}}}"),
      known("other-namespace", "{}", "bank"),
    ),
  );
  const given = ["RequestAuthentication/cardea-system/all-of-mesh", "RequestAuthentication/shop/selected"];
  expect([...viewFor(orders).get(POLICY_TYPE)!.resources.keys()]).toEqual(given);
  expect(Object.keys(setOf(orders).hashes)).toEqual(given);
});

function known(name: string, spec: string, namespace = "shop"): string {
  return policy(name, spec, namespace).replace("kind: AuthorizationPolicy", "kind: RequestAuthentication");
}

function names(caller: SpiffeId): string[] {
  return [...viewFor(caller).get(POLICY_TYPE)!.resources.keys()].map((name) => name.split("/")[2]!);
}

function setOf(caller: SpiffeId) {
  const [set] = viewFor(caller).get(POLICY_SET_TYPE)!.resources.values();
  return api.policySet.deserialize(set!.body.value);
}

function versionOf(view: ResourceView): string {
  return view.get(POLICY_SET_TYPE)!.resources.get("mesh")!.version;
}

function contentOf(...texts: readonly string[]): PolicyContent {
  const files = parsePolicyFiles([{ path: "p.yaml", text: texts.join("---\n") }]);
  expect(files.faults).toEqual([]);
  return createPolicyContent(files, api);
}

function registryWith(...workloads: readonly RegisteredWorkload[]): RegistryContent {
  return { version: "1", resources: new Map(), workloads, serviceCount: 0 };
}

function workload(serviceAccount: string, labels: Readonly<Record<string, string>>): RegisteredWorkload {
  const namespace = "shop";
  const spiffeId = spiffeIdFor("cluster.local", namespace, serviceAccount);
  return { name: serviceAccount, namespace, serviceAccount, spiffeId, labels };
}
