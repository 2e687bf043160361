import { LIMITS } from "../core/limits.ts";
import {
  boolean,
  integer,
  object,
  oneOf,
  optional,
  parsed,
  refused,
  required,
  string,
  type ValueOf,
  NOT_YET,
} from "../core/schema.ts";
import { HEADER_NAME } from "../core/header-names.ts";
import type { HashKey, HashTable, LoadBalancer } from "./service-traffic.ts";
import { DURATION, POSITIVE_DURATION } from "../core/duration-schema.ts";

/** Envoy's default, which Istio keeps. */
const RING_SIZE_WHEN_ABSENT = 1_024;
const MAGLEV_SIZE_WHEN_ABSENT = 65_537;

const TABLE_SIZE = integer({ min: 0, max: LIMITS.hashTableEntriesMax });

const MAGLEV_SIZE = parsed(TABLE_SIZE, (size) => {
  if (size === 0 || isPrime(size)) return size;
  throw new Error(`must be a prime number, and ${size} is none`);
});

const COOKIE = object({
  name: required(string()),
  path: optional(string()),
  ttl: optional(DURATION),
  attributes: refused(NOT_YET),
});

const CONSISTENT_HASH = object({
  httpHeaderName: optional(HEADER_NAME),
  httpCookie: optional(COOKIE),
  useSourceIp: optional(boolean()),
  httpQueryParameterName: optional(string()),
  ringHash: optional(object({ minimumRingSize: optional(TABLE_SIZE) })),
  maglev: optional(object({ tableSize: optional(MAGLEV_SIZE) })),
  minimumRingSize: optional(TABLE_SIZE),
});

const FIELDS = object({
  simple: optional(oneOf("UNSPECIFIED", "LEAST_REQUEST", "LEAST_CONN", "ROUND_ROBIN", "RANDOM", "PASSTHROUGH")),
  consistentHash: optional(CONSISTENT_HASH),
  warmup: optional(
    object({ duration: required(POSITIVE_DURATION), minimumPercent: refused(NOT_YET), aggression: refused(NOT_YET) }),
  ),
  warmupDurationSecs: optional(POSITIVE_DURATION),
  localityLbSetting: refused(`${NOT_YET}: workloads have no locality here`),
  zoneAwareLbSetting: refused(`${NOT_YET}: workloads have no zone here`),
});

/** DestinationRule's `loadBalancer`. */
export const LOAD_BALANCER = parsed(FIELDS, (fields): LoadBalancer => {
  const { simple, consistentHash, warmup, warmupDurationSecs } = fields;
  if (simple !== null && consistentHash !== null)
    throw new Error("has both `simple` and `consistentHash`: one is meant");
  if (warmup !== null && warmupDurationSecs !== null)
    throw new Error("has both `warmup` and the older `warmupDurationSecs`");
  const slowStartMs = warmup?.duration ?? warmupDurationSecs ?? 0;
  const kind = consistentHash === null ? kindOf(simple) : "consistent-hash";
  if (kind === "least-request" || kind === "round-robin") return { kind, slowStartMs };
  if (slowStartMs > 0) throw new Error("has a warmup, which only LEAST_REQUEST and ROUND_ROBIN know");
  if (kind === "random") return { kind };
  return { kind, key: hashKeyOf(consistentHash!), table: hashTableOf(consistentHash!) };
});

function kindOf(simple: ValueOf<typeof FIELDS>["simple"]): "least-request" | "round-robin" | "random" {
  switch (simple) {
    case null:
    case "UNSPECIFIED":
    case "LEAST_CONN":
    case "LEAST_REQUEST":
      return "least-request";
    case "ROUND_ROBIN":
      return "round-robin";
    case "RANDOM":
      return "random";
    case "PASSTHROUGH":
      throw new Error("PASSTHROUGH is not taken: a sidecar sends to workloads that it knows, by their identity");
  }
}

function hashKeyOf(hash: ValueOf<typeof CONSISTENT_HASH>): HashKey {
  const keys: HashKey[] = [];
  if (hash.httpHeaderName !== null) keys.push({ from: "header", name: hash.httpHeaderName });
  if (hash.httpQueryParameterName !== null) keys.push({ from: "query", name: hash.httpQueryParameterName });
  if (hash.useSourceIp === true) keys.push({ from: "source-ip" });
  if (hash.httpCookie !== null) {
    const { name, path, ttl } = hash.httpCookie;
    keys.push({ from: "cookie", name, path, ttlMs: ttl });
  }
  if (keys.length === 1) return keys[0]!;
  throw new Error(
    "`consistentHash` needs exactly one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName",
  );
}

function hashTableOf({ ringHash, maglev, minimumRingSize }: ValueOf<typeof CONSISTENT_HASH>): HashTable {
  if ([ringHash, maglev, minimumRingSize].filter((each) => each !== null).length > 1)
    throw new Error("`consistentHash` has more than one of ringHash, maglev and the older minimumRingSize");
  if (maglev !== null) return { kind: "maglev", tableSize: maglev.tableSize || MAGLEV_SIZE_WHEN_ABSENT };
  const size = ringHash === null ? minimumRingSize : ringHash.minimumRingSize;
  return { kind: "ring-hash", minimumRingSize: size || RING_SIZE_WHEN_ABSENT };
}

function isPrime(number: number): boolean {
  if (number < 2) return false;
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return true;
}
