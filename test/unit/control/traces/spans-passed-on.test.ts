import { Metadata, type sendUnaryData, type ServerUnaryCall, status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import type { OtlpOutcome } from "../../../../src/core/otlp-endpoint.ts";
import { parseOtlpUrl } from "../../../../src/core/otlp-endpoint.ts";
import { parseSpiffeId } from "../../../../src/core/spiffe-id.ts";
import { TRACE_LIMITS } from "../../../../src/core/trace-limits.ts";
import { SpanForwarder } from "../../../../src/control/traces/span-forwarder.ts";
import { createTraceService } from "../../../../src/control/traces/trace-service.ts";
import { encodeSpan } from "../../../../src/observe/otlp-span.ts";
import { resourceHead, scopeHead } from "../../../../src/observe/otlp-request.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";

const WEB = parseSpiffeId("spiffe://cluster.local/ns/shop/sa/web");
const ORDERS = parseSpiffeId("spiffe://cluster.local/ns/shop/sa/orders");

function spanBytes(): Buffer {
  const { bytes, length } = encodeSpan({
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    spanId: "00f067aa0ba902b7",
    parentSpanId: null,
    isParentRemote: false,
    isSampled: true,
    name: "GET",
    kind: "server",
    startMs: 1,
    endMs: 2,
    attributes: [],
    failure: null,
    events: [],
  });
  return Buffer.concat([Buffer.from([0x12, length]), bytes.subarray(0, length)]);
}

function requestOf(resource: Readonly<Record<string, string>>, spans = 1): Buffer {
  const all = Buffer.concat(Array.from({ length: spans }, spanBytes));
  const scope = scopeHead("1", all.length);
  return Buffer.concat([resourceHead(resource, scope.length + all.length), scope, all]);
}

function openWorld(outcomes: OtlpOutcome[] = []) {
  const clock = createSimulatedClock(0);
  const log = createKeptLog();
  const sent: Buffer[] = [];
  const counts: Record<string, number> = {};
  const count = (what: string, spans: number) => void (counts[what] = (counts[what] ?? 0) + spans);
  const forwarder = new SpanForwarder({
    sender: {
      async send(request) {
        sent.push(request);
        return outcomes.shift() ?? { at: "taken" };
      },
      close: () => Promise.resolve(),
    },
    observer: { forwarded: (spans) => count("forwarded", spans), dropped: count },
    clock,
    random: { bytes: (length) => Buffer.alloc(length), float: () => 0.5 },
    logger: log,
  });
  const pass = (ms: number) => clock.advance(ms);
  return { forwarder, sent, counts, pass, log, observer: { forwarded: () => {}, dropped: count } };
}

function ask(request: Buffer, sender: typeof WEB | null, world = openWorld()) {
  const { handlers } = createTraceService({ ...world, callerOf: () => sender, logger: world.log });
  const answer = Promise.withResolvers<number>();
  const callback: sendUnaryData<Buffer> = (error) => answer.resolve(error === null ? status.OK : error.code!);
  const call = { request, metadata: new Metadata() } as ServerUnaryCall<Buffer, Buffer>;
  (handlers["Export"] as (call: unknown, callback: unknown) => void)(call, callback);
  return answer.promise;
}

describe("spans of a sidecar", () => {
  test("go on as they came", async () => {
    const world = openWorld();
    const request = requestOf({ "cardea.principal": WEB }, 3);
    expect(await ask(request, WEB, world)).toBe(status.OK);
    await world.pass(100);
    expect(world.sent).toEqual([request]);
    expect(world.counts).toEqual({ forwarded: 3 });
  });

  test.each([
    ["of somebody else", requestOf({ "cardea.principal": ORDERS })],
    ["of nobody", requestOf({ "service.name": "web" })],
    ["of two", Buffer.concat([requestOf({ "cardea.principal": WEB }), requestOf({ "cardea.principal": ORDERS })])],
    ["that are no spans", Buffer.from("nonsense")],
    ["cut off", requestOf({ "cardea.principal": WEB }).subarray(0, -3)],
  ])("do not go on where they are %s", async (_, request) => {
    const world = openWorld();
    expect(await ask(request, WEB, world)).toBe(status.INVALID_ARGUMENT);
    await world.pass(100);
    expect(world.sent).toEqual([]);
    expect(world.counts).toEqual({ rejected: 1 });
  });

  test("are not taken from who has shown no certificate", async () => {
    const world = openWorld();
    expect(await ask(requestOf({ "cardea.principal": WEB }), null, world)).toBe(status.UNAUTHENTICATED);
    expect(world.sent).toEqual([]);
  });
});

describe("the collector outside", () => {
  const AWAY: OtlpOutcome = { at: "failed", isForGood: false, why: "away" };

  test("gets again what it did not take, in order, when it is back", async () => {
    const world = openWorld([AWAY, AWAY]);
    for (const each of ["a", "b"]) world.forwarder.add(Buffer.from(each), 1);
    await world.pass(10_000);
    expect(world.sent.map(String)).toEqual(["a", "a", "a", "b"]);
    expect(world.counts).toEqual({ forwarded: 2 });
    expect(world.log.events()).toEqual(["span-forward", "span-forward-again"]);
  });

  test("does not get again what it refuses for good", async () => {
    const world = openWorld([{ at: "failed", isForGood: true, why: "it answers 400" }]);
    for (const each of ["a", "b"]) world.forwarder.add(Buffer.from(each), 2);
    await world.pass(1_000);
    expect(world.sent.map(String)).toEqual(["a", "b"]);
    expect(world.counts).toEqual({ refused: 2, forwarded: 2 });
  });

  test("that is away fills bounded memory; then sidecars are told to wait", async () => {
    const world = openWorld(Array.from({ length: 1_000 }, () => AWAY));
    const piece = Buffer.alloc(1_048_576);
    const taken = Array.from({ length: 30 }, () => world.forwarder.add(piece, 1)).filter(Boolean).length;
    expect(taken * piece.length).toBe(TRACE_LIMITS.spanForwardBytesMax);
    expect(await ask(requestOf({ "cardea.principal": WEB }), WEB, world)).toBe(status.UNAVAILABLE);
    await world.forwarder.close();
    expect(world.counts).toEqual({ ended: taken });
  });
});

describe("its address", () => {
  test.each([
    ["grpc", "http://collector:4317", "http://collector:4317/"],
    ["grpc", "https://[::1]:4317", "https://[::1]:4317/"],
    ["http/protobuf", "http://collector:4318", "http://collector:4318/v1/traces"],
    ["http/protobuf", "https://otel.example/api/traces", "https://otel.example/api/traces"],
  ] as const)("over %s: %s", (protocol, text, url) => expect(parseOtlpUrl(text, protocol)).toBe(url));

  test.each([
    ["grpc", "collector:4317"],
    ["grpc", "http://collector:4317/v1/traces"],
    ["grpc", "ftp://collector"],
    ["http/protobuf", "http://user:word@collector"],
    ["http/protobuf", "http://collector?key=1"],
    ["http/protobuf", ""],
  ] as const)("over %s it is not %j", (protocol, text) =>
    expect(() => parseOtlpUrl(text, protocol)).toThrow(/address/),
  );
});
