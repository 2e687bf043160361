import type { ConnectionPool } from "../../traffic/service-traffic.ts";
import { DEFAULT_TRAFFIC_POLICY } from "../../traffic/default-traffic.ts";
import { LIMITS } from "../../core/limits.ts";

/** The connections to one member. */
export interface PoolUse {
  readonly connectionCount: number;
  readonly waitingCount: number;
  onRoom(): void;
}

/** What a traffic rule says of the connections to a backend, and how many there are. */
export class PoolSettings {
  /** Part of the connections' key: whoever has other settings has other connections. */
  readonly id: string;
  readonly connectTimeoutMs: number;
  readonly idleMs: number;
  readonly maxConnections: number;
  readonly maxPending: number;
  readonly requestsPerConnectionMax: number;
  readonly streamsMax: number;
  readonly durationMs: number;
  /** Those that share the bounds: one for each member that is spoken to. */
  readonly uses = new Set<PoolUse>();

  constructor(id: string, pool: ConnectionPool) {
    this.id = `${id} ${Object.values(pool).join()}`;
    this.connectTimeoutMs = unless(pool, "connectTimeoutMs", LIMITS.connectTimeoutMs);
    this.idleMs = unless(pool, "idleTimeoutMs", LIMITS.upstreamIdleMs);
    this.maxConnections = pool.maxConnections;
    this.maxPending = pool.maxPendingRequests;
    this.requestsPerConnectionMax = pool.maxRequestsPerConnection;
    this.streamsMax = pool.maxConcurrentStreams;
    this.durationMs = pool.maxConnectionDurationMs;
  }

  /** Whether another connection may be made, to whichever member. Asked only when there is none to spare. */
  get hasPlace(): boolean {
    if (this.maxConnections === Number.POSITIVE_INFINITY) return true;
    return sum(this.uses, (use) => use.connectionCount) < this.maxConnections;
  }

  /** Whether another request may wait for a connection. */
  get mayWait(): boolean {
    return this.maxPending === Number.POSITIVE_INFINITY || sum(this.uses, (use) => use.waitingCount) < this.maxPending;
  }

  /** A connection has gone. */
  makeRoom(): void {
    if (this.maxConnections === Number.POSITIVE_INFINITY) return;
    for (const use of this.uses) use.onRoom();
  }
}

/** Null where nothing was said: then the sidecar's own limits hold alone. */
export function poolSettingsOf(id: string, pool: ConnectionPool): PoolSettings | null {
  const standard = DEFAULT_TRAFFIC_POLICY.connectionPool;
  const isStandard = (Object.keys(standard) as (keyof ConnectionPool)[]).every((key) => pool[key] === standard[key]);
  return isStandard ? null : new PoolSettings(id, pool);
}

function sum(uses: Iterable<PoolUse>, count: (use: PoolUse) => number): number {
  let total = 0;
  for (const use of uses) total += count(use);
  return total;
}

/** What was not written has the sidecar's own value, which is shorter than Istio's default. */
function unless(pool: ConnectionPool, key: keyof ConnectionPool, ownMs: number): number {
  return pool[key] === DEFAULT_TRAFFIC_POLICY.connectionPool[key] ? ownMs : pool[key];
}
