import { join } from "node:path";
import { runToEnd } from "./child.ts";
import { ALLOWED_PATH } from "./rules.ts";
import type { RunningSide } from "./side.ts";

/** What one round of a load came to, by metric. */
export type Measured = Readonly<Record<string, number>>;

/** Work that every side is given in turn. */
export interface Load {
  readonly name: string;
  readonly summary: string;
  readonly kind: "http" | "tcp";
  /** Turns what the client counted, and the pair's processor time, into metrics. */
  readonly metrics: (counted: Counted, cpuMs: number) => Measured;
  /** Gives the side work for some seconds. Errors: when the client fails. */
  readonly drive: (side: RunningSide, seconds: number) => Promise<Counted>;
}

/** What the clients print. */
export interface Counted {
  readonly requests?: number;
  readonly bytes?: number;
  readonly failed: number;
  readonly durationUs: number;
  readonly p50Us?: number;
  readonly p99Us?: number;
}

/** Every metric, with what makes it good and how it is shown. */
export const METRICS = {
  cpuUsPerRequest: { better: "lower", unit: "µs CPU a request", digits: 1 },
  cpuMsPerGiB: { better: "lower", unit: "ms CPU a GiB", digits: 0 },
  requestsPerSec: { better: "higher", unit: "requests/s", digits: 0 },
  mibPerSec: { better: "higher", unit: "MiB/s", digits: 0 },
  p50Ms: { better: "lower", unit: "ms, p50", digits: 2 },
  p99Ms: { better: "lower", unit: "ms, p99", digits: 2 },
  rssMiB: { better: "lower", unit: "MiB RSS a sidecar", digits: 0 },
  readyMs: { better: "lower", unit: "ms to first answer", digits: 0 },
} as const satisfies Record<string, { better: "lower" | "higher"; unit: string; digits: number }>;

export type MetricName = keyof typeof METRICS;

/** Loads that need no client: what the sides are when nothing is asked of them. */
export const STILL_LOADS = { start: "start to ready", idle: "idle" } as const;

const MIB = 1_048_576;
const here = import.meta.dirname;
const TIMEOUT_EXTRA_MS = 20_000;

function getAt(connections: number): Load {
  return closedLoop(`get-${connections}`, `GET 1 KiB, ${connections} connections`, connections, 0);
}

/** In the order in which they are run. */
export const LOADS: readonly Load[] = [
  getAt(1),
  getAt(10),
  getAt(50),
  getAt(200),
  fixedRate(1_000),
  closedLoop("post-64k", "POST 64 KiB, 10 connections", 10, 65_536),
  {
    name: "tcp-bulk",
    summary: "TCP bulk down, 2 connections",
    kind: "tcp",
    metrics: (counted, cpuMs) => ({
      cpuMsPerGiB: cpuMs / (counted.bytes! / MIB / 1_024),
      mibPerSec: counted.bytes! / MIB / (counted.durationUs / 1e6),
    }),
    drive: (side, seconds) => runClient([join(here, "bulk.ts"), String(side.tcpPort), "2", String(seconds)], seconds),
  },
];

/** wrk: each connection asks again as soon as it has its answer. Its latencies are of a saturated machine. */
function closedLoop(name: string, summary: string, connections: number, bodyBytes: number): Load {
  return {
    name,
    summary,
    kind: "http",
    metrics: requestMetrics,
    async drive(side, seconds) {
      const url = `http://127.0.0.1:${side.httpPort}`;
      const script = join(here, "closed-loop.lua");
      const words = ["-t1", `-c${connections}`, `-d${seconds}s`, "-s", script, url, "--", ALLOWED_PATH];
      return lastLine(await runToEnd("wrk", [...words, String(bodyBytes)], seconds * 1_000 + TIMEOUT_EXTRA_MS));
    },
  };
}

function fixedRate(rate: number): Load {
  return {
    name: `rate-${rate}`,
    summary: `GET 1 KiB, fixed ${rate}/s, open loop`,
    kind: "http",
    metrics: requestMetrics,
    drive: (side, seconds) => {
      const words = [String(side.httpPort), ALLOWED_PATH, String(rate), String(seconds)];
      return runClient([join(here, "open-loop.ts"), ...words], seconds);
    },
  };
}

function requestMetrics({ requests, durationUs, p50Us, p99Us }: Counted, cpuMs: number): Measured {
  return {
    cpuUsPerRequest: (cpuMs * 1_000) / requests!,
    requestsPerSec: requests! / (durationUs / 1e6),
    p50Ms: p50Us! / 1_000,
    p99Ms: p99Us! / 1_000,
  };
}

async function runClient(words: readonly string[], seconds: number): Promise<Counted> {
  return lastLine(await runToEnd(process.execPath, words, seconds * 1_000 + TIMEOUT_EXTRA_MS));
}

function lastLine(printed: string): Counted {
  return JSON.parse(printed.trim().split("\n").at(-1)!) as Counted;
}
