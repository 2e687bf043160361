import type { ConnectionPool } from "../../traffic/service-traffic.ts";
import { DEFAULT_TRAFFIC_POLICY } from "../../traffic/default-traffic.ts";
import { LIMITS } from "../../core/limits.ts";

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
  /** To all members, those that are being made included. */
  connections = 0;
  /** Requests that wait for one. */
  pending = 0;

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

  get hasPlace(): boolean {
    return this.connections < this.maxConnections;
  }
}

/** Null where nothing was said: then the sidecar's own limits hold alone. */
export function poolSettingsOf(id: string, pool: ConnectionPool): PoolSettings | null {
  const standard = DEFAULT_TRAFFIC_POLICY.connectionPool;
  const isStandard = (Object.keys(standard) as (keyof ConnectionPool)[]).every((key) => pool[key] === standard[key]);
  return isStandard ? null : new PoolSettings(id, pool);
}

/** What was not written has the sidecar's own value, which is shorter than Istio's default. */
function unless(pool: ConnectionPool, key: keyof ConnectionPool, ownMs: number): number {
  return pool[key] === DEFAULT_TRAFFIC_POLICY.connectionPool[key] ? ownMs : pool[key];
}
