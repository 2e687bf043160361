import { describe, expect, test } from "vitest";
import { DEFAULT_TRAFFIC_POLICY } from "../../../src/traffic/default-traffic.ts";
import { trafficOf } from "../../../src/traffic/traffic-set.ts";
import { compiled, documentText, faultsOf, ORDERS, WEB } from "./traffic-documents.ts";

function policyOf(trafficPolicy: object, port = 80) {
  return trafficOf(compiled([documentText("DestinationRule", "d", { host: "orders", trafficPolicy })]), ORDERS, port)
    .policy;
}

describe("the load balancer", () => {
  test.each([
    [{}, { kind: "least-request", slowStartMs: 0 }],
    [{ simple: "LEAST_CONN" }, { kind: "least-request", slowStartMs: 0 }],
    [
      { simple: "ROUND_ROBIN", warmup: { duration: "1m" } },
      { kind: "round-robin", slowStartMs: 60_000 },
    ],
    [{ warmupDurationSecs: "30s" }, { kind: "least-request", slowStartMs: 30_000 }],
    [{ simple: "RANDOM" }, { kind: "random" }],
    [
      { consistentHash: { httpHeaderName: "X-User" } },
      {
        kind: "consistent-hash",
        key: { from: "header", name: "x-user" },
        table: { kind: "ring-hash", minimumRingSize: 1_024 },
      },
    ],
    [
      { consistentHash: { httpCookie: { name: "sid", path: "/", ttl: "0s" }, maglev: {} } },
      {
        kind: "consistent-hash",
        key: { from: "cookie", name: "sid", path: "/", ttlMs: 0 },
        table: { kind: "maglev", tableSize: 65_537 },
      },
    ],
    [
      { consistentHash: { useSourceIp: true, ringHash: { minimumRingSize: 64 } } },
      {
        kind: "consistent-hash",
        key: { from: "source-ip" },
        table: { kind: "ring-hash", minimumRingSize: 64 },
      },
    ],
    [
      { consistentHash: { httpQueryParameterName: "user", minimumRingSize: 2_048 } },
      {
        kind: "consistent-hash",
        key: { from: "query", name: "user" },
        table: { kind: "ring-hash", minimumRingSize: 2_048 },
      },
    ],
  ])("%j", (loadBalancer, expected) => {
    expect(policyOf({ loadBalancer }).loadBalancer).toEqual(expected);
  });
});

test("the connection pool: what is written, and the defaults; 0 is no limit", () => {
  const tcp = { maxConnections: 5, connectTimeout: "1s", maxConnectionDuration: "1h", idleTimeout: "2m" };
  const http = { http1MaxPendingRequests: 6, http2MaxRequests: 7, maxRetries: 8, maxConcurrentStreams: 9 };
  expect(policyOf({ connectionPool: { tcp, http: { ...http, maxRequestsPerConnection: 0 } } }).connectionPool).toEqual({
    maxConnections: 5,
    connectTimeoutMs: 1_000,
    maxConnectionDurationMs: 3_600_000,
    idleTimeoutMs: 120_000,
    maxPendingRequests: 6,
    maxRequests: 7,
    maxRetries: 8,
    maxConcurrentStreams: 9,
    maxRequestsPerConnection: Infinity,
  });
  expect(policyOf({ connectionPool: { http: { idleTimeout: "0s" } } }).connectionPool.idleTimeoutMs).toBe(Infinity);
  expect(policyOf({ connectionPool: {} }).connectionPool).toEqual(DEFAULT_TRAFFIC_POLICY.connectionPool);
});

test("tls: by the registry without the block, else as it says", () => {
  expect(policyOf({}).tls).toBe("AUTO");
  expect(policyOf({ tls: { mode: "ISTIO_MUTUAL" } }).tls).toBe("ISTIO_MUTUAL");
  expect(policyOf({ tls: { mode: "DISABLE" } }).tls).toBe("DISABLE");
});

test("outlier detection: none without the block, Istio's defaults with it", () => {
  expect(policyOf({}).outlierDetection).toBeNull();
  expect(
    policyOf({ outlierDetection: { consecutiveGatewayErrors: 3, maxEjectionPercent: 0 } }).outlierDetection,
  ).toEqual({
    consecutive5xxErrors: 5,
    consecutiveGatewayErrors: 3,
    consecutiveLocalOriginFailures: 5,
    splitExternalLocalOriginErrors: false,
    intervalMs: 10_000,
    baseEjectionTimeMs: 30_000,
    maxEjectionPercent: 10,
    minHealthPercent: 0,
  });
});

