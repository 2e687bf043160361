import { describe, expect, it } from "vitest";
import { CardeaError } from "../../src/core/errors.ts";
import { LIMITS } from "../../src/core/limits.ts";
import type { Connection } from "../../src/core/ports.ts";
import { DEFAULT_PORT_TRAFFIC, DEFAULT_TRAFFIC_POLICY } from "../../src/traffic/default-traffic.ts";
import type { OutlierDetection, TrafficPolicy } from "../../src/traffic/service-traffic.ts";
import { say } from "../support/sim-mesh.ts";
import { answerAll, openTrafficMesh, retryOn, routeTo, type TrafficMesh } from "../support/traffic-mesh.ts";

// What is done about workloads that fail, and what the flow records tell of it.

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const BAD = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

const OUTLIERS: OutlierDetection = {
  consecutive5xxErrors: 2,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 0,
  splitExternalLocalOriginErrors: false,
  intervalMs: 1_000,
  baseEjectionTimeMs: 10_000,
  maxEjectionPercent: 50,
  minHealthPercent: 0,
};

const ROUND_ROBIN = { kind: "round-robin", slowStartMs: 0 } as const;

function policyOf(changes: Partial<TrafficPolicy>): TrafficPolicy {
  return { ...DEFAULT_TRAFFIC_POLICY, loadBalancer: ROUND_ROBIN, ...changes };
}

describe("a workload whose sidecar was killed", () => {
  it("costs no request: each goes on to the other, a POST with its body, too", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule({ policy: policyOf({}) });
    await mesh.second.sidecar.close();
    const body = "POST /pay HTTP/1.1\r\nHost: o\r\nContent-Length: 5\r\n\r\nmoney";
    const callers = [
      await mesh.get(),
      await mesh.get(),
      await mesh.call(mesh.toOrders, body),
      await mesh.call(mesh.toOrders, body),
    ];
    answerAll(mesh.ordersApp, OK);
    await mesh.settle();
    for (const caller of callers) expect(caller.text()).toMatch(/hi$/);
    expect(mesh.ordersApp.filter((app) => app.text().endsWith("money"))).toHaveLength(2);
    const again = mesh.web.flows.filter(({ attempts }) => attempts === 2);
    expect(again).toHaveLength(2);
    for (const flow of again) {
      expect(flow).toMatchObject({
        status: 200,
        retriedFor: "upstream-connect-failed",
        destination: { workload: "orders-1" },
      });
    }
    await mesh.close();
  });

  it("is left out once it has failed often enough, and asked again in time", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule({ policy: policyOf({ outlierDetection: OUTLIERS }) });
    await mesh.second.sidecar.close();
    const call = async () => {
      await mesh.get();
      answerAll(mesh.ordersApp, OK);
      await mesh.settle();
      return mesh.web.flows.at(-1)!.attempts;
    };
    const attempts: unknown[] = [];
    for (let i = 0; i < 10; i++) attempts.push(await call());
    expect(attempts.filter((count) => count === 2)).toHaveLength(2);
    expect(attempts.slice(-5)).toEqual([1, 1, 1, 1, 1]);
    await mesh.pass(11_000);
    const later = [await call(), await call()];
    expect(new Set(later)).toEqual(new Set([1, 2]));
    expect(mesh.web.flows.every(({ status }) => status === 200)).toBe(true);
  });

  it("in the middle of an answer: the caller sees that it was cut off, and nothing is sent twice", async () => {
    const mesh = await openTrafficMesh();
    mesh.registerOrders([mesh.endpoints[1]]);
    mesh.rule({ routes: [routeTo({ retry: retryOn(["reset", "5xx"]) })] });
    const caller = await mesh.get();
    say(mesh.secondApp[0]!, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
    await mesh.settle();
    await mesh.second.sidecar.close();
    await mesh.pass(1_000);
    expect(caller.text()).toMatch(/part$/);
    expect(caller.isClosed).toBe(true);
    expect(mesh.web.flows).toMatchObject([{ attempts: 1, reason: "upstream-reset", route: "shop/orders" }]);
  });

  it("with requests under way: a rule for resets sends them again, without one they fail", async () => {
    for (const [conditions, status] of [
      [["reset"], 200],
      [["connect-failure"], 502],
    ] as const) {
      const mesh = await openTrafficMesh();
      mesh.rule({ policy: policyOf({}), routes: [routeTo({ retry: retryOn(conditions) })] });
      const callers = [await mesh.get("/1"), await mesh.get("/2"), await mesh.get("/3")];
      // What makes the connection to it known to be alive, so that it does not count as one that stood ready.
      const [, second] = [mesh.ordersApp, mesh.secondApp];
      say(second[0]!, "HTTP/1.1 103 Early Hints\r\n\r\n");
      await mesh.settle();
      await mesh.second.sidecar.close();
      await mesh.pass(1_000);
      answerAll(mesh.ordersApp, OK);
      await mesh.settle();
      const ended = callers.map((caller) => Number(caller.text().match(/HTTP\/1\.1 ([2-5]\d\d)/)?.[1]));
      expect(ended.filter((each) => each === 200).length).toBe(status === 200 ? 3 : 3 - second.length);
      expect(ended.filter((each) => each === 502).length).toBe(status === 502 ? second.length : 0);
      await mesh.close();
    }
  });
});

