import { describe, expect, it } from "vitest";
import { DEFAULT_TRAFFIC_POLICY, NO_HEADER_CHANGES } from "../../src/traffic/default-traffic.ts";
import type {
  ConnectionPool,
  HttpMatch,
  HttpRoute,
  RouteAction,
  StringMatch,
} from "../../src/traffic/service-traffic.ts";
import { say } from "../support/sim-mesh.ts";
import { answerAll, destination, matchOf, openTrafficMesh, routeTo } from "../support/traffic-mesh.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

const exact = (text: string): StringMatch => ({ kind: "exact", text });
const prefix = (text: string): StringMatch => ({ kind: "prefix", text });
const segments = (text: string): StringMatch => ({ kind: "segments", text });

const TEAPOT: RouteAction = { kind: "respond", status: 418, body: "short and stout" };

function answering(matches: readonly HttpMatch[]): HttpRoute {
  return routeTo({ name: "shop/teapot", matches, action: TEAPOT });
}

const to = (changes: Parameters<typeof destination>[0]): RouteAction => ({
  kind: "forward",
  destinations: [destination(changes)],
  rewrite: null,
});

const hashed = (from: object, table: object = { kind: "maglev", tableSize: 1_009 }) => ({
  policy: {
    ...DEFAULT_TRAFFIC_POLICY,
    loadBalancer: { kind: "consistent-hash", key: from, table } as never,
  },
});

const bounded = (changes: Partial<ConnectionPool>) => ({
  policy: { ...DEFAULT_TRAFFIC_POLICY, connectionPool: { ...DEFAULT_TRAFFIC_POLICY.connectionPool, ...changes } },
});

describe("a route holds", () => {
  const rows: readonly (readonly [string, Partial<HttpMatch>, string, boolean])[] = [
    ["by exact path", { path: exact("/a") }, "GET /a?q=1", true],
    ["not by more than it", { path: exact("/a") }, "GET /a/b", false],
    ["by prefix", { path: prefix("/a") }, "GET /ab", true],
    ["by whole segments", { path: segments("/a") }, "GET /a/b", true],
    ["by the segment itself", { path: segments("/a/") }, "GET /a", true],
    ["not by a part of a segment", { path: segments("/a") }, "GET /ab", false],
    ["whatever the case, where that is said", { path: exact("/A"), ignorePathCase: true }, "GET /a", true],
    ["by the case otherwise", { path: exact("/A") }, "GET /a", false],
    ["by method", { method: exact("PUT") }, "PUT /", true],
    ["not by another", { method: exact("PUT") }, "GET /", false],
    ["by authority", { authority: exact("orders:80") }, "GET /", true],
    ["not by another authority", { authority: exact("orders") }, "GET /", false],
    ["by a header", { headers: [{ name: "x-user", value: exact("ann") }] }, "GET /", true],
    ["not by another value", { headers: [{ name: "x-user", value: exact("an") }] }, "GET /", false],
    ["by a header's presence", { headers: [{ name: "x-user", value: { kind: "present" } }] }, "GET /", true],
    ["not by its absence", { headers: [{ name: "x-none", value: { kind: "present" } }] }, "GET /", false],
    ["without a header", { withoutHeaders: [{ name: "x-none", value: { kind: "present" } }] }, "GET /", true],
    ["not with it", { withoutHeaders: [{ name: "x-user", value: exact("ann") }] }, "GET /", false],
    ["by a query parameter", { query: [{ name: "b", value: exact("2") }] }, "GET /?a=1&b=2", true],
    ["not by another parameter's value", { query: [{ name: "a", value: exact("2") }] }, "GET /?a=1&b=2", false],
    ["by the service's port", { port: 80 }, "GET /", true],
    ["not by another port", { port: 81 }, "GET /", false],
    ["by the caller's namespace", { sourceNamespace: "shop" }, "GET /", true],
    ["not by another", { sourceNamespace: "bank" }, "GET /", false],
    ["not by labels that the caller has not", { sourceLabels: new Map([["app", "x"]]) }, "GET /", false],
    ["not by https", { scheme: exact("https") }, "GET /", false],
    ["only if all of it does", { path: exact("/a"), method: exact("PUT") }, "GET /a", false],
  ];
  it.each(rows)("%s", async (_name, match, request, holds) => {
    const mesh = await openTrafficMesh();
    mesh.rule({ routes: [answering([matchOf(match)])] });
    const caller = await mesh.call(
      mesh.proxy,
      `${request} HTTP/1.1\r\nHost: orders:80\r\nX-User: ann\r\nContent-Length: 0\r\n\r\n`,
    );
    expect(caller.text().startsWith("HTTP/1.1 418 ")).toBe(holds);
    expect(mesh.ordersApp.length + mesh.secondApp.length).toBe(holds ? 0 : 1);
  });

  it("the first that does, by one of its matches", async () => {
    const mesh = await openTrafficMesh();
    const routes = [answering([matchOf({ path: exact("/x") }), matchOf({ path: exact("/y") })]), routeTo()];
    mesh.rule({ routes });
    expect((await mesh.get("/y")).text()).toMatch(/^HTTP\/1\.1 418 /);
    expect((await mesh.get("/z")).text()).toBe("");
  });
});

