import { readAcceptedConnections } from "./accepted-connections.ts";
import { holdClient, runClient, runWrk } from "./client.ts";
import { STREAM_MESSAGES } from "./grpc-message.ts";
import {
  bulkMetrics,
  type Counted,
  handshakeMetrics,
  type Measured,
  messageMetrics,
  requestMetrics,
} from "./metrics.ts";
import { readCpuMs, readRssMiB } from "./process-times.ts";
import { ALLOWED_PATH, GRPC_STREAM_PATH, GRPC_UNARY_PATH, LARGE_PATH } from "./rules.ts";
import type { Carried, RunningSide } from "./side.ts";

/** Work that every side is given in turn. */
export interface Load {
  readonly name: string;
  readonly summary: string;
  /** What a side must be able to carry to take part. */
  readonly carried: Carried | "any";
  /** With whom `--quick` compares: whom the bar names, and one at least. */
  readonly quickPeers: readonly string[];
  /** A round that is shorter says nothing. */
  readonly secondsMin: number;
  /** One round; a sentence where the side failed. Errors: when the client does. */
  readonly measure: (side: RunningSide, seconds: number) => Promise<Measured | string>;
}

const ENVOY = ["envoy"];
const HTTP_BAR = ["envoy", "nginx", "haproxy-h1", "haproxy-h2"];
const TCP_BAR = ["envoy", "haproxy-h1"];
const HANDSHAKE_BAR = ["envoy", "nginx", "haproxy-h1"];

const IDLE_CONNECTIONS = 1_000;
const HANDSHAKES_PARALLEL = 8;
const UNARY_STREAMS = 50;
const STREAMING_STREAMS = 10;
const BULK_CONNECTIONS = 2;

/** Small GETs and 1 MiB bodies a second: less than any side's most, so that the latencies are not of a full queue. */
const MIXED_SMALL_RATE = 300;
const MIXED_LARGE_RATE = 10;

/** In the order in which they are run. */
export const LOADS: readonly Load[] = [
  closedLoop({ name: "get-1", connections: 1, quickPeers: ENVOY }),
  closedLoop({ name: "get-10", connections: 10, quickPeers: ENVOY }),
  closedLoop({ name: "get-50", connections: 50, quickPeers: HTTP_BAR }),
  closedLoop({ name: "get-200", connections: 200, quickPeers: HTTP_BAR }),
  fixedRate(1_000),
  fixedRate(4_000),
  closedLoop({ name: "post-64k", connections: 10, quickPeers: ENVOY, bodyBytes: 65_536 }),
  grpc({
    name: "grpc-unary",
    summary: `gRPC unary, ${UNARY_STREAMS} streams`,
    path: GRPC_UNARY_PATH,
    streams: UNARY_STREAMS,
    messages: 1,
  }),
  grpc({
    name: "grpc-stream",
    summary: `gRPC server streaming, ${STREAMING_STREAMS} streams of ${STREAM_MESSAGES} messages`,
    path: GRPC_STREAM_PATH,
    streams: STREAMING_STREAMS,
    messages: STREAM_MESSAGES,
  }),
  bulk("down"),
  bulk("up"),
  {
    name: "handshakes",
    summary: `new TCP connections, a full handshake each, ${HANDSHAKES_PARALLEL} at a time`,
    carried: "fresh",
    quickPeers: HANDSHAKE_BAR,
    secondsMin: 1,
    measure: measured("fresh", handshakeMetrics, dialAfresh),
  },
  {
    name: "idle-1000",
    summary: `${IDLE_CONNECTIONS} idle connections, each after one GET`,
    carried: "http",
    quickPeers: HTTP_BAR,
    secondsMin: 1,
    measure: (side) =>
      holdClient("idle", [side.ports.http!, ALLOWED_PATH, IDLE_CONNECTIONS], ({ failed }) =>
        failed > 0 ? failureOf({ failed, durationUs: 0 }) : { rssMiB: readSidecarRssMiB(side, "http") },
      ),
  },
];

/** Loads that are run where packets get lost, by how many of a thousand. */
export const LOSS_LOADS: readonly (Load & { readonly lostPerMille: number })[] = [
  lossy("loss-0.1", 1),
  lossy("loss-1", 10),
];

function lossy(name: string, lostPerMille: number): Load & { readonly lostPerMille: number } {
  return {
    name,
    lostPerMille,
    summary: `GET 1 KiB at ${MIXED_SMALL_RATE}/s beside 1 MiB at ${MIXED_LARGE_RATE}/s, ${lostPerMille / 10} % of packets lost`,
    carried: "http",
    quickPeers: ENVOY,
    // Of fewer requests one in a hundred is a handful.
    secondsMin: 2,
    measure: measured("http", requestMetrics, (port, seconds) =>
      runClient("open-loop", [port, ALLOWED_PATH, MIXED_SMALL_RATE, seconds, LARGE_PATH, MIXED_LARGE_RATE], seconds),
    ),
  };
}

