/** Every metric, with what makes it good and how it is shown. */
export const METRICS = {
  cpuUsPerRequest: { better: "lower", unit: "µs CPU a request", digits: 1 },
  cpuUsPerMessage: { better: "lower", unit: "µs CPU a message", digits: 1 },
  cpuUsPerHandshake: { better: "lower", unit: "µs CPU a connection", digits: 0 },
  cpuMsPerGiB: { better: "lower", unit: "ms CPU a GiB", digits: 0 },
  requestsPerSec: { better: "higher", unit: "requests/s", digits: 0 },
  messagesPerSec: { better: "higher", unit: "messages/s", digits: 0 },
  handshakesPerSec: { better: "higher", unit: "connections/s", digits: 0 },
  mibPerSec: { better: "higher", unit: "MiB/s", digits: 0 },
  p50Ms: { better: "lower", unit: "ms, p50", digits: 2 },
  p99Ms: { better: "lower", unit: "ms, p99", digits: 2 },
  rssMiB: { better: "lower", unit: "MiB RSS a sidecar", digits: 0 },
  listeningMs: { better: "lower", unit: "ms to listening", digits: 0 },
  readyMs: { better: "lower", unit: "ms to first answer", digits: 0 },
} as const satisfies Record<string, { better: "lower" | "higher"; unit: string; digits: number }>;

export type MetricName = keyof typeof METRICS;

/** What one round of a load came to. */
export type Measured = Readonly<Partial<Record<MetricName, number>>>;

/** What the clients print. */
export interface Counted {
  readonly requests?: number;
  readonly messages?: number;
  readonly bytes?: number;
  readonly failed: number;
  /** Of gRPC: what the first failed call was answered with. */
  readonly firstFailure?: string;
  /** Why the round is of other work than was asked for. */
  readonly flaw?: string;
  readonly durationUs: number;
  readonly p50Us?: number;
  readonly p99Us?: number;
}

const MIB = 1_048_576;

export function requestMetrics({ requests, durationUs, p50Us, p99Us }: Counted, cpuMs: number): Measured {
  return {
    cpuUsPerRequest: (cpuMs * 1_000) / requests!,
    requestsPerSec: requests! / (durationUs / 1e6),
    p50Ms: p50Us! / 1_000,
    p99Ms: p99Us! / 1_000,
  };
}

/** The latencies are of whole calls. */
export function messageMetrics({ messages, durationUs, p50Us, p99Us }: Counted, cpuMs: number): Measured {
  return {
    cpuUsPerMessage: (cpuMs * 1_000) / messages!,
    messagesPerSec: messages! / (durationUs / 1e6),
    p50Ms: p50Us! / 1_000,
    p99Ms: p99Us! / 1_000,
  };
}

export function handshakeMetrics({ requests, durationUs, p50Us, p99Us }: Counted, cpuMs: number): Measured {
  return {
    cpuUsPerHandshake: (cpuMs * 1_000) / requests!,
    handshakesPerSec: requests! / (durationUs / 1e6),
    p50Ms: p50Us! / 1_000,
    p99Ms: p99Us! / 1_000,
  };
}

export function bulkMetrics({ bytes, durationUs }: Counted, cpuMs: number): Measured {
  return {
    cpuMsPerGiB: cpuMs / (bytes! / MIB / 1_024),
    mibPerSec: bytes! / MIB / (durationUs / 1e6),
  };
}
