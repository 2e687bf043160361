import { boolean, integer, object, oneOf, optional, parsed, refused, type ValueOf, NOT_YET } from "../core/schema.ts";
import { DEFAULT_TRAFFIC_POLICY } from "./default-traffic.ts";
import type { ConnectionPool } from "./service-traffic.ts";
import { DURATION, POSITIVE_DURATION } from "../core/duration-schema.ts";

const COUNT = integer({ min: 0, max: 2 ** 31 - 1 });

const USE_CLIENT_PROTOCOL = parsed(boolean(), (isUsed) => {
  if (isUsed) throw new Error(NOT_YET);
  return isUsed;
});

const H2_UPGRADE = parsed(oneOf("DEFAULT", "UPGRADE", "DO_NOT_UPGRADE"), (policy) => {
  if (policy === "DO_NOT_UPGRADE") throw new Error(`DO_NOT_UPGRADE ${NOT_YET}: sidecars speak HTTP/2 where both can`);
  return policy;
});

const FIELDS = object({
  tcp: optional(
    object({
      maxConnections: optional(COUNT),
      connectTimeout: optional(POSITIVE_DURATION),
      tcpKeepalive: refused(`${NOT_YET}; the sidecars keep their connections alive by settings of their own`),
      maxConnectionDuration: optional(POSITIVE_DURATION),
      idleTimeout: optional(DURATION),
    }),
  ),
  http: optional(
    object({
      http1MaxPendingRequests: optional(COUNT),
      http2MaxRequests: optional(COUNT),
      maxRequestsPerConnection: optional(COUNT),
      maxRetries: optional(COUNT),
      idleTimeout: optional(DURATION),
      h2UpgradePolicy: optional(H2_UPGRADE),
      useClientProtocol: optional(USE_CLIENT_PROTOCOL),
      maxConcurrentStreams: optional(COUNT),
      http2KeepAlive: refused(`${NOT_YET}; the sidecars probe their peers by settings of their own`),
    }),
  ),
});

/** DestinationRule's `connectionPool`. What is not written has its default, and so has 0, as in Istio. */
export const CONNECTION_POOL = parsed(FIELDS, (fields: ValueOf<typeof FIELDS>): ConnectionPool => {
  const { tcp, http } = fields;
  const otherwise = DEFAULT_TRAFFIC_POLICY.connectionPool;
  return {
    connectTimeoutMs: tcp?.connectTimeout ?? otherwise.connectTimeoutMs,
    maxConnections: tcp?.maxConnections || otherwise.maxConnections,
    maxPendingRequests: http?.http1MaxPendingRequests || otherwise.maxPendingRequests,
    maxRequests: http?.http2MaxRequests || otherwise.maxRequests,
    maxRetries: http?.maxRetries || otherwise.maxRetries,
    maxRequestsPerConnection: http?.maxRequestsPerConnection || otherwise.maxRequestsPerConnection,
    maxConcurrentStreams: http?.maxConcurrentStreams || otherwise.maxConcurrentStreams,
    maxConnectionDurationMs: tcp?.maxConnectionDuration ?? otherwise.maxConnectionDurationMs,
    idleTimeoutMs: idleTimeoutOf(http?.idleTimeout ?? tcp?.idleTimeout ?? otherwise.idleTimeoutMs),
  };
});

/** Here 0 is no default: it switches the time-out off. */
function idleTimeoutOf(ms: number): number {
  return ms === 0 ? Number.POSITIVE_INFINITY : ms;
}
