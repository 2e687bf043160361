import { describe, expect, test } from "vitest";
import { DEFAULT_RETRY, NO_HEADER_CHANGES } from "../../../src/traffic/default-traffic.ts";
import type { HttpMatch } from "../../../src/traffic/service-traffic.ts";
import { trafficOf } from "../../../src/traffic/traffic-set.ts";
import type { Client } from "../../../src/traffic/rule-choice.ts";
import { compiled, documentText, faultsOf, ORDERS, WEB } from "./traffic-documents.ts";

const TO_ORDERS = { route: [{ destination: { host: "orders" } }] };

function routesOf(http: readonly object[], { port = 80, client = WEB }: { port?: number; client?: Client } = {}) {
  const text = documentText("VirtualService", "v", { hosts: ["orders"], http });
  return trafficOf(compiled([text], client), ORDERS, port).routes;
}

function matchOf(match: object): HttpMatch {
  return routesOf([{ match: [match], ...TO_ORDERS }])[0]!.matches[0]!;
}

test("a route with everything left out has Istio's defaults", () => {
  expect(routesOf([TO_ORDERS])).toEqual([
    {
      name: "shop/v",
      matches: [],
      action: {
        kind: "forward",
        destinations: [
          {
            host: "orders",
            namespace: "shop",
            port: null,
            subset: null,
            weight: 100,
            requestHeaders: NO_HEADER_CHANGES,
            responseHeaders: NO_HEADER_CHANGES,
          },
        ],
        rewrite: null,
      },
      timeoutMs: 0,
      retry: DEFAULT_RETRY,
      requestHeaders: NO_HEADER_CHANGES,
      responseHeaders: NO_HEADER_CHANGES,
    },
  ]);
});

test("weights, subsets, ports; who has no weight gets nothing", () => {
  const [route] = routesOf([
    {
      name: "canary",
      route: [
        { destination: destination("v1"), weight: 90 },
        { destination: destination("v2"), weight: 10, headers: { request: { set: { "X-Canary": "1" } } } },
        { destination: destination("v3") },
      ],
    },
  ]);
  expect(route!.name).toBe("shop/v/canary");
  expect(route!.action).toMatchObject({
    destinations: [
      { host: ORDERS, subset: "v1", weight: 90, port: 81 },
      { subset: "v2", weight: 10, requestHeaders: { set: [["x-canary", "1"]], add: [], remove: [] } },
    ],
  });
});

describe("a match", () => {
  test.each([
    [
      { uri: { prefix: "/a" }, ignoreUriCase: true },
      { path: { kind: "prefix", text: "/a" }, ignorePathCase: true },
    ],
    [{ method: { exact: "GET" } }, { method: { kind: "exact", text: "GET" } }],
    [
      { headers: { "X-A": { exact: "1" }, b: {} } },
      {
        headers: [
          { name: "x-a", value: { kind: "exact", text: "1" } },
          { name: "b", value: { kind: "present" } },
        ],
      },
    ],
    [{ withoutHeaders: { c: { regex: "*" } } }, { withoutHeaders: [{ name: "c", value: { kind: "present" } }] }],
    [{ queryParams: { Q: { exact: "" } } }, { query: [{ name: "Q", value: { kind: "exact", text: "" } }] }],
    [
      { authority: { prefix: "a" }, scheme: { exact: "http" } },
      { authority: { text: "a" }, scheme: { text: "http" } },
    ],
  ])("%j", (match, expected) => {
    expect(matchOf(match)).toMatchObject(expected);
  });

  test("a regular expression is matched whole", () => {
    const { path } = matchOf({ uri: { regex: "/v[12]/.*" } });
    expect(path).toMatchObject({ kind: "regex", pattern: "/v[12]/.*" });
    expect(path!.kind === "regex" && [path!.test("/v1/x"), path!.test("/x/v1/x")]).toEqual([true, false]);
  });
});

describe("what the client and the port decide is decided when the set is compiled", () => {
  test.each([
    [{ sourceNamespace: "pay" }],
    [{ sourceLabels: { app: "other" } }],
    [{ sourceLabels: { app: "web", version: "v1" } }],
    [{ port: 81 }],
  ])("a match on %j is no match here", (match) => {
    expect(routesOf([{ match: [match], ...TO_ORDERS }])).toEqual([]);
  });

  test("what is met asks for nothing any more", () => {
    const [route, ...others] = routesOf([
      { match: [{ sourceNamespace: "shop", sourceLabels: { app: "web" }, port: 80 }], ...TO_ORDERS },
    ]);
    expect([route!.matches, others]).toEqual([[], []]);
  });

  test("of several matches the others stay", () => {
    const [route] = routesOf([{ match: [{ port: 81 }, { uri: { exact: "/a" } }], ...TO_ORDERS }]);
    expect(route!.matches).toHaveLength(1);
  });
});

