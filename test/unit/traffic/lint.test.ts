import { describe, expect, test } from "vitest";
import { lintTraffic } from "../../../src/traffic/lint.ts";
import { documentsOf, documentText, ORDERS } from "./traffic-documents.ts";

const SERVICES = new Set([ORDERS, "ledger.shop.svc.cluster.local"]);

function warningsOf(texts: readonly string[], services: ReadonlySet<string> | null = SERVICES): string[] {
  return lintTraffic(documentsOf(...texts), services).map(({ file, message }) => `${file}: ${message}`);
}

function virtual(id: string, hosts: readonly string[], http: readonly object[] = [to("orders")]): string {
  return documentText("VirtualService", id, { hosts, http });
}

function to(host: string, subset?: string): object {
  return { route: [{ destination: { host, subset } }] };
}

function httpRoute(id: string, weight = 1): string {
  return documentText("HTTPRoute", id, {
    parentRefs: [{ group: "", kind: "Service", name: "orders" }],
    rules: [{ backendRefs: [{ name: "orders", port: 80, weight }] }],
  });
}

test("nothing is said of what is in order", () => {
  const rule = documentText("DestinationRule", "d", { host: "orders", subsets: [{ name: "v1" }] });
  expect(warningsOf([rule, virtual("v", ["orders"], [to("orders", "v1")]), virtual("w", ["*.local"])])).toEqual([]);
  expect(warningsOf([httpRoute("a"), httpRoute("b")])).toEqual([]);
});

test("nothing is said of hosts when the services are not known", () => {
  expect(warningsOf([virtual("v", ["nobody"])], null)).toEqual([]);
});

describe("a warning of", () => {
  test.each([
    [
      "a host that no service has",
      [documentText("DestinationRule", "d", { host: "nobody" })],
      ["0.yaml: no service has the host nobody.shop.svc.cluster.local"],
    ],
    [
      "a name that Istio takes as a full one",
      [documentText("DestinationRule", "d", { host: "orders.shop" })],
      [
        "0.yaml: no service has the host orders.shop; a name with a dot is taken as a full one: did you mean " +
          `${ORDERS}?`,
      ],
    ],
    [
      "a wildcard around no service",
      [documentText("DestinationRule", "d", { host: "*.pay.svc.cluster.local" })],
      ["0.yaml: no service has the host *.pay.svc.cluster.local"],
    ],
    [
      "a destination that no service has",
      [virtual("v", ["orders"], [to("nobody")])],
      ["0.yaml: no service has the host nobody.shop.svc.cluster.local"],
    ],
    [
      "a subset that no rule declares",
      [virtual("v", ["orders"], [to("orders", "v1")])],
      [`0.yaml: shop/v: no DestinationRule declares the subset v1 of ${ORDERS}: nobody is in it`],
    ],
    [
      "a second VirtualService for one host",
      [virtual("v", ["orders"]), virtual("w", [ORDERS])],
      [`1.yaml: ${ORDERS} has routes in VirtualService shop/v at 0.yaml:1, too: one of them holds`],
    ],
    [
      "a VirtualService and an HTTPRoute for one host",
      [virtual("v", ["orders"]), httpRoute("r")],
      [`1.yaml: ${ORDERS} has routes in VirtualService shop/v at 0.yaml:1, too: one of them holds`],
    ],
    [
      "a route that none gets to",
      [virtual("v", ["orders"], [to("orders"), { match: [{ uri: { exact: "/a" } }], ...to("orders") }])],
      ["0.yaml: spec.http[0] takes every request: spec.http[1] and what follows is never reached"],
    ],
    [
      "weights that are all 0",
      [httpRoute("r", 0)],
      ["0.yaml: shop/r: no destination has a weight above 0: requests are answered with 500"],
    ],
  ])("%s", (_, texts, warnings) => {
    expect(warningsOf(texts)).toEqual(warnings);
  });
});
