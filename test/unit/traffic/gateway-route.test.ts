import { describe, expect, test } from "vitest";
import { DEFAULT_RETRY } from "../../../src/traffic/default-traffic.ts";
import { trafficOf } from "../../../src/traffic/traffic-set.ts";
import { compiled, documentText, faultsOf, type Kind, ORDERS, WEB } from "./traffic-documents.ts";

const PARENT = { group: "", kind: "Service", name: "orders" };
const TO_ORDERS = { backendRefs: [{ name: "orders", port: 80 }] };

function routesOf(rules: readonly object[], kind: Kind = "HTTPRoute") {
  const text = documentText(kind, "r", { parentRefs: [PARENT], rules });
  return trafficOf(compiled([text]), ORDERS, 80).routes;
}

function namesOf(texts: readonly string[], port = 80, client = WEB): string[] {
  return trafficOf(compiled(texts, client), ORDERS, port).routes.map(({ name }) => name);
}

test("weights, ports and filters of a rule", () => {
  const [only] = routesOf([
    {
      filters: [
        { type: "RequestHeaderModifier", requestHeaderModifier: { set: [{ name: "X-A", value: "%1" }] } },
        { type: "URLRewrite", urlRewrite: { path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/v2" } } },
      ],
      backendRefs: [
        { name: "orders", port: 80, weight: 9 },
        { name: "canary", port: 8080 },
        { name: "off", port: 80, weight: 0 },
      ],
      timeouts: { request: "3s", backendRequest: "1s" },
      retry: { codes: [502, 503], attempts: 4, backoff: "50ms" },
    },
  ]);
  expect(only).toMatchObject({
    name: "shop/r",
    timeoutMs: 3_000,
    retry: { attempts: 4, perTryTimeoutMs: 1_000, retriableStatuses: new Set([502, 503]), backoffMs: 50 },
    requestHeaders: { set: [["x-a", "%1"]] },
    action: { rewrite: { path: { kind: "prefix", text: "/v2" }, authority: null } },
  });
  const destinations = only!.action.kind === "forward" ? only!.action.destinations : [];
  expect(destinations.map(({ host, port, weight }) => [host, port, weight])).toEqual([
    [ORDERS, 80, 9],
    ["canary.shop.svc.cluster.local", 8080, 1],
  ]);
});

test("with nothing said of retries, Istio's default ones", () => {
  expect(routesOf([TO_ORDERS])[0]!.retry).toEqual(DEFAULT_RETRY);
});

test("a rule whose weights are all 0 answers 500", () => {
  const [only] = routesOf([{ backendRefs: [{ name: "orders", port: 80, weight: 0 }] }]);
  expect(only!.action).toEqual({ kind: "respond", status: 500, body: null });
});

test("a redirect, 302 when nothing is said", () => {
  const requestRedirect = { scheme: "https", port: 8443 };
  expect(routesOf([{ filters: [{ type: "RequestRedirect", requestRedirect }] }])[0]!.action).toMatchObject({
    kind: "redirect",
    redirect: { status: 302, scheme: "https", port: 8443, authority: null, path: null },
  });
});

test("of all rules the most specific match comes first, across documents", () => {
  const rule = (name: string, match: object) => ({ name, matches: [match], ...TO_ORDERS });
  const one = documentText("HTTPRoute", "one", {
    parentRefs: [PARENT],
    rules: [
      { name: "rest", ...TO_ORDERS },
      rule("regex", { path: { type: "RegularExpression", value: "/a/long/regular/expression" } }),
      rule("short", { path: { value: "/a" } }),
      rule("exact", { path: { type: "Exact", value: "/a/b" } }),
      rule("two-headers", {
        path: { value: "/a" },
        headers: [
          { name: "x", value: "1" },
          { name: "y", value: "1" },
        ],
      }),
      rule("method", { path: { value: "/a" }, method: "GET" }),
    ],
  });
  const two = documentText("HTTPRoute", "two", {
    parentRefs: [PARENT],
    rules: [rule("long", { path: { value: "/a/b/" } }), rule("short", { path: { value: "/a" } })],
  });
  expect(namesOf([two, one])).toEqual(
    ["one/exact", "two/long", "one/method", "one/two-headers", "one/short", "two/short", "one/rest"].map(
      (name) => `shop/${name}`,
    ),
  );
});

test("a regular expression comes after all that is plainer, and without a last rule there is 404", () => {
  const routes = routesOf([
    { name: "regex", matches: [{ path: { type: "RegularExpression", value: "/.{9}" } }], ...TO_ORDERS },
    { name: "plain", matches: [{ path: { value: "/a" } }], ...TO_ORDERS },
  ]);
  expect(routes.map(({ name }) => name)).toEqual(["shop/r/plain", "shop/r/regex", "shop/r/no-route"]);
});

test("a path's prefix ends at a slash, and / takes everything", () => {
  const routes = routesOf([
    { matches: [{ path: { value: "/a/" } }], ...TO_ORDERS },
    { matches: [{ path: { value: "/" } }], ...TO_ORDERS },
  ]);
  expect(routes.map(({ matches }) => matches.map(({ path }) => path))).toEqual([
    [{ kind: "segments", text: "/a" }],
    [],
  ]);
});

describe("gRPC's methods are paths", () => {
  test.each([
    [
      { service: "shop.Orders", method: "Get" },
      { kind: "exact", text: "/shop.Orders/Get" },
    ],
    [{ service: "shop.Orders" }, { kind: "prefix", text: "/shop.Orders/" }],
    [{ method: "Get" }, { kind: "regex", pattern: "/[^/]+/Get" }],
    [
      { type: "RegularExpression", service: "a|b" },
      { kind: "regex", pattern: "/(?:a|b)/(?:[^/]+)" },
    ],
  ])("%j", (method, path) => {
    expect(routesOf([{ matches: [{ method }], ...TO_ORDERS }], "GRPCRoute")[0]!.matches[0]!.path).toMatchObject(path);
  });
});

describe("whose route holds", () => {
  test("one beside the service is for everybody, one elsewhere for its own namespace, which it then has to itself", () => {
    const texts = [route("shop/producer"), route("pay/consumer")];
    expect([namesOf(texts), namesOf(texts, 80, PAY)]).toEqual([["shop/producer"], ["pay/consumer"]]);
    expect(namesOf([route("pay/consumer")])).toEqual([]);
  });

  test("one with a port, on that port alone", () => {
    const texts = [route("shop/r", { port: 81 })];
    expect([namesOf(texts), namesOf(texts, 81)]).toEqual([[], ["shop/r"]]);
  });

  test("a VirtualService for the very host comes first, one for a wildcard after", () => {
    expect(namesOf([route("shop/r"), virtual(["orders"])])).toEqual(["shop/v"]);
    expect(namesOf([route("shop/r"), virtual(["*"])])).toEqual(["shop/r"]);
  });
});

describe("is refused", () => {
  const rule = (fields: object) => ({ parentRefs: [PARENT], rules: [fields] });
  const filter = (fields: object) => rule({ filters: [fields], ...TO_ORDERS });
  const match = (fields: object) => rule({ matches: [fields], ...TO_ORDERS });
  test.each([
    [{ rules: [TO_ORDERS] }, "spec.parentRefs: is required"],
    [{ parentRefs: [{ ...PARENT, kind: undefined }], rules: [TO_ORDERS] }, "parentRefs[0].kind: is required"],
    [{ parentRefs: [{ ...PARENT, kind: "Gateway" }], rules: [TO_ORDERS] }, "a route of a Gateway is not yet supported"],
    [{ parentRefs: [{ ...PARENT, group: "apps" }], rules: [TO_ORDERS] }, 'found "apps"'],
    [{ parentRefs: [{ ...PARENT, sectionName: "http" }], rules: [TO_ORDERS] }, "name the port by its number"],
    [{ parentRefs: [PARENT], rules: [TO_ORDERS], hostnames: ["a"] }, "has no meaning for a Service"],
    [{ parentRefs: [PARENT], rules: [] }, "must not be an empty list"],
    [rule({}), "needs `backendRefs` or a RequestRedirect"],
    [rule({ backendRefs: [{ name: "a" }] }), "backendRefs[0].port: is required"],
    [rule({ backendRefs: [{ name: "a", port: 80, namespace: "b" }] }), "ReferenceGrant"],
    [rule({ backendRefs: [{ name: "a", port: 80, weight: -1 }] }), "from 0 to 1000000"],
    [rule({ ...TO_ORDERS, timeouts: { request: "1.5s" } }), "expected a duration"],
    [rule({ ...TO_ORDERS, timeouts: { request: "1s", backendRequest: "2s" } }), "must not be longer"],
    [rule({ ...TO_ORDERS, retry: { codes: [200] } }), "from 400 to 599"],
    [rule({ ...TO_ORDERS, sessionPersistence: {} }), "is not yet supported"],
    [filter({ type: "RequestMirror" }), "the filter RequestMirror is not yet supported"],
    [filter({ type: "ExtensionRef" }), "the filter ExtensionRef is not yet supported"],
    [filter({ type: "URLRewrite" }), "needs the field urlRewrite"],
    [filter({ type: "URLRewrite", requestRedirect: {} }), "needs the field urlRewrite"],
    [filter({ type: "RequestRedirect", requestRedirect: {} }), "and not both"],
    [
      filter({ type: "URLRewrite", urlRewrite: { path: { type: "ReplaceFullPath", replacePrefixMatch: "/" } } }),
      "needs the field of its type",
    ],
    [
      filter({ type: "RequestHeaderModifier", requestHeaderModifier: { remove: ["Connection"] } }),
      "belongs to the connection",
    ],
    [
      rule({ backendRefs: [{ name: "a", port: 1, filters: [{ type: "URLRewrite", urlRewrite: {} }] }] }),
      "may change headers alone",
    ],
    [match({ path: { value: "a" } }), "expected a path that begins with /"],
    [match({ path: { value: "/a/../b" } }), "is written plainly"],
    [match({ path: { type: "RegularExpression", value: "(?!a)" } }), "uses (?…)"],
    [match({ path: { type: "Prefix", value: "/" } }), "expected one of Exact, PathPrefix"],
    [match({ method: "get" }), "did you mean `GET`?"],
    [match({ header: [] }), "did you mean `headers`?"],
  ])("%j", (spec, message) => {
    const faults = faultsOf("HTTPRoute", spec);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(message);
  });

  test("a gRPC match of nothing", () => {
    expect(faultsOf("GRPCRoute", match({ method: {} }))[0]).toContain("needs `service`, `method`, or both");
    expect(faultsOf("GRPCRoute", match({ path: { value: "/" } }))[0]).toContain("unknown field");
  });
});

const PAY = { namespace: "pay", labels: {} };

function route(id: string, parent: object = {}): string {
  const parentRefs = [{ ...PARENT, namespace: "shop", ...parent }];
  return documentText("HTTPRoute", id, { parentRefs, rules: [TO_ORDERS] });
}

function virtual(hosts: readonly string[]): string {
  return documentText("VirtualService", "v", { hosts, http: [{ route: [{ destination: { host: "orders" } }] }] });
}
