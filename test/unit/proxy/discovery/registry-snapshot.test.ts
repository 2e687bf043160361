import { describe, expect, test } from "vitest";
import { parseSpiffeId } from "../../../../src/core/spiffe-id.ts";
import {
  createRegistrySnapshot,
  EMPTY_REGISTRY,
  type Service,
} from "../../../../src/proxy/discovery/registry-snapshot.ts";

const orders = service("orders", "shop", "orders.shop.svc.cluster.local");
const otherOrders = service("orders", "bank", "orders.bank.svc.cluster.local");
const outside = service("api", "shop", "api.example.com");
/** A namespace that declares the mesh names of another as if they were outside hosts. */
const thief = service("thief", "aaa", "orders.shop");
const sameHost = [service("a", "bank", "shared.example.com"), service("b", "shop", "shared.example.com")];
const snapshot = createRegistrySnapshot({
  services: [...sameHost, thief, outside, otherOrders, orders],
  workloads: [],
});

describe("a service is found", () => {
  test.each([
    ["by its bare name from its own namespace", "orders", "shop", orders],
    ["by its bare name from another namespace that has its own", "orders", "bank", otherOrders],
    ["by name and namespace", "orders.shop", "bank", orders],
    ["by name, namespace and svc", "orders.shop.svc", "bank", orders],
    ["by its full name", "orders.shop.svc.cluster.local", "bank", orders],
    ["in any case", "ORDERS.Shop", "bank", orders],
    ["with the root's dot", "orders.shop.svc.cluster.local.", "bank", orders],
    ["by an outside host", "api.example.com", "bank", outside],
    ["by a host of two namespaces: the caller's own", "shared.example.com", "shop", sameHost[1]],
    ["by a host of two namespaces: the first, for a third", "shared.example.com", "web", sameHost[0]],
    ["under its own name even when another namespace declares that text", "orders.shop", "web", orders],
  ])("%s", (_name, host, from, expected) => {
    expect(snapshot.lookup(host, from)).toBe(expected);
  });
});

describe("nothing is found", () => {
  test.each([
    ["by a bare name from a namespace without it", "orders", "web"],
    ["by the bare name of an outside host", "api", "shop"],
    ["by an outside host's name and namespace", "api.shop", "shop"],
    ["by an empty name", "", "shop"],
    ["by a dot", ".", "shop"],
    ["by a name with two dots at its end", "orders.shop..", "shop"],
    ["by half a name", "orders.shop.svc.cluster", "shop"],
    ["by a longer name", "x.orders.shop.svc.cluster.local", "shop"],
    ["by a host with its port", "orders.shop:80", "shop"],
    ["by a name of Object's prototype", "constructor", "shop"],
    ["by white space around a name", " orders.shop", "shop"],
    ["by an address", "127.0.0.1", "shop"],
  ])("%s", (_name, host, from) => {
    expect(snapshot.lookup(host, from)).toBeNull();
  });

  test("in the registry of a sidecar that has heard nothing", () => {
    expect(EMPTY_REGISTRY.lookup("orders.shop", "shop")).toBeNull();
  });
});

test("the workloads of an identity are named, those of another are not", () => {
  const names = { workload: "orders-1", namespace: "shop", canonicalName: "orders", revision: "v1" };
  const spiffeId = parseSpiffeId("spiffe://cluster.local/ns/shop/sa/orders");
  const registry = createRegistrySnapshot({ services: [], workloads: [{ spiffeId, ...names }] });
  expect(registry.workloadsOf(spiffeId)).toEqual([{ spiffeId, ...names }]);
  expect(registry.workloadsOf(parseSpiffeId("spiffe://cluster.local/ns/shop/sa/web"))).toEqual([]);
  expect(registry.workloadsOf(parseSpiffeId("spiffe://other.test/ns/shop/sa/orders"))).toEqual([]);
});

function service(name: string, namespace: string, fqdn: string): Service {
  return { fqdn, name, namespace, ports: new Map() };
}