describe("a rule's own answer", () => {
  it("is recorded with its route, as allowed, and nothing is forwarded", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule({ routes: [answering([])] });
    const caller = await mesh.get("/tea");
    expect(caller.text()).toMatch(/^HTTP\/1\.1 418 [^]*content-length: 15\r\n\r\nshort and stout$/i);
    expect(mesh.flows()).toMatchObject([
      {
        verdict: "allowed",
        reason: "route-answered",
        route: "shop/teapot",
        attempts: 0,
        status: 418,
        endedBy: "sidecar",
      },
    ]);
  });

  it.each([
    [{ scheme: "https", authority: null, port: null, path: null }, "https://orders/a?q=1"],
    [{ scheme: null, authority: "new.shop", port: null, path: null }, "http://new.shop/a?q=1"],
    [{ scheme: null, authority: null, port: 8443, path: null }, "http://orders:8443/a?q=1"],
    [{ scheme: "https", authority: "x", port: 443, path: null }, "https://x/a?q=1"],
    [{ scheme: null, authority: null, port: null, path: { kind: "full", text: "/b" } }, "http://orders/b?q=1"],
  ] as const)("redirects by %j", async (redirect, location) => {
    const mesh = await openTrafficMesh();
    mesh.rule({ routes: [routeTo({ action: { kind: "redirect", redirect: { status: 301, ...redirect } } })] });
    const caller = await mesh.get("/a?q=1");
    expect(caller.text()).toMatch(/^HTTP\/1\.1 301 /);
    expect(caller.text()).toContain(`location: ${location}\r\n`);
  });

  it("to HEAD has no body", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule({ routes: [answering([])] });
    const caller = await mesh.call(mesh.toOrders, "HEAD / HTTP/1.1\r\nHost: o\r\n\r\n");
    expect(caller.text()).toMatch(/content-length: 15\r\n/i);
    expect(caller.text()).not.toContain("stout");
  });
});

