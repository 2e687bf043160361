/**
 * What traffic documents (DestinationRule, VirtualService, HTTPRoute, GRPCRoute) say of one service, compiled for the data
 * path: frozen, all times in milliseconds, all shares in percent. Names and defaults are Istio's unless said otherwise.
 */
export interface ServiceTraffic {
  /** By service port; `default` for ports that are not listed. */
  readonly ports: ReadonlyMap<number, PortTraffic>;
  readonly default: PortTraffic;
}

/** What holds for one port of a service. */
export interface PortTraffic {
  /**
   * The first that matches holds. None at all: straight to the service's own workloads. Where there are some, the last
   * one takes what is left, with 404 if no document says otherwise.
   */
  readonly routes: readonly HttpRoute[];
  /** For requests to the service itself, without a subset. */
  readonly policy: TrafficPolicy;
  /** Parts of the service's workloads, by name. */
  readonly subsets: ReadonlyMap<string, Subset>;
}

/** Workloads with these labels, and what holds for them instead of the service's policy. */
export interface Subset {
  readonly labels: ReadonlyMap<string, string>;
  readonly policy: TrafficPolicy;
}

/** DestinationRule's `trafficPolicy`, with everything that was not written filled in. */
export interface TrafficPolicy {
  readonly loadBalancer: LoadBalancer;
  readonly connectionPool: ConnectionPool;
  /** Null: nobody is ejected. */
  readonly outlierDetection: OutlierDetection | null;
  readonly tls: ClientTls;
}

/** How a workload is spoken to. AUTO: in mutual TLS, but where it takes plaintext alone. DISABLE: in plaintext. */
export type ClientTls = "AUTO" | "ISTIO_MUTUAL" | "DISABLE";

export type LoadBalancer =
  | { readonly kind: "least-request"; readonly slowStartMs: number }
  | { readonly kind: "round-robin"; readonly slowStartMs: number }
  | { readonly kind: "random" }
  | { readonly kind: "consistent-hash"; readonly key: HashKey; readonly table: HashTable };

export type HashKey =
  | { readonly from: "header"; readonly name: string }
  | { readonly from: "query"; readonly name: string }
  | { readonly from: "cookie"; readonly name: string; readonly path: string | null; readonly ttlMs: number | null }
  | { readonly from: "source-ip" };

export type HashTable =
  | { readonly kind: "ring-hash"; readonly minimumRingSize: number }
  | { readonly kind: "maglev"; readonly tableSize: number };

/** Circuit breaking; Infinity: no limit but the sidecar's own (core/limits.ts). */
export interface ConnectionPool {
  readonly connectTimeoutMs: number;
  /** To one workload set, of this sidecar. */
  readonly maxConnections: number;
  /** Requests that wait for a connection. */
  readonly maxPendingRequests: number;
  /** Requests under way. */
  readonly maxRequests: number;
  /** Retries under way. */
  readonly maxRetries: number;
  /** After so many requests a connection is retired. */
  readonly maxRequestsPerConnection: number;
  /** Streams on one HTTP/2 connection. */
  readonly maxConcurrentStreams: number;
  readonly maxConnectionDurationMs: number;
  /** Without a request (HTTP) or a byte (TCP). */
  readonly idleTimeoutMs: number;
}

export interface OutlierDetection {
  /** 0 switches the kind off. */
  readonly consecutive5xxErrors: number;
  readonly consecutiveGatewayErrors: number;
  readonly consecutiveLocalOriginFailures: number;
  /** Whether failures to reach a workload are counted apart from what it answers. */
  readonly splitExternalLocalOriginErrors: boolean;
  readonly intervalMs: number;
  readonly baseEjectionTimeMs: number;
  readonly maxEjectionPercent: number;
  /** Below this share of healthy workloads ejections are ignored (panic). */
  readonly minHealthPercent: number;
}