describe("layers", () => {
  const layered = documentText("DestinationRule", "d", {
    host: "orders",
    trafficPolicy: {
      loadBalancer: { simple: "RANDOM" },
      outlierDetection: {},
      portLevelSettings: [{ port: { number: 81 }, connectionPool: { tcp: { maxConnections: 1 } } }],
    },
    subsets: [
      { name: "v1", labels: { version: "v1" } },
      { name: "v2", labels: { version: "v2" }, trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } } },
      {
        name: "v3",
        trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, outlierDetection: { interval: "1s" } }] },
      },
    ],
  });
  const at = (port: number) => trafficOf(compiled([layered]), ORDERS, port);

  test("a port's settings take nothing from those for all ports", () => {
    expect(at(80).policy).toMatchObject({
      loadBalancer: { kind: "random" },
      connectionPool: { maxConnections: Infinity },
    });
    expect(at(81).policy).toMatchObject({
      loadBalancer: { kind: "least-request" },
      connectionPool: { maxConnections: 1 },
      outlierDetection: null,
    });
  });

  test("a subset has the rule's blocks but for those that it writes itself", () => {
    const { subsets } = at(80);
    expect(subsets.get("v1")).toEqual({ labels: new Map([["version", "v1"]]), policy: at(80).policy });
    expect(subsets.get("v2")!.policy).toMatchObject({
      loadBalancer: { kind: "round-robin" },
      outlierDetection: { intervalMs: 10_000 },
    });
  });

  test("a subset's settings for a port hold there alone, and whole", () => {
    expect(at(80).subsets.get("v3")!.policy).toMatchObject({
      loadBalancer: { kind: "least-request" },
      outlierDetection: { intervalMs: 1_000 },
    });
    expect(at(82).subsets.get("v3")!.policy).toEqual(at(82).policy);
  });

  test("a subset takes the rule's settings for the port", () => {
    expect(at(81).subsets.get("v1")!.policy).toEqual(at(81).policy);
  });
});

describe("whose rule holds", () => {
  test("the client's own namespace comes first, however general its rule is", () => {
    const texts = [rule("shop/s", ORDERS, 1), rule("cardea-system/r", ORDERS, 2), rule("pay/p", "*.local", 3)];
    expect([most(texts, ORDERS, PAY), most(texts)]).toEqual([3, 1]);
  });

  test("then the service's, then the root namespace's", () => {
    const texts = [rule("cardea-system/r", "*.svc.cluster.local", 2), rule("shop/s", ORDERS, 1)];
    expect(most(texts, ORDERS, PAY)).toBe(1);
    expect(most(texts, "other.shop.svc.cluster.local", PAY)).toBe(2);
  });

  test("within a namespace the longest wildcard", () => {
    const texts = [rule("shop/a", "*", 1), rule("shop/b", "*.shop.svc.cluster.local", 2), rule("shop/c", "*.local", 3)];
    expect([most(texts), most(texts, "x.pay.svc.cluster.local"), most(texts, "example.com")]).toEqual([2, 3, 1]);
  });

  test("a rule of a third namespace does not, nor one of the service's that speaks of others", () => {
    const texts = [rule("pay/p", ORDERS, 1), rule("pay/w", "*.local", 2)];
    expect(most(texts)).toBe(Infinity);
    expect(most(texts, "x.pay.svc.cluster.local")).toBe(2);
  });

  test("a rule that is not exported to the client does not", () => {
    const texts = [
      rule("shop/s", ORDERS, 1, { exportTo: ["."] }),
      rule("cardea-system/r", ORDERS, 2, { exportTo: ["shop"] }),
    ];
    expect([most(texts), most(texts, ORDERS, PAY)]).toEqual([1, Infinity]);
  });

  test("a rule with a selector holds for the clients that it selects, in its own namespace alone", () => {
    const selector = { workloadSelector: { matchLabels: { app: "web" } } };
    const texts = [rule("shop/a", ORDERS, 1), rule("shop/b", ORDERS, 2, selector)];
    expect(most(texts)).toBe(2);
    expect(most(texts, ORDERS, { namespace: "shop", labels: { app: "other" } })).toBe(1);
    expect(most(texts, ORDERS, { namespace: "pay", labels: { app: "web" } })).toBe(1);
  });

  test("rules of one namespace for one host lend each other their subsets; the first policy by name holds", () => {
    const texts = [
      documentText("DestinationRule", "a", { host: "orders", subsets: [{ name: "x", labels: { v: "1" } }] }),
      rule("shop/b", ORDERS, 1, { subsets: [{ name: "x", labels: { v: "2" } }, { name: "y" }] }),
    ];
    const { subsets, policy } = trafficOf(compiled(texts), ORDERS, 80);
    expect([...subsets].map(([name, { labels }]) => [name, Object.fromEntries(labels)])).toEqual([
      ["x", { v: "1" }],
      ["y", {}],
    ]);
    expect(policy.connectionPool.maxConnections).toBe(1);
  });
});