describe("a rule's destination", () => {
  const subsets = new Map([
    ["v1", { labels: new Map([["version", "v1"]]), policy: DEFAULT_TRAFFIC_POLICY }],
    ["v2", { labels: new Map([["version", "v2"]]), policy: DEFAULT_TRAFFIC_POLICY }],
    ["none", { labels: new Map([["tier", "gold"]]), policy: DEFAULT_TRAFFIC_POLICY }],
  ]);

  it("by subset: its workloads alone", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule({ subsets, routes: [routeTo({ action: to({ subset: "v2" }) })] });
    for (let i = 0; i < 6; i++) await mesh.get();
    expect([mesh.ordersApp.length, mesh.secondApp.length]).toEqual([0, 6]);
  });

  it("by weight: about as often, and never where the weight is 0", async () => {
    const mesh = await openTrafficMesh();
    const [v1, v2] = [destination({ subset: "v1", weight: 80 }), destination({ subset: "v2", weight: 20 })];
    const never = destination({ subset: "none", weight: 0 });
    mesh.rule({
      subsets,
      routes: [routeTo({ action: { kind: "forward", destinations: [never, v1, v2], rewrite: null } })],
    });
    for (let i = 0; i < 100; i++) await mesh.get();
    expect(mesh.ordersApp.length).toBeGreaterThan(65);
    expect(mesh.ordersApp.length).toBeLessThan(93);
    expect(mesh.ordersApp.length + mesh.secondApp.length).toBe(100);
  });

  it.each([
    ["a subset of nobody", { subset: "none" }, 503, "no-healthy-upstream"],
    ["an unknown subset", { subset: "v3" }, 502, "no-route"],
    ["an unknown service", { host: "payments" }, 502, "no-route"],
    ["an unknown port", { port: 81 }, 502, "no-route"],
    ["a port that is declared TCP", { host: "ledger", port: 5432 }, 502, "no-route"],
  ] as const)("%s is refused", async (_name, changes, status, reason) => {
    const mesh = await openTrafficMesh();
    mesh.rule({ subsets, routes: [routeTo({ action: to(changes) })] });
    const caller = await mesh.get();
    expect(caller.text()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(mesh.flows()).toMatchObject([{ verdict: "error", reason }]);
  });

  it.each([
    [{ kind: "prefix", text: "/new" }, matchOf({ path: prefix("/old") }), "/old/x?q=1", "/new/x?q=1"],
    [{ kind: "prefix", text: "/" }, matchOf({ path: segments("/old") }), "/old/x", "/x"],
    [{ kind: "prefix", text: "/new/" }, matchOf({ path: segments("/old/") }), "/old", "/new"],
    [{ kind: "prefix", text: "/" }, matchOf({ path: segments("/old") }), "/old", "/"],
    [{ kind: "full", text: "/all" }, matchOf({ path: prefix("/old") }), "/old/x?q", "/all?q"],
    [{ kind: "prefix", text: "/new" }, matchOf({ path: exact("/old") }), "/old?q", "/new?q"],
    [{ kind: "prefix", text: "/v1/" }, matchOf(), "/x", "/v1/x"],
  ] as const)("rewrites %j", async (path, match, asked, sent) => {
    const mesh = await openTrafficMesh();
    const action: RouteAction = {
      kind: "forward",
      destinations: [destination()],
      rewrite: { path, authority: "inner" },
    };
    mesh.rule({ routes: [routeTo({ matches: [match], action })] });
    await mesh.get(asked);
    expect([...mesh.ordersApp, ...mesh.secondApp][0]!.text()).toMatch(
      new RegExp(`^GET ${sent.replace("?", "\\?")} HTTP/1\\.1\r\nhost: inner\r\n`),
    );
  });

  it("changes fields both ways, and none that speaks of identity or frames the message", async () => {
    const mesh = await openTrafficMesh();
    const changes = {
      remove: ["x-gone", "host", "content-length"],
      set: [
        ["x-set", "new"],
        ["x-forwarded-client-cert", "URI=forged"],
        ["transfer-encoding", "chunked"],
      ],
      add: [
        ["x-add", "2"],
        ["x-cardea-denial", "forged"],
      ],
    } as const;
    mesh.rule({
      routes: [routeTo({ requestHeaders: changes, responseHeaders: { ...NO_HEADER_CHANGES, add: [["x-seen", "1"]] } })],
    });
    const caller = await mesh.get("/", "X-Gone: 1\r\nX-Set: old\r\nX-Add: 1\r\n");
    const [app] = [...mesh.ordersApp, ...mesh.secondApp];
    const text = app!.text().toLowerCase();
    expect(text).toMatch(/\r\nx-add: 1\r\n[^]*x-set: new\r\n[^]*x-add: 2\r\n/);
    for (const word of ["x-gone", "old", "forged", "chunked"]) expect(text).not.toContain(word);
    expect(text).toContain("host: orders\r\n");
    say(app!, OK);
    await mesh.settle();
    expect(caller.text()).toContain("x-seen: 1\r\n");
  });
});

