import { describe, expect, test } from "vitest";
import { LivePairing, oncePerRequest } from "../../../src/cli/flow-pairing.ts";
import type { FlowRecord } from "../../../src/observe/flow.ts";
import { plaintextFlow, sampleFlow, WEB } from "../../support/sample-flow.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const at = Date.UTC(2026, 10, 22);

const destination = sampleFlow({ id: "d", timeMs: at, traceId: TRACE, parentSpanId: "aa", spanId: "bb" });
const source = sampleFlow({
  id: "s",
  timeMs: at + 2,
  reporter: "source",
  traceId: TRACE,
  spanId: "aa",
  parentSpanId: null,
});
const tcp = { protocol: "tcp", method: null, path: null, traceId: null, spanId: null, parentSpanId: null } as const;
const tcpDestination = sampleFlow({ ...tcp, id: "td", timeMs: at, source: { ...WEB, port: 50_000 } });
const tcpSource = sampleFlow({ ...tcp, id: "ts", timeMs: at + 2, reporter: "source", upstreamPort: 50_000 });
const tunnel = { protocol: "tcp", method: null, path: null, traceId: TRACE } as const;
const tunnelDestination = sampleFlow({ ...tunnel, id: "hd", timeMs: at, spanId: "dd", parentSpanId: "cc" });
const tunnelSource = sampleFlow({
  ...tunnel,
  id: "hs",
  timeMs: at + 2,
  reporter: "source",
  spanId: "cc",
  parentSpanId: null,
  upstreamPort: 50_000,
});

describe("each request once", () => {
  test.each([
    ["a request: the destination's record", [source, destination], ["d"]],
    ["a request whose source's record came first", [destination, { ...source, timeMs: at - 3 }], ["d"]],
    ["a connection: the destination's record", [tcpSource, tcpDestination], ["td"]],
    ["a connection through a tunnel: the destination's record", [tunnelSource, tunnelDestination], ["hd"]],
    [
      "a tunnel that the destination refused: the destination's record",
      [
        sampleFlow({ ...tunnelSource, verdict: "error", reason: "tunnel-refused" }),
        sampleFlow({ ...tunnelDestination, verdict: "denied" }),
      ],
      ["hd"],
    ],
    [
      "two connections through tunnels that share a port",
      [{ ...tunnelSource, id: "other", traceId: "other", spanId: "ee" }, tunnelDestination],
      ["other", "hd"],
    ],
    ["a handshake that the destination refused", [failedHandshake(), refusedHandshake()], ["r"]],
    [
      "a request that never arrived: the source's record",
      [sampleFlow({ ...source, traceId: "other" }), destination],
      ["s", "d"],
    ],
    ["two requests of one trace", [{ ...source, spanId: "cc" }, destination], ["s", "d"]],
    ["a port that was used again later", [{ ...tcpSource, timeMs: at + 60_000 }, tcpDestination], ["ts", "td"]],
    [
      "a source's record without a trace",
      [sampleFlow({ ...source, traceId: null, spanId: null, upstreamPort: null }), destination],
      ["s", "d"],
    ],
    ["a destination's record alone", [destination], ["d"]],
    ["a caller without a sidecar", [plaintextFlow({ id: "p" })], ["p"]],
    ["nothing", [], []],
  ])("%s", async (_name, newestFirst, ids) => {
    expect(await idsOf(newestFirst)).toEqual(ids);
  });

  test("over hours of records, with every pair seen as one", async () => {
    const pairs = Array.from({ length: 3_000 }, (_, index) => {
      const time = { timeMs: at - index * 1_500 };
      const traceId = `t${index}`;
      return [
        { ...source, ...time, id: `s${index}`, traceId },
        { ...destination, timeMs: time.timeMs - 1, id: `d${index}`, traceId },
      ];
    });
    expect(await idsOf(pairs.flat())).toEqual(pairs.map((_, index) => `d${index}`));
  });
});

describe("each request once, as it happens", () => {
  test("shows a destination's record at once and drops the source's that follows", () => {
    const pairing = new LivePairing(250);
    expect(pairing.pass([destination], 0)).toEqual([destination]);
    expect(pairing.pass([source], 10)).toEqual([]);
    expect(pairing.pass([], 1_000)).toEqual([]);
  });

  test("waits with a source's record for the destination's", () => {
    const pairing = new LivePairing(250);
    expect(pairing.pass([source], 0)).toEqual([]);
    expect(pairing.pass([destination], 100)).toEqual([destination]);
    expect(pairing.pass([], 1_000)).toEqual([]);
  });

  test("shows a source's record when no other came", () => {
    const pairing = new LivePairing(250);
    expect(pairing.pass([source], 0)).toEqual([]);
    expect(pairing.pass([], 249)).toEqual([]);
    expect(pairing.pass([], 250)).toEqual([source]);
    expect(pairing.pass([], 500)).toEqual([]);
  });

  test("shows what came together in the order of time", () => {
    const pairing = new LivePairing(0);
    const alone = { ...source, traceId: "other", timeMs: at - 5 };
    expect(pairing.pass([destination, alone], 0)).toEqual([alone, destination]);
  });
});

function failedHandshake(): FlowRecord {
  return { ...source, id: "f", verdict: "error", reason: "upstream-connect-failed", upstreamPort: 50_001 };
}

function refusedHandshake(): FlowRecord {
  return sampleFlow({
    ...tcp,
    id: "r",
    timeMs: at,
    reason: "peer-certificate-untrusted",
    source: { ...WEB, port: 50_001 },
  });
}

async function idsOf(newestFirst: readonly FlowRecord[]): Promise<string[]> {
  async function* each(): AsyncGenerator<FlowRecord> {
    yield* newestFirst;
  }
  const ids: string[] = [];
  for await (const flow of oncePerRequest(each())) ids.push(flow.id);
  return ids;
}