describe("a request whose body waits for leave", () => {
  it("gets it once, though each try asks for it", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule({ policy: policyOf({}), routes: [routeTo({ retry: retryOn(["5xx"], { backoffMs: 1 }) })] });
    const fields = "Host: orders\r\nContent-Length: 4\r\nExpect: 100-continue\r\n";
    const caller = await mesh.call(mesh.toOrders, `POST / HTTP/1.1\r\n${fields}\r\n`);
    const [first] = [...mesh.ordersApp, ...mesh.secondApp];
    say(first!, "HTTP/1.1 100 Continue\r\n\r\n");
    await mesh.settle();
    expect(caller.text()).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    say(caller, "body");
    await mesh.settle();
    say(first!, BAD);
    await mesh.settle();
    await mesh.pass(250);
    const second = [...mesh.ordersApp, ...mesh.secondApp].find((app) => app !== first);
    say(second!, `HTTP/1.1 100 Continue\r\n\r\n${OK}`);
    await mesh.settle();
    expect(second!.text()).toMatch(/\r\n\r\nbody$/);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [^]*hi$/);
    expect(mesh.web.flows).toMatchObject([{ attempts: 2, retriedFor: "503", status: 200 }]);
  });
});

describe("a workload that cannot be reached", () => {
  it("its SYNs dropped: the connect time-out passes, then another is asked", async () => {
    const mesh = await openTrafficMesh();
    const { connectionPool } = DEFAULT_TRAFFIC_POLICY;
    mesh.rule({ policy: policyOf({ connectionPool: { ...connectionPool, connectTimeoutMs: 700 } }) });
    swallowDials(mesh, mesh.endpoints[1].port);
    const callers = [await mesh.get(), await mesh.get()];
    await mesh.pass(500);
    expect(mesh.ordersApp).toHaveLength(1);
    await mesh.pass(250);
    answerAll(mesh.ordersApp, OK);
    await mesh.settle();
    for (const caller of callers) expect(caller.text()).toMatch(/hi$/);
    expect(mesh.web.flows.filter(({ retriedFor }) => retriedFor === "upstream-connect-timeout")).toHaveLength(1);
  });

  it("alone: tried as often as the rule says, with growing waits, then 503", async () => {
    const mesh = await openTrafficMesh();
    mesh.registerOrders([{ ...mesh.endpoints[0], port: 7 }]);
    const caller = await mesh.get();
    expect(caller.text()).toBe("");
    await mesh.pass(1_000);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 503 /);
    expect(mesh.web.flows).toMatchObject([
      { reason: "upstream-connect-failed", attempts: 3, retriedFor: "upstream-connect-failed" },
    ]);
  });

  it("proves to be another: that is a denial, and no other is asked", async () => {
    const mesh = await openTrafficMesh();
    mesh.registerOrders([
      { ...mesh.endpoints[0], spiffeId: mesh.endpoints[0].spiffeId.replace("orders", "pay") as never },
    ]);
    const caller = await mesh.get();
    await mesh.pass(1_000);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 502 /);
    expect(mesh.web.flows).toMatchObject([{ verdict: "denied", reason: "peer-identity-mismatch", attempts: null }]);
  });
});

