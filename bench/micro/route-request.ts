import { createLatest } from "../../src/core/latest.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSystemRandom } from "../../src/io/random.ts";
import { createRegistrySnapshot } from "../../src/proxy/discovery/registry-snapshot.ts";
import { EgressRouter } from "../../src/proxy/egress.ts";
import { Backends } from "../../src/proxy/traffic/backends.ts";
import { KeptBodies } from "../../src/proxy/traffic/kept-body.ts";
import { DEFAULT_PORT_TRAFFIC, DEFAULT_TRAFFIC_POLICY } from "../../src/traffic/default-traffic.ts";
import type { PortTraffic } from "../../src/traffic/service-traffic.ts";
import { NO_TRAFFIC, type TrafficSet } from "../../src/traffic/traffic-set.ts";
import type { RequestHead } from "../../src/wire/http1-head.ts";
import { endpointAt } from "../../test/support/traffic.ts";
import { matchOf, routeTo } from "../../test/support/traffic-mesh.ts";

// What it costs to choose a request's workload, by what the traffic rules say. Run: node bench/micro/route-request.ts.
// Without rules it is a look into a map; nothing fails here.

const ROUNDS = 9;
const REQUESTS = 300_000;
const FQDN = "orders.shop.svc.cluster.local";

const HEAD = {
  method: "GET",
  path: "/orders/1?full=yes",
  host: "orders",
  headers: ["host", "orders", "user-agent", "bench", "accept", "*/*", "x-user", "ann"],
  upgrade: null,
  framing: { kind: "none" },
} as unknown as RequestHead;

const OUTLIERS = {
  consecutive5xxErrors: 5,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 0,
  splitExternalLocalOriginErrors: false,
  intervalMs: 10_000,
  baseEjectionTimeMs: 30_000,
  maxEjectionPercent: 10,
  minHealthPercent: 0,
};
const MAGLEV = {
  kind: "consistent-hash",
  key: { from: "header", name: "x-user" },
  table: { kind: "maglev", tableSize: 65_537 },
} as const;
const MISSES = Array.from({ length: 9 }, (_, index) =>
  routeTo({ matches: [matchOf({ path: { kind: "prefix", text: `/other-${index}` } })] }),
);

const rows: readonly (readonly [string, number, Partial<PortTraffic> | null])[] = [
  ["no rules, 1 workload", 1, null],
  ["no rules, 10 workloads", 10, null],
  ["outlier detection, 10 workloads", 10, { policy: { ...DEFAULT_TRAFFIC_POLICY, outlierDetection: OUTLIERS } }],
  ["Maglev by header, 10 workloads", 10, { policy: { ...DEFAULT_TRAFFIC_POLICY, loadBalancer: MAGLEV } }],
  ["the tenth route of ten, 10 workloads", 10, { routes: [...MISSES, routeTo()] }],
];
for (const [name, workloads, rules] of rows) {
  process.stdout.write(`${name.padEnd(40)} ${bestNanos(workloads, rules)} ns a request\n`);
}

/** Processor time, best of some rounds: the others were disturbed by whatever else the machine did. */
function bestNanos(workloads: number, rules: Partial<PortTraffic> | null): string {
  const egress = openEgress(workloads, rules);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    let chosen = 0;
    for (let i = 0; i < REQUESTS; i++) {
      const routed = egress.routeRequest(egress.route("orders", null), { head: HEAD, sourceIp: "127.0.0.1" });
      if (routed.at === "forward") chosen += routed.member.target.dialPort;
    }
    const spent = process.cpuUsage(before);
    if (chosen > 0) best = Math.min(best, ((spent.user + spent.system) * 1_000) / REQUESTS);
  }
  return best.toFixed(0);
}

function openEgress(workloads: number, rules: Partial<PortTraffic> | null): EgressRouter {
  const endpoints = Array.from({ length: workloads }, (_, index) => endpointAt(index + 1));
  const ports = new Map([[80, { port: 80, protocol: "HTTP" as const, endpoints }]]);
  const services = [{ fqdn: FQDN, namespace: "shop", name: "orders", ports }];
  const registry = createLatest(createRegistrySnapshot({ services, workloads: [] }));
  const random = createSystemRandom();
  const tries = { clock: systemClock, random, bodies: new KeptBodies() };
  const events = { onEjected() {}, onReturned() {}, onLeft() {}, onRetry() {}, onOverflow() {} };
  const balancing = { random, nowMs: () => systemClock.monotonicMs(), activeAt: () => 0 };
  const parts = { clock: systemClock, balancing, tries, events };
  const backends = new Backends({ registry, traffic: createLatest(setOf(rules)), parts });
  return new EgressRouter({ registry, namespace: "shop", labels: {}, ownPorts: [], backends, tries });
}

function setOf(rules: Partial<PortTraffic> | null): TrafficSet {
  if (rules === null) return NO_TRAFFIC;
  const service = { ports: new Map(), default: { ...DEFAULT_PORT_TRAFFIC, ...rules } };
  return { ...NO_TRAFFIC, byService: new Map([[FQDN, service]]) };
}