describe("consistent hashing", () => {
  it.each([
    { kind: "maglev", tableSize: 1_009 },
    { kind: "ring-hash", minimumRingSize: 64 },
  ])("by header with %j: the same key, the same workload; of many keys both get some", async (table) => {
    const mesh = await openTrafficMesh();
    mesh.rule(hashed({ from: "header", name: "x-user" }, table));
    for (let i = 0; i < 5; i++) await mesh.get("/", "X-User: ann\r\n");
    expect([mesh.ordersApp.length, mesh.secondApp.length].toSorted((left, right) => left - right)).toEqual([0, 5]);
    for (let i = 0; i < 20; i++) await mesh.get("/", `X-User: user-${i}\r\n`);
    expect(Math.min(mesh.ordersApp.length, mesh.secondApp.length)).toBeGreaterThan(2);
  });

  it("by cookie: who has none is given one, and comes back by it", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule(hashed({ from: "cookie", name: "stick", path: "/", ttlMs: 60_000 }));
    const caller = await mesh.get();
    answerAll([...mesh.ordersApp, ...mesh.secondApp], OK);
    await mesh.settle();
    const [, cookie] = caller.text().match(/set-cookie: (stick=[0-9a-f]{16}); Max-Age=60; Path=\/; HttpOnly\r\n/)!;
    const first = mesh.ordersApp.length > 0 ? "orders-1" : "orders-2";
    for (let i = 0; i < 6; i++) {
      const again = await mesh.get("/", `Cookie: other=1; ${cookie}\r\n`);
      answerAll([...mesh.ordersApp, ...mesh.secondApp], OK);
      await mesh.settle();
      expect(again.text()).not.toContain("set-cookie");
    }
    expect(new Set(mesh.web.flows.map(({ destination: { workload } }) => workload))).toEqual(new Set([first]));
  });

  it.each([
    [{ from: "query", name: "id" }, "/?id=7"],
    [{ from: "source-ip" }, "/"],
  ])("by %j", async (from, path) => {
    const mesh = await openTrafficMesh();
    mesh.rule(hashed(from));
    for (let i = 0; i < 5; i++) await mesh.get(path);
    expect([mesh.ordersApp.length, mesh.secondApp.length].toSorted((left, right) => left - right)).toEqual([0, 5]);
  });

  it("a request without the key goes anywhere", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule(hashed({ from: "header", name: "x-user" }));
    for (let i = 0; i < 20; i++) await mesh.get();
    expect(Math.min(mesh.ordersApp.length, mesh.secondApp.length)).toBeGreaterThan(2);
  });
});