function closedLoop(options: {
  readonly name: string;
  readonly connections: number;
  readonly quickPeers: readonly string[];
  readonly bodyBytes?: number;
}): Load {
  const { name, connections, quickPeers, bodyBytes = 0 } = options;
  const what = bodyBytes === 0 ? "GET 1 KiB" : `POST ${bodyBytes / 1_024} KiB`;
  return {
    name,
    summary: `${what}, ${connections} connection${connections === 1 ? "" : "s"}`,
    carried: "http",
    quickPeers,
    secondsMin: 1,
    measure: measured("http", requestMetrics, (port, seconds) => runWrk(port, { connections, bodyBytes, seconds })),
  };
}

function fixedRate(rate: number): Load {
  return {
    name: `rate-${rate}`,
    summary: `GET 1 KiB, fixed ${rate}/s, open loop`,
    carried: "http",
    quickPeers: ENVOY,
    secondsMin: 1,
    measure: measured("http", requestMetrics, (port, seconds) =>
      runClient("open-loop", [port, ALLOWED_PATH, rate, seconds], seconds),
    ),
  };
}

function grpc(options: {
  readonly name: string;
  readonly summary: string;
  readonly path: string;
  readonly streams: number;
  readonly messages: number;
}): Load {
  const { name, summary, path, streams, messages } = options;
  return {
    name,
    summary,
    carried: "grpc",
    quickPeers: ENVOY,
    secondsMin: 1,
    measure: measured("grpc", messages === 1 ? requestMetrics : messageMetrics, (port, seconds) =>
      runClient("grpc-loop", [port, path, streams, messages, seconds], seconds),
    ),
  };
}

function bulk(direction: "down" | "up"): Load {
  return {
    name: `tcp-${direction}`,
    summary: `TCP bulk ${direction}, ${BULK_CONNECTIONS} connections`,
    carried: "tcp",
    quickPeers: TCP_BAR,
    secondsMin: 1,
    measure: measured("tcp", bulkMetrics, (port, seconds) =>
      runClient("bulk", [port, direction, BULK_CONNECTIONS, seconds], seconds),
    ),
  };
}

/** Drives the side, and gives what the client counted and the pair's processor time as metrics; memory after it. */
function measured(
  carried: Carried,
  metricsOf: (counted: Counted, cpuMs: number) => Measured,
  drive: (port: number, seconds: number) => Promise<Counted>,
): Load["measure"] {
  return async (side, seconds) => {
    const pids = side.pids(carried);
    const beforeMs = readCpuMs(pids);
    const counted = await drive(side.ports[carried]!, seconds);
    const cpuMs = readCpuMs(pids) - beforeMs;
    if (counted.failed > 0) return failureOf(counted);
    if (counted.flaw !== undefined) return counted.flaw;
    if ((counted.requests ?? counted.bytes) === 0) return "nothing came through";
    return { ...metricsOf(counted, cpuMs), rssMiB: readSidecarRssMiB(side, carried) };
  };
}

/** For each of the app's connections three are to be accepted: by the caller's sidecar, the server's, and the backend. */
const ACCEPTED_PER_CONNECTION = 3;
/** The kernel counts those of other programs too, but none too few. */
const ACCEPTED_TOLERANCE = 0.02;

/** New connections, of which those between the sidecars are new ones too: others would be of other work. */
async function dialAfresh(port: number, seconds: number): Promise<Counted> {
  const before = readAcceptedConnections();
  const counted = await runClient("connections", [port, HANDSHAKES_PARALLEL, seconds], seconds);
  const accepted = (readAcceptedConnections() - before) / counted.requests!;
  if (accepted >= ACCEPTED_PER_CONNECTION * (1 - ACCEPTED_TOLERANCE)) return counted;
  return { ...counted, flaw: `its sidecars share connections (${accepted.toFixed(1)} accepted for each of the app's)` };
}

function failureOf({ failed, requests, firstFailure }: Counted): string {
  const why = firstFailure === undefined || firstFailure === "" ? "" : ` (${firstFailure})`;
  return `${failed} failed${requests === undefined ? "" : `, ${requests} did not`}${why}`;
}

/** Half of the pair's. */
export function readSidecarRssMiB(side: RunningSide, carried: Carried): number {
  const pids = side.pids(carried);
  return readRssMiB(pids) / pids.length;
}
