import { describe, expect, it } from "vitest";
import { CardeaError } from "../../src/core/errors.ts";
import { LIMITS } from "../../src/core/limits.ts";
import type { FlowRecord } from "../../src/observe/flow.ts";
import type { Endpoint } from "../../src/proxy/discovery/registry-snapshot.ts";
import { DEFAULT_TRAFFIC_POLICY } from "../../src/traffic/default-traffic.ts";
import type { Collected } from "../support/collected.ts";
import type { SimConnection } from "../support/sim-network.ts";
import { shopId } from "../support/test-authority.ts";
import { policySetOf } from "../support/test-mesh.ts";
import { openTrafficMesh, type TrafficMesh } from "../support/traffic-mesh.ts";

// A connection of opaque bytes that a workload does not take goes to another: nothing of it has been sent by then.

/** Ports on which nobody listens. */
const NOBODY_AT = [31_001, 31_002, 31_003, 31_004];
/** Of sim-mesh.ts. */
const ORDERS_APP_PORT = 9080;
const DEAD = { verdict: "error", reason: "upstream-connect-failed" };

describe.each([
  ["over mutual TLS of its own", false],
  ["through HBONE", true],
])("a TCP connection %s", (_way, hbone) => {
  const open = () => openTrafficMesh({ ordersProtocol: "TCP", hbone });

  it("goes to another workload when one is not there, and is recorded once", async () => {
    const mesh = await open();
    mesh.registerOrders([dead(mesh, 0), mesh.endpoints[1]]);
    // Which of the two comes first is chance.
    const callers = [];
    for (let i = 0; i < 8; i++) callers.push(await mesh.call(mesh.toOrders, `hello ${i}`));
    expect(mesh.secondApp.map((app) => app.text())).toEqual(Array.from({ length: 8 }, (_, i) => `hello ${i}`));
    await endAll(mesh, [...callers, ...mesh.secondApp]);
    expect(mesh.web.flows).toHaveLength(8);
    expect(mesh.web.flows.every(({ destination }) => destination.workload === "orders-2")).toBe(true);
    const [again, atOnce] = [2, null].map((attempts) => mesh.web.flows.filter((flow) => flow.attempts === attempts));
    expect(again!.length + atOnce!.length).toBe(8);
    expect(again!.length).toBeGreaterThan(0);
    expect(again!.every((flow) => flow.verdict === "allowed" && flow.retriedFor === DEAD.reason)).toBe(true);
  });

  it("is given up after two more tries, however many workloads there are", async () => {
    const mesh = await open();
    const dials = countDials(mesh);
    mesh.registerOrders(NOBODY_AT.map((_port, i) => dead(mesh, i)));
    const caller = await mesh.call(mesh.toOrders, "hello");
    expect(caller.error?.code).toBe("upstream-reset");
    expect(mesh.web.flows).toMatchObject([{ ...DEAD, attempts: 3, retriedFor: DEAD.reason }]);
    expect(new Set(dials()).size).toBe(3);
  });

  it("is not tried on the same workload again", async () => {
    const mesh = await open();
    const dials = countDials(mesh);
    mesh.registerOrders([dead(mesh, 0)]);
    await mesh.call(mesh.toOrders, "hello");
    expect(mesh.web.flows).toMatchObject([{ ...DEAD, attempts: null, retriedFor: null }]);
    expect(dials()).toHaveLength(1);
  });

  it("goes nowhere else when a workload proves to be another than the one that was meant", async () => {
    const mesh = await open();
    mesh.orders.identity.set(mesh.authority.issue(shopId("reports")));
    mesh.registerOrders([mesh.endpoints[0], dead(mesh, 0)]);
    const dials = countDials(mesh);
    // Until chance has begun with the one that is there.
    while (mesh.web.flows.every(({ reason }) => reason !== "peer-identity-mismatch"))
      await mesh.call(mesh.toOrders, "hello");
    expect(mesh.web.flows.at(-1)).toMatchObject({ verdict: "denied", reason: "peer-identity-mismatch" });
    expect(dials().at(-1)).not.toBe(NOBODY_AT[0]);
    expect(mesh.ordersApp.map((app) => app.text()).join("")).toBe("");
  });

  it("goes nowhere else when it is denied", async () => {
    const mesh = await open();
    for (const sidecar of [mesh.orders, mesh.second]) sidecar.policy.set(policySetOf([]));
    await mesh.call(mesh.toOrders, "hello");
    expect(mesh.web.flows).toHaveLength(1);
    expect([...mesh.orders.flows, ...mesh.second.flows]).toMatchObject([
      { verdict: "denied", reason: "default-action" },
    ]);
    expect([...mesh.ordersApp, ...mesh.secondApp]).toEqual([]);
  });

  it("goes nowhere else once its caller has gone", async () => {
    const mesh = await open();
    silence(mesh, 0);
    silence(mesh, 1);
    mesh.registerOrders([dead(mesh, 0), dead(mesh, 1)]);
    const dials = countDials(mesh);
    const caller = await mesh.call(mesh.proxy, "CONNECT orders:80 HTTP/1.1\r\nHost: orders:80\r\n\r\n");
    caller.connection.destroy({ reset: true });
    await mesh.pass(60_000);
    expect(dials()).toHaveLength(1);
    expect(mesh.web.flows).toMatchObject([{ reason: "downstream-reset", endedBy: "downstream", attempts: null }]);
  });

  it("goes to another workload when one is there and says nothing", async () => {
    const mesh = await open();
    silence(mesh, 0);
    mesh.registerOrders([dead(mesh, 0), mesh.endpoints[1]]);
    const callers = [];
    for (let i = 0; i < 12; i++) callers.push(await mesh.call(mesh.toOrders, "hello"));
    expect(mesh.secondApp.length).toBeLessThan(12);
    await mesh.pass(LIMITS.connectTimeoutMs);
    expect(mesh.secondApp.map((app) => app.text())).toEqual(Array.from({ length: 12 }, () => "hello"));
    await endAll(mesh, [...callers, ...mesh.secondApp]);
    const again = mesh.web.flows.filter(({ attempts }) => attempts === 2);
    expect(new Set(again.map(({ retriedFor }) => retriedFor))).toEqual(new Set(["upstream-connect-timeout"]));
  });
});

