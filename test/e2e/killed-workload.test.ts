import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { DEFAULT_PORT_TRAFFIC, DEFAULT_TRAFFIC_POLICY } from "../../src/traffic/default-traffic.ts";
import { createRegistrySnapshot } from "../../src/proxy/discovery/registry-snapshot.ts";
import { shopId } from "../support/test-authority.ts";
import { openTestMesh, type TestMesh } from "../support/test-mesh.ts";
import { endpointAt } from "../support/traffic.ts";
import { retryOn, routeTo } from "../support/traffic-mesh.ts";

// Two workloads behind one service, real processes and sockets; one of them is killed while requests go to both.

const WORKLOAD = fileURLToPath(new URL("../support/tls-workload.mjs", import.meta.url));
const CALLERS = 8;
const BEFORE = 100;
/** How often that is, at most, until either workload has its share: the slower of two busy ones gets fewer requests. */
const ROUNDS_MAX = 20;
const AFTER = 300;

let mesh: TestMesh;
const workloads: ChildProcess[] = [];

afterEach(async () => {
  for (const workload of workloads) workload.kill("SIGKILL");
  await mesh.close();
});

it("a workload that is killed costs no idempotent request, is ejected, and then gets none", async () => {
  const nowhere = { host: "127.0.0.1", port: 9 };
  mesh = await openTestMesh({
    network: createSocketNetwork(),
    clock: systemClock,
    ordersApp: nowhere,
    ledgerApp: nowhere,
  });
  const endpoints = [await startWorkload("one"), await startWorkload("two")];
  registerOrders(endpoints);
  const counts = new Map<string, number>();
  const statuses = new Set<number | undefined>();
  const least = (): number => Math.min(counts.get("one") ?? 0, counts.get("two") ?? 0);
  for (let round = 0; round < ROUNDS_MAX && least() <= BEFORE / 5; round++) await ask(BEFORE, counts, statuses);
  expect(least()).toBeGreaterThan(BEFORE / 5);

  const load = ask(AFTER, counts, statuses);
  workloads[1]!.kill("SIGKILL");
  await load;
  expect(statuses).toEqual(new Set([200]));
  const again = mesh.web.flows.filter(({ attempts }) => attempts !== null && attempts > 1);
  expect(again.length).toBeGreaterThan(0);
  for (const flow of again)
    expect(flow).toMatchObject({ status: 200, destination: { workload: `orders-${endpoints[0]}` } });

  const seen = mesh.web.flows.length;
  await ask(50, counts, statuses);
  expect(statuses).toEqual(new Set([200]));
  expect(mesh.web.flows.slice(seen).every(({ attempts }) => attempts === 1)).toBe(true);
});

/** Asks so often, a few at a time. */
async function ask(count: number, counts: Map<string, number>, statuses: Set<number | undefined>): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CALLERS });
  const one = async () => {
    const [response] = (await once(http.get({ ...target(), agent }), "response")) as [http.IncomingMessage];
    let body = "";
    for await (const piece of response.setEncoding("utf8")) body += piece;
    counts.set(body, (counts.get(body) ?? 0) + 1);
    statuses.add(response.statusCode);
  };
  await Promise.all(Array.from({ length: count }, one));
  agent.destroy();
}

function target(): http.RequestOptions {
  const { host, port } = mesh.toOrders;
  return { host, port };
}

/** Resolves with its port. */
async function startWorkload(name: string): Promise<number> {
  const workload = spawn(process.execPath, [WORKLOAD], { stdio: ["pipe", "pipe", "inherit"] });
  workloads.push(workload);
  workload.stdin.end(
    JSON.stringify({ ...mesh.authority.issue(shopId("orders")).material, rootsPem: mesh.authority.bundle.pem, name }),
  );
  const [line] = (await once(workload.stdout.setEncoding("utf8"), "data")) as [string];
  return Number(line);
}

function registerOrders(ports: readonly number[]): void {
  const endpoints = ports.map((port) => endpointAt(port));
  const orders = { fqdn: "orders.shop.svc.cluster.local", namespace: "shop", name: "orders" };
  const port = { port: 80, protocol: "HTTP" as const, endpoints };
  mesh.web.registry.set(
    createRegistrySnapshot({ services: [{ ...orders, ports: new Map([[80, port]]) }], workloads: [] }),
  );
  const outlierDetection = {
    consecutive5xxErrors: 3,
    consecutiveGatewayErrors: 0,
    consecutiveLocalOriginFailures: 0,
    splitExternalLocalOriginErrors: false,
    intervalMs: 10_000,
    baseEjectionTimeMs: 60_000,
    maxEjectionPercent: 50,
    minHealthPercent: 0,
  };
  const rules = {
    ...DEFAULT_PORT_TRAFFIC,
    policy: { ...DEFAULT_TRAFFIC_POLICY, outlierDetection },
    routes: [routeTo({ retry: retryOn(["reset", "connect-failure"]) })],
  };
  const byService = new Map([[orders.fqdn, { ports: new Map(), default: rules }]]);
  mesh.web.traffic.set({ revision: "test", byService, bySuffix: new Map() });
}
