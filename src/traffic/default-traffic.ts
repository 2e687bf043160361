import type { HeaderChanges, PortTraffic, RetryPolicy, ServiceTraffic, TrafficPolicy } from "./service-traffic.ts";

/** What holds where no document says anything. */
export const DEFAULT_TRAFFIC_POLICY: TrafficPolicy = Object.freeze({
  loadBalancer: Object.freeze({ kind: "least-request", slowStartMs: 0 }),
  connectionPool: Object.freeze({
    connectTimeoutMs: 10_000,
    maxConnections: Number.POSITIVE_INFINITY,
    maxPendingRequests: Number.POSITIVE_INFINITY,
    maxRequests: Number.POSITIVE_INFINITY,
    maxRetries: Number.POSITIVE_INFINITY,
    maxRequestsPerConnection: Number.POSITIVE_INFINITY,
    maxConcurrentStreams: Number.POSITIVE_INFINITY,
    maxConnectionDurationMs: Number.POSITIVE_INFINITY,
    idleTimeoutMs: 3_600_000,
  }),
  outlierDetection: null,
  tls: "AUTO",
});

export const NO_HEADER_CHANGES: HeaderChanges = Object.freeze({ set: [], add: [], remove: [] });

/** Istio's default: two more tries of what has certainly not been processed. */
export const DEFAULT_RETRY: RetryPolicy = Object.freeze({
  attempts: 2,
  perTryTimeoutMs: 0,
  retryOn: new Set([
    "connect-failure",
    "refused-stream",
    "unavailable",
    "cancelled",
    "retriable-status-codes",
  ] as const),
  retriableStatuses: new Set<number>(),
  isExplicit: false,
  backoffMs: 25,
});

export const DEFAULT_PORT_TRAFFIC: PortTraffic = Object.freeze({
  routes: [],
  policy: DEFAULT_TRAFFIC_POLICY,
  subsets: new Map(),
});

export const DEFAULT_TRAFFIC: ServiceTraffic = Object.freeze({ ports: new Map(), default: DEFAULT_PORT_TRAFFIC });