describe("a workload of a TCP port that cannot be reached", () => {
  it.each([
    [OUTLIERS, 2],
    [null, 4],
  ])(
    "with %j is asked so often by eight connections, all of which get through: %d",
    async (outlierDetection, expected) => {
      const mesh = await openTrafficMesh();
      const snapshot = mesh.web.registry.get();
      const ledger = snapshot.lookup("ledger", "shop")!;
      const port = ledger.ports.get(5432)!;
      const endpoints = [...port.endpoints, { ...port.endpoints[0]!, port: 7, workload: "ledger-2" }];
      const changed = { ...ledger, ports: new Map([[5432, { ...port, endpoints }]]) };
      mesh.web.registry.set({ ...snapshot, lookup: () => changed });
      const service = {
        ports: new Map(),
        default: { ...DEFAULT_PORT_TRAFFIC, policy: policyOf({ outlierDetection }) },
      };
      mesh.web.traffic.set({ revision: "test", byService: new Map([[ledger.fqdn, service]]), bySuffix: new Map() });
      const dial = mesh.network.dial.bind(mesh.network);
      let asked = 0;
      mesh.network.dial = (to, options) => {
        if (to.port === 7) asked++;
        return dial(to, options);
      };
      for (let i = 0; i < 8; i++) await mesh.call(mesh.toLedger, "hello");
      expect(mesh.ledgerApp.map((app) => app.text())).toEqual(Array.from({ length: 8 }, () => "hello"));
      expect(asked).toBe(expected);
    },
  );
});

describe("a workload that takes requests and is silent", () => {
  it("perTryTimeout ends the try, and the rule sends it elsewhere", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule({
      policy: policyOf({ outlierDetection: OUTLIERS }),
      routes: [routeTo({ retry: retryOn(["reset"], { perTryTimeoutMs: 500 }) })],
    });
    const callers = [await mesh.get(), await mesh.get()];
    say(mesh.ordersApp[0]!, OK);
    await mesh.pass(750);
    answerAll(mesh.ordersApp, OK);
    await mesh.settle();
    for (const caller of callers) expect(caller.text()).toMatch(/hi$/);
    expect(mesh.web.flows).toMatchObject([
      { attempts: 1 },
      { attempts: 2, retriedFor: "upstream-timeout", status: 200 },
    ]);
  });

  it.each([
    ["GET", "GET / HTTP/1.1\r\nHost: o\r\n\r\n", /^HTTP\/1\.1 504 /],
    [
      "gRPC",
      "POST /a.B/C HTTP/1.1\r\nHost: o\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n",
      /grpc-status: 4\r\n/,
    ],
  ])("the route's time-out ends %s, tries included", async (_name, text, told) => {
    const mesh = await openTrafficMesh();
    mesh.rule({
      routes: [routeTo({ timeoutMs: 900, retry: retryOn(["reset"], { perTryTimeoutMs: 500, attempts: 9 }) })],
    });
    const caller = await mesh.call(mesh.toOrders, text);
    await mesh.pass(750);
    expect(caller.text()).toBe("");
    await mesh.pass(500);
    expect(caller.text()).toMatch(told);
    expect(mesh.web.flows).toMatchObject([{ reason: "upstream-timeout", attempts: 2 }]);
  });

  it("what a gRPC caller allows ends its call, and the next hop was told what is left", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule({ routes: [routeTo({ timeoutMs: 60_000 })] });
    const caller = await mesh.call(
      mesh.toOrders,
      "POST /a.B/C HTTP/1.1\r\nHost: o\r\ncontent-type: application/grpc\r\ngrpc-timeout: 2S\r\ncontent-length: 0\r\n\r\n",
    );
    const [app] = [...mesh.ordersApp, ...mesh.secondApp];
    expect(app!.text()).toContain("grpc-timeout: 2000m\r\n");
    await mesh.pass(1_750);
    expect(caller.text()).toBe("");
    await mesh.pass(500);
    expect(caller.text()).toMatch(/grpc-status: 4\r\n/);
  });

  it("half-open under a shared connection: the PING finds out, and a rule sends the request elsewhere", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule({ policy: policyOf({}), routes: [routeTo({ retry: retryOn(["reset"]) })] });
    const callers = [await mesh.get(), await mesh.get()];
    answerAll(mesh.ordersApp, OK);
    answerAll(mesh.secondApp, OK);
    await mesh.settle();
    // From here on nothing that web sends to the second arrives.
    mesh.network.swallow(mesh.endpoints[1].port);
    const more = [await mesh.get(), await mesh.get()];
    for (let i = 0; i < 4; i++) {
      answerAll(mesh.ordersApp, OK);
      await mesh.pass(LIMITS.http2PingTimeoutMs);
    }
    answerAll(mesh.ordersApp, OK);
    await mesh.settle();
    for (const caller of [...callers, ...more]) expect(caller.text()).toMatch(/hi$/);
    expect(mesh.web.flows.at(-1)).toMatchObject({ attempts: 2, status: 200, destination: { workload: "orders-1" } });
  });
});