/** One entry of a VirtualService's `http`, or one rule of an HTTPRoute or GRPCRoute. */
export interface HttpRoute {
  /** For the flow record: `namespace/name` of the document, and the entry's own name where it has one. */
  readonly name: string;
  /** One of them must match; none: every request does. */
  readonly matches: readonly HttpMatch[];
  readonly action: RouteAction;
  /** Of the whole exchange, retries included; 0: none. */
  readonly timeoutMs: number;
  readonly retry: RetryPolicy;
  readonly requestHeaders: HeaderChanges;
  readonly responseHeaders: HeaderChanges;
}

export type RouteAction =
  | {
      readonly kind: "forward";
      readonly destinations: readonly WeightedDestination[];
      readonly rewrite: Rewrite | null;
    }
  | { readonly kind: "redirect"; readonly redirect: Redirect }
  | { readonly kind: "respond"; readonly status: number; readonly body: string | null };

export interface WeightedDestination {
  /** As written, lower case: looked up as a request's host is. */
  readonly host: string;
  /** The namespace of the document, in which a short host is looked up. */
  readonly namespace: string;
  /** Null: the port that the request is for. */
  readonly port: number | null;
  readonly subset: string | null;
  /** The shares of a route's destinations need not add up to 100; at least one is above 0. */
  readonly weight: number;
  readonly requestHeaders: HeaderChanges;
  readonly responseHeaders: HeaderChanges;
}

export interface HttpMatch {
  readonly path: StringMatch | null;
  /** Matches the path without regard to case. */
  readonly ignorePathCase: boolean;
  readonly method: StringMatch | null;
  readonly authority: StringMatch | null;
  readonly scheme: StringMatch | null;
  /** Header names in lower case. `present`: must be there, whatever it says. */
  readonly headers: readonly NamedMatch[];
  readonly withoutHeaders: readonly NamedMatch[];
  readonly query: readonly NamedMatch[];
  readonly port: number | null;
  /** Of the calling workload; empty: of any. In a compiled set these, the namespace and the port are settled. */
  readonly sourceLabels: ReadonlyMap<string, string>;
  readonly sourceNamespace: string | null;
}

export interface NamedMatch {
  readonly name: string;
  readonly value: StringMatch | { readonly kind: "present" };
}

/** `segments`: Gateway API's PathPrefix, which ends at a slash. Regular expressions are matched whole, in linear time. */
export type StringMatch =
  | { readonly kind: "exact" | "prefix" | "segments"; readonly text: string }
  | { readonly kind: "regex"; readonly pattern: string; test(text: string): boolean };

export interface RetryPolicy {
  /** Tries after the first; 0: none. */
  readonly attempts: number;
  /** 0: none but the route's. */
  readonly perTryTimeoutMs: number;
  readonly retryOn: ReadonlySet<RetryCondition>;
  readonly retriableStatuses: ReadonlySet<number>;
  /** A document asks for it: then what may have been served is repeated whatever its method, as Istio does. */
  readonly isExplicit: boolean;
  /** The first wait; each further one is up to twice as long, with full jitter. */
  readonly backoffMs: number;
}

export const RETRY_CONDITIONS = [
  "5xx",
  "gateway-error",
  "reset",
  "reset-before-request",
  "connect-failure",
  "refused-stream",
  "retriable-4xx",
  "retriable-status-codes",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
] as const;
export type RetryCondition = (typeof RETRY_CONDITIONS)[number];

export interface HeaderChanges {
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly add: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

export interface Rewrite {
  /** `prefix`: replaces what the path match found; `full`: the whole path, the query stays. */
  readonly path: { readonly kind: "prefix" | "full"; readonly text: string } | null;
  readonly authority: string | null;
}

export interface Redirect {
  readonly status: number;
  readonly scheme: string | null;
  readonly authority: string | null;
  readonly port: number | null;
  readonly path: { readonly kind: "prefix" | "full"; readonly text: string } | null;
}