describe("where the rules allow no retries", () => {
  it("a TCP connection is tried once", async () => {
    const mesh = await openTrafficMesh({ ordersProtocol: "TCP" });
    const connectionPool = { ...DEFAULT_TRAFFIC_POLICY.connectionPool, maxRetries: 0 };
    mesh.rule({ policy: { ...DEFAULT_TRAFFIC_POLICY, connectionPool } });
    mesh.registerOrders([dead(mesh, 0), dead(mesh, 1)]);
    await mesh.call(mesh.toOrders, "hello");
    expect(mesh.web.flows).toMatchObject([{ ...DEAD, attempts: null }]);
  });
});

describe("behind a far sidecar", () => {
  it("an app that is not there has the connection go to another workload", async () => {
    const mesh = await openTrafficMesh({ ordersProtocol: "TCP", hbone: true });
    const { network } = mesh;
    const dial = network.dial.bind(network);
    network.dial = (to, options) => dial(to.port === ORDERS_APP_PORT ? { ...to, port: NOBODY_AT[0]! } : to, options);
    const callers = [];
    for (let i = 0; i < 6; i++) callers.push(await mesh.call(mesh.toOrders, "hello"));
    expect(mesh.secondApp).toHaveLength(6);
    await endAll(mesh, [...callers, ...mesh.secondApp]);
    expect(mesh.orders.flows.length).toBeGreaterThan(0);
    expect(mesh.orders.flows.every(({ reason }) => reason === "upstream-connect-failed")).toBe(true);
    // The far record of the try that failed is known to be of the same connection.
    const again = mesh.web.flows.filter(({ attempts }) => attempts === 2);
    expect(tracesOf(again)).toEqual(tracesOf(mesh.orders.flows));
  });
});

function dead(mesh: TrafficMesh, i: number): Endpoint {
  const [endpoint] = mesh.endpoints;
  const port = NOBODY_AT[i]!;
  return { ...endpoint, workload: `gone-${i}`, port, hbonePort: endpoint.hbonePort === null ? null : port };
}

/** Ports of workloads that are dialled from now on. */
function countDials(mesh: TrafficMesh): () => readonly number[] {
  const { network, endpoints } = mesh;
  const known = new Set([...NOBODY_AT, ...endpoints.flatMap(({ port, hbonePort }) => [port, hbonePort ?? port])]);
  const dial = network.dial.bind(network);
  const ports: number[] = [];
  network.dial = (to, options) => {
    ports.push(to.port);
    return dial(to, options);
  };
  return () => ports.filter((port) => known.has(port));
}

/** Whoever dials there hears nothing. */
function silence({ network, clock }: TrafficMesh, i: number): void {
  const dial = network.dial.bind(network);
  network.dial = (to, options) => {
    if (to.port !== NOBODY_AT[i]) return dial(to, options);
    return new Promise((_resolve, reject) => {
      clock.setTimer(options.timeoutMs, () => reject(new CardeaError("upstream-connect-timeout", "")));
    });
  };
}

async function endAll(mesh: TrafficMesh, ends: readonly Collected<SimConnection>[]): Promise<void> {
  for (const { connection } of ends) connection.end();
  await mesh.settle();
}

function tracesOf(flows: readonly FlowRecord[]): ReadonlySet<string | null> {
  return new Set(flows.map(({ traceId }) => traceId));
}