describe("circuit breaking", () => {
  it("maxRequests: one too many gets 503 at once, and its connection stays", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule(bounded({ maxRequests: 2 }));
    await mesh.get();
    await mesh.get();
    const caller = await mesh.get();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 503 /);
    expect(caller.isClosed).toBe(false);
    expect(mesh.web.flows).toMatchObject([{ verdict: "error", reason: "upstream-overflow", status: 503 }]);
    answerAll([...mesh.ordersApp, ...mesh.secondApp], OK);
    await mesh.settle();
    say(caller, "GET / HTTP/1.1\r\nHost: o\r\n\r\n");
    await mesh.settle();
    answerAll([...mesh.ordersApp, ...mesh.secondApp], OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
  });

  it("http1MaxPendingRequests: one too many that waits for a connection gets 503", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule(bounded({ maxPendingRequests: 2 }));
    mesh.network.startTls = () => new Promise(() => {});
    await mesh.get();
    await mesh.get();
    const caller = await mesh.get();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 503 /);
    expect(mesh.web.flows).toMatchObject([{ reason: "upstream-overflow" }]);
  });

  it("maxConnections: over HTTP/1.1 the next request waits for a free one", async () => {
    const mesh = await openTrafficMesh({ between: "http/1.1" });
    mesh.registerOrders([mesh.endpoints[0]]);
    mesh.rule(bounded({ maxConnections: 2 }));
    const callers = [await mesh.get("/1"), await mesh.get("/2"), await mesh.get("/3")];
    expect(mesh.ordersApp).toHaveLength(2);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    answerAll(mesh.ordersApp, OK);
    await mesh.settle();
    for (const caller of callers) expect(caller.text()).toMatch(/hi$/);
    expect(new Set(mesh.orders.flows.map(({ source }) => source.port)).size).toBe(2);
  });

  it.each(["http/1.1", "h2"] as const)("maxRequestsPerConnection over %s: then another is made", async (between) => {
    const mesh = await openTrafficMesh({ between });
    mesh.registerOrders([mesh.endpoints[0]]);
    mesh.rule(bounded({ maxRequestsPerConnection: 2 }));
    for (let i = 0; i < 6; i++) {
      const caller = await mesh.get();
      answerAll(mesh.ordersApp, OK);
      await mesh.settle();
      expect(caller.text()).toMatch(/hi$/);
    }
    expect(new Set(mesh.orders.flows.map(({ source }) => source.port)).size).toBe(3);
  });

  it("maxConcurrentStreams: as many as that share a connection", async () => {
    const mesh = await openTrafficMesh();
    mesh.registerOrders([mesh.endpoints[0]]);
    mesh.rule(bounded({ maxConcurrentStreams: 2 }));
    const callers = [await mesh.get(), await mesh.get(), await mesh.get(), await mesh.get(), await mesh.get()];
    answerAll(mesh.ordersApp, OK);
    await mesh.settle();
    for (const caller of callers) expect(caller.text()).toMatch(/hi$/);
    const ports = mesh.orders.flows.map(({ source }) => source.port);
    expect(Math.max(...ports.map((port) => ports.filter((each) => each === port).length))).toBe(2);
  });

  it.each(["http/1.1", "h2"] as const)("maxConnectionDuration over %s: what is under way finishes", async (between) => {
    const mesh = await openTrafficMesh({ between });
    mesh.registerOrders([mesh.endpoints[0]]);
    mesh.rule(bounded({ maxConnectionDurationMs: 10_000 }));
    const old = await mesh.get("/old");
    await mesh.pass(11_000);
    const young = await mesh.get("/young");
    expect(mesh.ordersApp).toHaveLength(2);
    answerAll(mesh.ordersApp, OK);
    await mesh.settle();
    expect(old.text()).toMatch(/hi$/);
    expect(young.text()).toMatch(/hi$/);
    expect(new Set(mesh.orders.flows.map(({ source }) => source.port)).size).toBe(2);
  });

  it("idleTimeout closes what nobody uses", async () => {
    const mesh = await openTrafficMesh();
    mesh.registerOrders([mesh.endpoints[0]]);
    mesh.rule(bounded({ idleTimeoutMs: 2_000 }));
    await mesh.get();
    answerAll(mesh.ordersApp, OK);
    await mesh.pass(3_000);
    await mesh.get();
    answerAll(mesh.ordersApp, OK);
    await mesh.settle();
    expect(new Set(mesh.orders.flows.map(({ source }) => source.port)).size).toBe(2);
  });
});

describe("rules that change", () => {
  it("hold from the next request on", async () => {
    const mesh = await openTrafficMesh();
    await mesh.get();
    mesh.rule({ routes: [answering([])] });
    expect((await mesh.get()).text()).toMatch(/^HTTP\/1\.1 418 /);
    mesh.rule({});
    expect((await mesh.get()).text()).toBe("");
  });

  it("a service that is registered no more is forgotten, and found again", async () => {
    const mesh = await openTrafficMesh();
    await mesh.get();
    const known = mesh.web.registry.get();
    mesh.web.registry.set({ ...known, lookup: () => null });
    expect((await mesh.get()).text()).toMatch(/^HTTP\/1\.1 502 /);
    mesh.web.registry.set(known);
    expect((await mesh.get()).text()).toBe("");
  });
});