describe("where routes are, what none takes is answered with 404", () => {
  const onlyA = { match: [{ uri: { exact: "/a" } }], ...TO_ORDERS };
  test("a last one says so", () => {
    expect(routesOf([onlyA]).at(-1)).toMatchObject({
      name: "shop/v/no-route",
      matches: [],
      action: { kind: "respond", status: 404 },
    });
  });

  test("not where one takes all; what stands behind it is never reached", () => {
    const all = { name: "all", match: [{ uri: { prefix: "/" } }], ...TO_ORDERS };
    expect(routesOf([onlyA, all, onlyA]).map(({ name }) => name)).toEqual(["shop/v", "shop/v/all"]);
  });

  test("not on ports that no route is for", () => {
    expect(routesOf([{ match: [{ port: 81 }], ...TO_ORDERS }], { port: 80 })).toEqual([]);
    expect(routesOf([{ match: [{ port: 81 }], ...TO_ORDERS }], { port: 81 })).toHaveLength(1);
  });
});

describe("actions", () => {
  test("a redirect", () => {
    const [route] = routesOf([{ redirect: { uri: "/b", authority: "Other.example", redirectCode: 308 } }]);
    expect(route!.action).toEqual({
      kind: "redirect",
      redirect: {
        status: 308,
        scheme: null,
        authority: "other.example",
        port: null,
        path: { kind: "full", text: "/b" },
      },
    });
  });

  test("an answer of its own", () => {
    expect(routesOf([{ directResponse: { status: 503, body: { string: "later" } } }])[0]!.action).toEqual({
      kind: "respond",
      status: 503,
      body: "later",
    });
  });

  test("a rewrite of the prefix that was matched, which is kept for it", () => {
    const [route] = routesOf([{ match: [{ uri: { prefix: "/" } }], rewrite: { uri: "/v1/" }, ...TO_ORDERS }]);
    expect(route!.action).toMatchObject({ rewrite: { path: { kind: "prefix", text: "/v1/" }, authority: null } });
    expect(route!.matches).toMatchObject([{ path: { kind: "prefix", text: "/" } }]);
  });

  test("time-out, retries and headers", () => {
    const [route] = routesOf([
      {
        ...TO_ORDERS,
        timeout: "2s",
        retries: { attempts: 3, perTryTimeout: "500ms", retryOn: "5xx, 429 ,reset", backoff: "10ms" },
        headers: { response: { add: { "X-A": "100%%" }, remove: ["Server"] } },
      },
    ]);
    expect(route).toMatchObject({
      timeoutMs: 2_000,
      retry: { attempts: 3, perTryTimeoutMs: 500, backoffMs: 10, retriableStatuses: new Set([429]) },
      responseHeaders: { set: [], add: [["x-a", "100%"]], remove: ["server"] },
    });
    expect(route!.retry.retryOn).toEqual(new Set(["5xx", "reset", "retriable-status-codes"]));
  });
});

describe("whose VirtualService holds", () => {
  test("the one with the most specific host", () => {
    expect(nameOf([virtual("shop/a", ["*"]), virtual("pay/b", [ORDERS])])).toBe("pay/b");
    expect(nameOf([virtual("shop/a", ["*"])])).toBe("shop/a");
  });

  test("of several the client's own, then the service's", () => {
    const texts = [virtual("shop/a", [ORDERS]), virtual("pay/b", [ORDERS]), virtual("a/a", [ORDERS])];
    expect(nameOf(texts)).toBe("shop/a");
    expect(nameOf(texts, { namespace: "pay", labels: {} })).toBe("pay/b");
    expect(nameOf(texts, { namespace: "zoo", labels: {} })).toBe("shop/a");
  });

  test("none that is not exported to the client", () => {
    expect(nameOf([virtual("pay/b", [ORDERS], { exportTo: ["."] })])).toBeNull();
  });
});

