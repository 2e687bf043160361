import { describe, expect, it } from "vitest";
import { openTracedMesh } from "../support/traced-mesh.ts";
import { say } from "../support/sim-mesh.ts";
import { BETWEEN, policySetOf } from "../support/test-mesh.ts";
import { answerAll, retryOn, routeTo } from "../support/traffic-mesh.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const from = (flags: string) => `traceparent: 00-${TRACE}-${PARENT}-${flags}\r\n`;

describe.each(BETWEEN)("spans of a request, with %s between the sidecars", (between) => {
  it("are one of each kind in both sidecars, from the caller's to the called app's", async () => {
    const mesh = await openTracedMesh({ between });
    mesh.registerOrders([mesh.endpoints[0]]);
    await mesh.get("/a?token=secret", from("01"));
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    const chain = [
      mesh.span("web", "SERVER"),
      mesh.span("web", "CLIENT"),
      mesh.span("orders", "SERVER"),
      mesh.span("orders", "CLIENT"),
    ];
    expect(new Set(chain.map(({ traceId }) => traceId))).toEqual(new Set([TRACE]));
    expect(chain.map(({ parentSpanId }) => parentSpanId)).toEqual([PARENT, ...chain.slice(0, 3).map((s) => s.spanId)]);
    expect(mesh.ordersApp[0]!.text()).toContain(`traceparent: 00-${TRACE}-${chain[3]!.spanId}-01\r\n`);
    // Sampled, and whether the parent is another process's.
    expect(chain.map(({ flags }) => flags)).toEqual([0x301, 0x101, 0x301, 0x101]);
    expect(JSON.stringify(mesh.spans)).not.toContain("secret");
    expect(mesh.spans).toHaveLength(4);
  });

  it("say what OpenTelemetry's conventions ask for, who both sides are, and who let it through", async () => {
    const mesh = await openTracedMesh({ between });
    mesh.registerOrders([mesh.endpoints[0]]);
    await mesh.get("/a");
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    const [flow] = mesh.orders.flows;
    const identities = {
      "cardea.source.principal": "spiffe://cluster.local/ns/shop/sa/web",
      "cardea.destination.principal": "spiffe://cluster.local/ns/shop/sa/orders",
    };
    const common = { "http.request.method": "GET", "server.address": "orders", "http.response.status_code": 200 };
    expect(mesh.span("orders", "SERVER")).toMatchObject({
      name: "GET",
      error: null,
      attributes: {
        ...common,
        ...identities,
        "url.path": "/a",
        "url.scheme": "http",
        "cardea.verdict": "allowed",
        "security_rule.ruleset.name": "shop/web-may",
        "security_rule.name": 0,
        "security_rule.version": "test-revision",
        "log.record.uid": flow!.id,
        "cardea.sampled_by": "caller",
      },
    });
    expect(mesh.span("web", "SERVER").attributes["cardea.sampled_by"]).toBe("ratio");
    expect(mesh.span("web", "CLIENT").attributes).toMatchObject({
      ...common,
      ...identities,
      "url.full": "http://orders/a",
      "network.peer.port": 8080,
    });
    expect(mesh.span("web", "CLIENT").attributes).not.toHaveProperty("http.request.resend_count");
  });

  it("have the ids of the flow records", async () => {
    const mesh = await openTracedMesh({ between });
    mesh.registerOrders([mesh.endpoints[0]]);
    await mesh.get("/a", from("01"));
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    const ids = { traceId: TRACE, spanId: mesh.span("web", "CLIENT").spanId, parentSpanId: PARENT };
    expect(mesh.web.flows).toMatchObject([ids]);
    const inner = { spanId: mesh.span("orders", "CLIENT").spanId, parentSpanId: ids.spanId };
    expect(mesh.orders.flows).toMatchObject([{ traceId: TRACE, ...inner }]);
  });

  it("are one for each try, with why it was not the last", async () => {
    const mesh = await openTracedMesh({ between });
    mesh.rule({ routes: [routeTo({ retry: retryOn(["5xx"], { attempts: 3 }) })] });
    await mesh.get("/a", from("01"));
    const first = mesh.ordersApp[0] ?? mesh.secondApp[0]!;
    say(first, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    await mesh.pass(2_000);
    const second = mesh.ordersApp[0] === first ? (mesh.secondApp[0] ?? mesh.ordersApp[1]!) : mesh.ordersApp[0]!;
    say(second, OK);
    await mesh.settle();
    const tries = mesh.spans.filter(({ by, kind }) => by === "web" && kind === "CLIENT");
    expect(tries).toMatchObject([
      { error: "503", attributes: { "http.response.status_code": 503, "error.type": "503" } },
      { error: null, attributes: { "http.response.status_code": 200, "http.request.resend_count": 1 } },
    ]);
    const asked = mesh.span("web", "SERVER");
    expect(tries.map(({ parentSpanId }) => parentSpanId)).toEqual([asked.spanId, asked.spanId]);
    const served = mesh.spans.filter(({ by, kind }) => by === "orders" && kind === "SERVER");
    expect(served.map(({ parentSpanId }) => parentSpanId)).toEqual(tries.map(({ spanId }) => spanId));
    expect(tries[0]!.endMs).toBeLessThanOrEqual(tries[1]!.startMs);
    expect(mesh.web.flows).toMatchObject([{ attempts: 2, spanId: tries[1]!.spanId }]);
  });

  it("of an upgrade last until the tunnel's end", async () => {
    const mesh = await openTracedMesh({ between });
    mesh.registerOrders([mesh.endpoints[0]]);
    const caller = await mesh.get("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    say(mesh.ordersApp[0]!, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    await mesh.pass(5_000);
    expect(mesh.spans).toEqual([]);
    caller.connection.end();
    mesh.ordersApp[0]!.connection.end();
    await mesh.settle();
    const { startMs, endMs, attributes } = mesh.span("web", "SERVER");
    expect(attributes["http.response.status_code"]).toBe(101);
    expect(endMs - startMs).toBeGreaterThanOrEqual(5_000);
    expect(mesh.spans).toHaveLength(4);
  });
});

describe("where nobody asked for spans", () => {
  it("there are none of what was let through, and the app is told so", async () => {
    const mesh = await openTracedMesh({ settings: { samplingPercentage: 0 } });
    mesh.registerOrders([mesh.endpoints[0]]);
    await mesh.get("/a");
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(mesh.spans).toEqual([]);
    expect(mesh.ordersApp[0]!.text()).toMatch(/traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-02\r\n/);
  });

  it("a denial has one all the same, with the id that explains it, and is marked", async () => {
    const mesh = await openTracedMesh({ settings: { samplingPercentage: 0 } });
    mesh.registerOrders([mesh.endpoints[0]]);
    mesh.orders.policy.set(policySetOf([]));
    const caller = await mesh.get("/a", from("00"));
    const [flow] = mesh.orders.flows;
    expect(caller.text()).toContain(`x-cardea-denial: ${flow!.id}\r\n`);
    expect(mesh.spans).toMatchObject([
      {
        by: "orders",
        kind: "SERVER",
        traceId: TRACE,
        spanId: flow!.spanId,
        flags: 0x300,
        // A client's error, by the conventions.
        error: null,
        attributes: { "http.response.status_code": 403, "cardea.verdict": "denied", "cardea.sampled_by": "denial" },
        events: [{ name: "cardea.denial", attributes: { "cardea.explain": `cardea explain ${flow!.id}` } }],
      },
    ]);
  });

  it.each([
    ["500 of the app's", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "500"],
    ["404, which is none", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", null],
  ])("an error has them: %s", async (_, answer, error) => {
    const mesh = await openTracedMesh({ settings: { samplingPercentage: 0 } });
    mesh.registerOrders([mesh.endpoints[0]]);
    await mesh.get("/a");
    say(mesh.ordersApp[0]!, answer);
    await mesh.settle();
    if (error === null) expect(mesh.spans).toEqual([]);
    else expect(mesh.spans.map((span) => span.error)).toEqual([error, error, error, error]);
  });

  it("an upstream that is gone makes the tries fail, and says how", async () => {
    const mesh = await openTracedMesh({ settings: { samplingPercentage: 0 } });
    await mesh.orders.sidecar.close();
    mesh.registerOrders([mesh.endpoints[0]]);
    await mesh.get("/a", from("00"));
    await mesh.pass(20_000);
    const tries = mesh.spans.filter(({ kind }) => kind === "CLIENT");
    expect(tries.length).toBeGreaterThan(0);
    for (const { attributes } of tries) expect(attributes["error.type"]).toBe("upstream-connect-failed");
    expect(mesh.span("web", "SERVER")).toMatchObject({
      parentSpanId: PARENT,
      attributes: { "http.response.status_code": 503, "cardea.sampled_by": "error" },
    });
  });
});

describe("a request that is sampled", () => {
  it("and comes to 404 has failed for who asked, not for who answered", async () => {
    const mesh = await openTracedMesh();
    mesh.registerOrders([mesh.endpoints[0]]);
    await mesh.get("/a");
    say(mesh.ordersApp[0]!, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    await mesh.settle();
    expect(mesh.span("web", "CLIENT").error).toBe("404");
    expect(mesh.span("web", "SERVER").error).toBeNull();
  });

  it("but is one too many in its second is counted, and not reported", async () => {
    const mesh = await openTracedMesh({ settings: { requestsPerSecond: 2 } });
    mesh.registerOrders([mesh.endpoints[0]]);
    for (let i = 0; i < 5; i++) {
      await mesh.get(`/${i}`, from("01"));
      answerAll(mesh.ordersApp, OK);
      await mesh.settle();
    }
    const served = mesh.spans.filter(({ by, kind }) => by === "orders" && kind === "SERVER");
    expect(served.map(({ attributes }) => attributes["url.path"])).toEqual(["/0", "/1"]);
    expect(mesh.skipped()).toBe(6);
    expect(mesh.ordersApp.map((app) => /traceparent: \S+-01\r\n/.test(app.text()))).not.toContain(false);
  });

  it("begins as a trace that is not recorded where that would be one too many", async () => {
    const mesh = await openTracedMesh({ settings: { requestsPerSecond: 2 } });
    for (let i = 0; i < 5; i++) await mesh.get(`/${i}`);
    const flags = [...mesh.ordersApp, ...mesh.secondApp].map(
      (app) => /traceparent: \S+-(\d\d)\r\n/.exec(app.text())![1],
    );
    expect(flags.toSorted((a, b) => a!.localeCompare(b!))).toEqual(["02", "02", "02", "03", "03"]);
  });

  it("has a method that nobody knows only as what it was, and never as a name", async () => {
    const mesh = await openTracedMesh();
    mesh.registerOrders([mesh.endpoints[0]]);
    await mesh.call(mesh.toOrders, "BREW /pot HTTP/1.1\r\nHost: orders\r\n\r\n");
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(mesh.span("orders", "SERVER")).toMatchObject({
      name: "HTTP",
      attributes: { "http.request.method": "_OTHER", "http.request.method_original": "BREW" },
    });
  });

  it("goes on in B3 where it came in B3, in both sidecars' spans", async () => {
    const mesh = await openTracedMesh();
    mesh.registerOrders([mesh.endpoints[0]]);
    await mesh.get("/a", `b3: ${TRACE}-${PARENT}-1\r\n`);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(mesh.ordersApp[0]!.text()).toContain(`b3: ${TRACE}-${mesh.span("orders", "CLIENT").spanId}-1-`);
    expect(mesh.ordersApp[0]!.text()).not.toContain("traceparent");
    expect(mesh.spans.map(({ traceId }) => traceId)).toEqual([TRACE, TRACE, TRACE, TRACE]);
  });
});

describe("a gRPC call", () => {
  const CALL =
    "POST /shop.Orders/Place HTTP/1.1\r\nHost: orders\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n";

  it.each([
    [0, null, null],
    [5, null, "5"],
    [7, null, "7"],
    [2, "2", "2"],
    [13, "13", "13"],
    [14, "14", "14"],
  ])("that ends with status %d has failed for who answered: %s, for who asked: %s", async (code, served, asked) => {
    const mesh = await openTracedMesh();
    mesh.registerOrders([mesh.endpoints[0]]);
    await mesh.call(mesh.toOrders, CALL);
    const head = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n";
    say(mesh.ordersApp[0]!, `${head}1\r\nx\r\n0\r\ngrpc-status: ${code}\r\n\r\n`);
    await mesh.settle();
    const [server, client] = [mesh.span("orders", "SERVER"), mesh.span("web", "CLIENT")];
    expect({ served: server.error, asked: client.error }).toEqual({ served, asked });
    const rpc = {
      "rpc.system": "grpc",
      "rpc.service": "shop.Orders",
      "rpc.method": "Place",
      "rpc.grpc.status_code": code,
    };
    for (const span of [server, client]) expect(span).toMatchObject({ name: "shop.Orders/Place", attributes: rpc });
  });

  it("of a path that is no method's has no name of it", async () => {
    const mesh = await openTracedMesh();
    mesh.registerOrders([mesh.endpoints[0]]);
    await mesh.call(mesh.toOrders, CALL.replace("/shop.Orders/Place", "/a%20b/c/d"));
    say(
      mesh.ordersApp[0]!,
      "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: 12\r\nContent-Length: 0\r\n\r\n",
    );
    await mesh.settle();
    expect(mesh.span("orders", "SERVER")).toMatchObject({ name: "POST", error: "12" });
  });
});

describe("documents", () => {
  const SAMPLED_NOT = { samplingPercentage: null, isReporting: true, tags: [] } as const;

  it("may switch reporting off at one side, and the decision goes on all the same", async () => {
    const mesh = await openTracedMesh();
    mesh.registerOrders([mesh.endpoints[0]]);
    mesh.tracing.get("web")!.choose({ client: { ...SAMPLED_NOT, isReporting: false }, server: SAMPLED_NOT });
    await mesh.get("/a");
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(mesh.spans.map(({ by }) => by)).toEqual(["orders", "orders"]);
  });

  it("may say another share, and tags for each span; what is taken back is as before", async () => {
    const mesh = await openTracedMesh({ settings: { samplingPercentage: 0 } });
    mesh.registerOrders([mesh.endpoints[0]]);
    const tracing = mesh.tracing.get("web")!;
    tracing.choose({
      client: { samplingPercentage: 100, isReporting: true, tags: [["env", "prod"]] },
      server: SAMPLED_NOT,
    });
    await mesh.get("/a");
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(mesh.spans.map(({ by, attributes }) => `${by} ${attributes["env"] ?? "-"}`)).toEqual([
      "orders -",
      "orders -",
      "web prod",
      "web prod",
    ]);
    tracing.choose(null);
    await mesh.get("/b");
    answerAll(mesh.ordersApp, OK);
    await mesh.settle();
    expect(mesh.spans).toHaveLength(4);
  });
});

it("opaque connections have no spans", async () => {
  const mesh = await openTracedMesh();
  const caller = await mesh.call(mesh.toLedger, "x");
  caller.connection.end();
  await mesh.settle();
  expect(mesh.spans).toEqual([]);
});