describe("a workload that answers badly", () => {
  it("a rule for it asks another, and only as long as the caller has not been answered", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule({ policy: policyOf({}), routes: [routeTo({ retry: retryOn(["gateway-error"]) })] });
    const callers = [await mesh.get(), await mesh.get()];
    say(mesh.ordersApp[0]!, OK);
    answerAll(mesh.secondApp, BAD);
    await mesh.pass(500);
    answerAll(mesh.ordersApp, OK);
    await mesh.settle();
    for (const caller of callers) expect(caller.text()).toMatch(/^HTTP\/1\.1 200 /);
    expect(mesh.web.flows.filter(({ retriedFor }) => retriedFor === "503")).toHaveLength(1);
  });

  it.each([
    ["without a rule", undefined, "GET"],
    ["by the default conditions, a POST", retryOn(["5xx"], { isExplicit: false }), "POST"],
    ["with no tries left", retryOn(["5xx"], { attempts: 0 }), "GET"],
    ["for another status", retryOn(["retriable-status-codes"], { retriableStatuses: new Set([418]) }), "GET"],
  ])("%s it is the caller's answer", async (_name, retry, method) => {
    const mesh = await openTrafficMesh();
    if (retry !== undefined) mesh.rule({ routes: [routeTo({ retry })] });
    const caller = await mesh.call(mesh.toOrders, `${method} / HTTP/1.1\r\nHost: o\r\nContent-Length: 0\r\n\r\n`);
    answerAll([...mesh.ordersApp, ...mesh.secondApp], BAD);
    await mesh.pass(500);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 503 /);
    expect(mesh.ordersApp.length + mesh.secondApp.length).toBe(1);
  });

  it("a failing service is not stormed: no more than the budget is tried again at once", async () => {
    const mesh = await openTrafficMesh();
    mesh.rule({ policy: policyOf({}), routes: [routeTo({ retry: retryOn(["5xx"], { attempts: 5 }) })] });
    for (let i = 0; i < 40; i++) await mesh.get(`/${i}`);
    const first = mesh.ordersApp.length + mesh.secondApp.length;
    expect(first).toBe(40);
    answerAll([...mesh.ordersApp, ...mesh.secondApp], BAD);
    await mesh.pass(500);
    // A fifth of what is under way; that falls as those end whose retry is refused.
    const again = mesh.web.flows.length;
    expect(40 - again).toBeLessThanOrEqual(8);
    expect(40 - again).toBeGreaterThanOrEqual(3);
    expect(mesh.web.flows.every(({ status }) => status === 503)).toBe(true);
  });
});

describe("a body that is too long to be kept", () => {
  it.each([
    [LIMITS.retryBodyBytesMax, 200],
    [LIMITS.retryBodyBytesMax + 1, 503],
  ])("of %d bytes ends with %d when the first answer is a 503", async (bytes, status) => {
    const mesh = await openTrafficMesh();
    mesh.rule({ policy: policyOf({}), routes: [routeTo({ retry: retryOn(["5xx"]) })] });
    const text = `POST / HTTP/1.1\r\nHost: o\r\nContent-Length: ${bytes}\r\n\r\n${"x".repeat(bytes)}`;
    const callers = [await mesh.call(mesh.toOrders, text), await mesh.call(mesh.toOrders, text)];
    answerAll(mesh.secondApp, BAD);
    await mesh.pass(500);
    answerAll(mesh.ordersApp, OK);
    await mesh.settle();
    const statuses = callers.map((caller) => Number(caller.text().slice(9, 12)));
    expect(statuses.toSorted((left, right) => left - right)).toEqual([200, status]);
    for (const app of mesh.ordersApp) expect(app.text().split("\r\n\r\n")[1]).toHaveLength(bytes);
  });
});

/** Whoever dials the port waits for his time-out. */
function swallowDials(mesh: TrafficMesh, port: number): void {
  const dial = mesh.network.dial.bind(mesh.network);
  mesh.network.dial = (to, options) => {
    if (to.port !== port) return dial(to, options);
    return new Promise<Connection>((_, reject) => {
      const error = new CardeaError("upstream-connect-timeout", "no answer");
      mesh.clock.setTimer(options.timeoutMs, () => reject(error));
    });
  };
}
