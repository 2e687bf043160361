import type { Random } from "../../src/core/ports.ts";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import type { Endpoint, ServicePort } from "../../src/proxy/discovery/registry-snapshot.ts";
import type { Route } from "../../src/proxy/route.ts";
import { Backend, type BackendEvents } from "../../src/proxy/traffic/backend.ts";
import { KeptBodies } from "../../src/proxy/traffic/kept-body.ts";
import { createMember, type Member } from "../../src/proxy/traffic/member.ts";
import { DEFAULT_TRAFFIC_POLICY } from "../../src/traffic/default-traffic.ts";
import type { TrafficPolicy } from "../../src/traffic/service-traffic.ts";
import { createSimClock, type SimClock } from "./sim-clock.ts";
import { shopId } from "./test-authority.ts";

/** A workload of orders at a port of its own. */
export function endpointAt(port: number, changes: Partial<Endpoint> = {}): Endpoint {
  return {
    address: "127.0.0.1",
    port,
    containerPort: 80,
    hbonePort: null,
    spiffeId: parseSpiffeId(shopId("orders")),
    workload: `orders-${port}`,
    namespace: "shop",
    canonicalName: "orders",
    revision: "v1",
    ...changes,
  };
}

export function ordersRoute(endpoints: readonly Endpoint[]): Route {
  const port: ServicePort = { port: 80, protocol: "HTTP", endpoints };
  const ports = new Map([[80, port]]);
  return { service: { fqdn: "orders.shop.svc.cluster.local", namespace: "shop", name: "orders", ports }, port };
}

/** Members of orders at ports 1, 2, 3 … */
export function membersOf(count: number, sinceMs = Number.NEGATIVE_INFINITY): Member[] {
  const endpoints = Array.from({ length: count }, (_, index) => endpointAt(index + 1));
  const route = ordersRoute(endpoints);
  return endpoints.map((endpoint) =>
    createMember(route, endpoint, { sinceMs, settings: null, tls: "AUTO", carriage: "HTTP" }),
  );
}

/** Draws that look random and come again with the same seed (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  const float = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { float, bytes: (count) => Buffer.from(Array.from({ length: count }, () => Math.floor(float() * 256))) };
}

/** A backend of orders with a clock of its own, and what it told. */
export interface TestBackend {
  readonly backend: Backend;
  readonly clock: SimClock;
  /** `ejected 1 consecutive-5xx 30000`, `returned 1`, `retry`, `overflow requests`, in order. */
  readonly told: string[];
  /** Requests under way, by port. */
  readonly active: Map<number, number>;
  /** The registry knows these now. */
  register(ports: readonly number[]): void;
  memberAt(port: number): Member;
}

export function openBackend(policy: Partial<TrafficPolicy>, ports: readonly number[], seed = 1): TestBackend {
  const clock = createSimClock(0);
  const told: string[] = [];
  const active = new Map<number, number>();
  const random = seededRandom(seed);
  const events: BackendEvents = {
    onEjected: (_service, { target }, { reason, forMs }) => told.push(`ejected ${target.dialPort} ${reason} ${forMs}`),
    onReturned: (_service, { target }) => told.push(`returned ${target.dialPort}`),
    onLeft: () => told.push("left"),
    onRetry: () => told.push("retry"),
    onOverflow: (_service, limit) => told.push(`overflow ${limit}`),
  };
  const backend = new Backend({
    id: "orders",
    carriage: "HTTP",
    policy: { ...DEFAULT_TRAFFIC_POLICY, ...policy },
    parts: {
      clock,
      events,
      tries: { clock, random, bodies: new KeptBodies() },
      balancing: {
        random,
        nowMs: () => clock.monotonicMs(),
        activeAt: ({ target }) => active.get(target.dialPort) ?? 0,
      },
    },
  });
  const register = (list: readonly number[]) => {
    const endpoints = list.map((port) => endpointAt(port));
    backend.update(ordersRoute(endpoints), endpoints);
  };
  register(ports);
  const memberAt = (port: number) => backend.members.find(({ target }) => target.dialPort === port)!;
  return { backend, clock, told, active, register, memberAt };
}