describe("is refused", () => {
  test.each([
    [{ http: [TO_ORDERS] }, "spec.hosts: is required"],
    [{ hosts: [], http: [TO_ORDERS] }, "spec.hosts: must not be an empty list"],
    [{ hosts: ["a"] }, "spec.http: is required"],
    [{ hosts: ["a"], http: [TO_ORDERS], tcp: [] }, "spec.tcp: is not yet supported"],
    [{ hosts: ["a"], http: [TO_ORDERS], gateways: ["ingress", "mesh"] }, 'found "ingress"'],
    [one({}), "needs exactly one of route, redirect and directResponse"],
    [one({ ...TO_ORDERS, redirect: { uri: "/a" } }), "needs exactly one of"],
    [one({ ...TO_ORDERS, fault: {} }), "spec.http[0].fault: is not yet supported"],
    [one({ ...TO_ORDERS, mirror: {} }), "mirror: is not yet supported"],
    [one({ ...TO_ORDERS, corsPolicy: {} }), "corsPolicy: is not yet supported"],
    [one({ ...TO_ORDERS, delegate: {} }), "delegate: is not yet supported"],
    [one({ ...TO_ORDERS, timout: "1s" }), "unknown field; did you mean `timeout`?"],
    [one({ ...TO_ORDERS, match: [] }), "must not be an empty list"],
    [one({ route: [{ destination: { host: "*.a" } }] }), "nobody answers to a wildcard"],
    [one({ route: [{ destination: { host: "a" } }, { destination: { host: "b" } }] }), "weights are all 0"],
    [one({ redirect: { uri: "/a" }, timeout: "1s" }), "without a `route`"],
    [one({ redirect: { uri: "/a", redirectCode: 305 } }), "expected 301, 302"],
    [one({ redirect: { uri: "a" } }), "expected a path"],
    [one({ directResponse: { status: 100 } }), "from 200 to 599"],
    [one({ directResponse: { status: 200, body: { bytes: "eA==" } } }), "bytes: is not yet supported"],
    [one({ ...TO_ORDERS, rewrite: {} }), "rewrites nothing"],
    [one({ ...TO_ORDERS, rewrite: { uri: "/a/../b" } }), "expected a path"],
    [one({ ...TO_ORDERS, rewrite: { uri: "/a?b" } }), "expected a path"],
    [one({ ...TO_ORDERS, rewrite: { uri: "/%2e%2E/b" } }), "expected a path"],
    [one({ ...TO_ORDERS, rewrite: { authority: "a b" } }), "expected a host"],
    [one({ ...TO_ORDERS, rewrite: { uriRegexRewrite: {} } }), "is not yet supported"],
    [one({ ...TO_ORDERS, timeout: "soon" }), "expected a duration"],
    [one({ ...TO_ORDERS, retries: { perTryTimeout: "1s" } }), "retries.attempts: is required"],
    [one({ ...TO_ORDERS, retries: { attempts: 26 } }), "from 0 to 25"],
    [one({ ...TO_ORDERS, retries: { attempts: 1, retryOn: "5x" } }), "is no condition for a retry"],
    [one({ ...TO_ORDERS, retries: { attempts: 1, retryOn: "connect-failur" } }), "did you mean `connect-failure`?"],
    [one({ ...TO_ORDERS, retries: { attempts: 1, retryRemoteLocalities: true } }), "is not yet supported"],
    [one({ ...TO_ORDERS, headers: { request: { set: { Host: "a" } } } }), "use `rewrite.authority`"],
    [one({ ...TO_ORDERS, headers: { request: { add: { "Transfer-Encoding": "a" } } } }), "belongs to the connection"],
    [one({ ...TO_ORDERS, headers: { request: { set: { "x-envoy-x": "a" } } } }), "written by the sidecars alone"],
    [one({ ...TO_ORDERS, headers: { request: { remove: ["x-forwarded-client-cert"] } } }), "by the sidecars alone"],
    [one({ ...TO_ORDERS, headers: { request: { set: { a: "b\r\nc: d" } } } }), "expected a header's value"],
    [one({ ...TO_ORDERS, headers: { request: { set: { ":path": "/" } } } }), "expected the name of a header"],
    [one({ ...TO_ORDERS, headers: { request: { set: { a: "1", A: "2" } } } }), "a is given twice"],
    [one({ ...TO_ORDERS, headers: { request: { set: { a: "%REQ(B)%" } } } }), "a %…% of Envoy"],
    [matchedBy({ uri: {} }), "needs one of exact, prefix and regex"],
    [matchedBy({ uri: { exact: "/", prefix: "/" } }), "more than one of"],
    [matchedBy({ uri: { regex: "(?=a)" } }), "uses (?…)"],
    [matchedBy({ method: { exact: "get" } }), 'write "GET"'],
    [matchedBy({ headers: { uri: { exact: "a" } } }), "use the field `uri`"],
    [matchedBy({ headers: { "@request.auth.claims[a]": { exact: "a" } } }), "is not yet supported"],
    [matchedBy({ statPrefix: "a" }), "statPrefix: is not yet supported"],
    [matchedBy({ gateways: ["g"] }), 'found "g"'],
    [matchedBy({ sourceNamespace: "A" }), "expected a namespace"],
    [matchedBy({ port: 0 }), "from 1 to 65535"],
  ])("%j", (spec, message) => {
    const faults = faultsOf("VirtualService", spec);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(message);
  });
});

function destination(subset: string): object {
  return { host: "Orders.shop.svc.cluster.local", subset, port: { number: 81 } };
}

function virtual(id: string, hosts: readonly string[], more: object = {}): string {
  return documentText("VirtualService", id, { hosts, http: [TO_ORDERS], ...more });
}

/** The name of the first route, which tells whose document holds. */
function nameOf(texts: readonly string[], client = WEB): string | null {
  return trafficOf(compiled(texts, client), ORDERS, 80).routes[0]?.name ?? null;
}

function one(entry: object): object {
  return { hosts: ["a"], http: [entry] };
}

function matchedBy(fields: object): object {
  return one({ match: [fields], ...TO_ORDERS });
}
