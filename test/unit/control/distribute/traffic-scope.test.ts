import { beforeEach, describe, expect, test } from "vitest";
import { loadMeshApi } from "../../../../src/api/load.ts";
import { POLICY_SET_TYPE, POLICY_TYPE } from "../../../../src/api/resource-types.ts";
import { parsePolicyFiles } from "../../../../src/config/policy-files.ts";
import { createPolicyContent } from "../../../../src/control/distribute/policy-content.ts";
import type { RegistryContent } from "../../../../src/control/distribute/registry-content.ts";
import type { ResourceView } from "../../../../src/control/distribute/resource.ts";
import { createScope } from "../../../../src/control/distribute/scope.ts";
import { createLatest } from "../../../../src/core/latest.ts";
import { parseSpiffeId, type SpiffeId, spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../../src/policy/mesh-settings.ts";
import { documentText } from "../../traffic/traffic-documents.ts";

const api = loadMeshApi();
const web = spiffeIdFor("cluster.local", "shop", "web");
const payments = spiffeIdFor("cluster.local", "payments", "payments");
const ORDERS = "orders.shop.svc.cluster.local";
const TO_ORDERS = { route: [{ destination: { host: ORDERS } }] };
const PARENT = { group: "", kind: "Service", namespace: "shop", name: "orders" };
const RULES = [{ backendRefs: [{ name: "orders", port: 80 }] }];

let viewFor: (caller: SpiffeId) => ResourceView;
beforeEach(() => {
  const texts = [
    rule("shop/public", ORDERS),
    rule("shop/private", ORDERS, { exportTo: ["."] }),
    rule("shop/selecting", ORDERS, { workloadSelector: { matchLabels: { app: "web" } } }),
    rule("shop/of-others", "ledger.ledger.svc.cluster.local"),
    rule("cardea-system/root", "*.local"),
    documentText("VirtualService", "shop/public", { hosts: ["orders"], http: [TO_ORDERS] }),
    documentText("VirtualService", "shop/to-payments", {
      hosts: ["orders"],
      http: [TO_ORDERS],
      exportTo: ["payments"],
    }),
    documentText("HTTPRoute", "shop/producer", { parentRefs: [PARENT], rules: RULES }),
    documentText("HTTPRoute", "payments/consumer", { parentRefs: [PARENT], rules: RULES }),
  ];
  const files = parsePolicyFiles(texts.map((text, index) => ({ path: `${index}.yaml`, text })));
  expect(files.faults).toEqual([]);
  const registry: RegistryContent = { version: "1", resources: new Map(), workloads: [], serviceCount: 0 };
  viewFor = createScope({
    registry: createLatest(registry),
    policies: createLatest(createPolicyContent(files, api)),
    settings: DEFAULT_MESH_SETTINGS,
    api,
  });
});

describe("a sidecar gets the traffic rules that a client of its namespace heeds", () => {
  test("those of its own namespace, the root's, and the public ones of services", () => {
    expect(namesFor(web)).toEqual([
      "DestinationRule/cardea-system/root",
      "DestinationRule/shop/of-others",
      "DestinationRule/shop/private",
      "DestinationRule/shop/public",
      "DestinationRule/shop/selecting",
      "HTTPRoute/shop/producer",
      "VirtualService/shop/public",
    ]);
  });

  test("none that is private to others, selects their clients, or is for neither its services nor its clients", () => {
    expect(namesFor(payments)).toEqual([
      "DestinationRule/cardea-system/root",
      "DestinationRule/shop/public",
      "HTTPRoute/payments/consumer",
      "HTTPRoute/shop/producer",
      "VirtualService/shop/public",
      "VirtualService/shop/to-payments",
    ]);
  });

  test("none when it is no workload", () => {
    expect(namesFor(parseSpiffeId("spiffe://cluster.local/gateway"))).toEqual([]);
  });

  test("and its set names every one of them by its hash", () => {
    const view = viewFor(payments);
    const [set] = view.get(POLICY_SET_TYPE)!.resources.values();
    const sent = [...view.get(POLICY_TYPE)!.resources.values()];
    const { hashes } = api.policySet.deserialize(set!.body.value);
    expect(hashes).toEqual(Object.fromEntries(sent.map(({ name, version }) => [name, version])));
  });
});

function namesFor(caller: SpiffeId): string[] {
  return [...viewFor(caller).get(POLICY_TYPE)!.resources.keys()].toSorted((left, right) => (left < right ? -1 : 1));
}

function rule(id: string, host: string, more: object = {}): string {
  return documentText("DestinationRule", id, { host, ...more });
}