describe("is refused", () => {
  test.each([
    [{}, "spec.host: is required"],
    [{ host: "" }, "spec.host: must not be empty"],
    [{ host: "a b" }, "spec.host: expected a host"],
    [{ host: "a.*.b" }, "spec.host: expected a host"],
    [{ host: "*a.b" }, "spec.host: expected a host"],
    [{ host: "a", trafficpolicy: {} }, "spec.trafficpolicy: unknown field; did you mean `trafficPolicy`?"],
    [lb({ simple: "PASSTHROUGH" }), "PASSTHROUGH is not taken"],
    [lb({ simple: "ROUNDROBIN" }), "did you mean `ROUND_ROBIN`?"],
    [lb({ simple: "RANDOM", consistentHash: { useSourceIp: true } }), "has both"],
    [lb({ consistentHash: {} }), "needs exactly one of httpHeaderName"],
    [lb({ consistentHash: { useSourceIp: false } }), "needs exactly one of"],
    [lb({ consistentHash: { useSourceIp: true, httpHeaderName: "a" } }), "needs exactly one of"],
    [lb({ consistentHash: { useSourceIp: true, maglev: { tableSize: 100 } } }), "must be a prime number"],
    [lb({ consistentHash: { useSourceIp: true, maglev: {}, ringHash: {} } }), "more than one of"],
    [
      lb({ consistentHash: { useSourceIp: true, ringHash: { minimumRingSize: 1e6 } } }),
      "a whole number from 0 to 65537",
    ],
    [lb({ simple: "RANDOM", warmupDurationSecs: "1s" }), "has a warmup"],
    [lb({ warmup: { duration: "1s", aggression: 2 } }), "aggression: is not yet supported"],
    [lb({ localityLbSetting: {} }), "localityLbSetting: is not yet supported"],
    [{ host: "a", trafficPolicy: { tls: { mode: "SIMPLE" } } }, "SIMPLE is not taken"],
    [{ host: "a", trafficPolicy: { tls: { mode: "MUTUAL" } } }, "MUTUAL is not taken"],
    [{ host: "a", trafficPolicy: { tls: { mode: "disable" } } }, "tls.mode: expected one of"],
    [{ host: "a", trafficPolicy: { tls: {} } }, "tls.mode: is required"],
    [{ host: "a", trafficPolicy: { retryBudget: {} } }, "retryBudget: is not yet supported"],
    [
      { host: "a", trafficPolicy: { connectionPool: { tcp: { connectTimeout: 5 } } } },
      "expected a string, found the number 5",
    ],
    [{ host: "a", trafficPolicy: { connectionPool: { tcp: { connectTimeout: "0s" } } } }, "must be at least 1ms"],
    [
      { host: "a", trafficPolicy: { connectionPool: { tcp: { tcpKeepalive: {} } } } },
      "tcpKeepalive: is not yet supported",
    ],
    [{ host: "a", trafficPolicy: { connectionPool: { http: { useClientProtocol: true } } } }, "is not yet supported"],
    [{ host: "a", trafficPolicy: { connectionPool: { http: { http2MaxRequests: -1 } } } }, "a whole number from 0"],
    [{ host: "a", trafficPolicy: { outlierDetection: { consecutiveErrors: 5 } } }, "write consecutive5xxErrors"],
    [{ host: "a", trafficPolicy: { outlierDetection: { maxEjectionPercent: 101 } } }, "from 0 to 100"],
    [{ host: "a", trafficPolicy: { outlierDetection: { interval: "0s" } } }, "must be at least 1ms"],
    [
      { host: "a", trafficPolicy: { portLevelSettings: [{ port: { number: 1 } }, { port: { number: 1 } }] } },
      "has two portLevelSettings for port 1",
    ],
    [{ host: "a", subsets: [{ name: "x" }, { name: "x" }] }, "has two subsets x"],
    [{ host: "a", subsets: [{ labels: {} }] }, "spec.subsets[0].name: is required"],
    [{ host: "a", exportTo: ["*", "shop"] }, "no other name may stand beside it"],
    [{ host: "a", exportTo: ["~"] }, "expected *, . or a namespace"],
    [{ host: "a", workloadSelector: { matchLabels: {} } }, "has no labels"],
  ])("%j", (spec, message) => {
    const faults = faultsOf("DestinationRule", spec);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(message);
  });
});

const PAY = { namespace: "pay", labels: {} };

function rule(id: string, host: string, maxConnections: number, more: object = {}): string {
  const trafficPolicy = { connectionPool: { tcp: { maxConnections } } };
  return documentText("DestinationRule", id, { host, trafficPolicy, ...more });
}

/** The greatest number of connections, which tells whose rule holds. */
function most(texts: readonly string[], fqdn = ORDERS, client = WEB): number {
  return trafficOf(compiled(texts, client), fqdn, 80).policy.connectionPool.maxConnections;
}

function lb(loadBalancer: object): object {
  return { host: "a", trafficPolicy: { loadBalancer } };
}
