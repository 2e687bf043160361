import { beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../../../src/core/limits.ts";
import { beginGrpcCall, type GrpcCall } from "../../../../src/proxy/calls/grpc-call.ts";
import { callUnary, type UnaryOutcome } from "../../../../src/proxy/calls/unary-call.ts";
import { encodeGrpcMessage } from "../../../../src/wire/grpc-message.ts";
import { GRPC, type GrpcStatus } from "../../../../src/wire/grpc-status.ts";
import { ERROR_CODES, FLAG, FRAME } from "../../../../src/wire/http2-codes.ts";
import { type RawFrame, rawFields } from "../../../support/http2-frames.ts";
import { type Bench, createBench, type DialledPeer, dialRaw, pass } from "../../../support/http2-peers.ts";

// The server is raw frames, so that it can do what no library would.

const END = FLAG.END_STREAM;
const HEAD = rawFields(":status", "200", "content-type", "application/grpc+proto");

let bench: Bench;
let peer: DialledPeer;
beforeEach(async () => {
  bench = createBench();
  peer = await dialRaw(bench);
  await peer.send({ type: FRAME.SETTINGS }, { type: FRAME.SETTINGS, flags: FLAG.ACK });
  peer.take();
});

describe("a call", () => {
  test("says what gRPC wants to be said, and what it was told to", async () => {
    const { call } = begin({ metadata: ["authorization", "Bearer t"], timeoutMs: 10_000 });
    call.send(Buffer.from("ab"));
    call.sendEnd();
    await bench.network.settle();
    const [head, ...body] = peer.takeStream(1);
    expect(head!.split(" ")).toEqual(
      expect.arrayContaining([
        ":method=POST",
        ":path=/p.S/M",
        ":authority=cardea-control",
        "te=trailers",
        "content-type=application/grpc+proto",
        "grpc-timeout=10000m",
      ]),
    );
    expect(head).toContain("authorization=Bearer t");
    expect(body.join(" ")).toContain("END");
  });

  test("gives messages as they come, and the status of the trailers", async () => {
    const { messages, ended } = begin();
    await peer.send(headers(HEAD), data(encodeGrpcMessage(Buffer.from("one"))));
    expect(messages).toEqual(["one"]);
    const two = encodeGrpcMessage(Buffer.from("two"));
    await peer.send(data(two.subarray(0, 3)), data(two.subarray(3)), trailers("grpc-status", "0"));
    expect(messages).toEqual(["one", "two"]);
    expect(ended).toEqual([{ code: GRPC.OK, message: "" }]);
  });

  test("takes a status from the head when there is nothing else", async () => {
    const { ended } = begin();
    const fields = ["grpc-status", "16", "grpc-message", "who%20are you"];
    await peer.send(headers(rawFields(":status", "200", "content-type", "application/grpc", ...fields), END));
    expect(ended).toEqual([{ code: GRPC.UNAUTHENTICATED, message: "who are you" }]);
  });

  test("does not wait for the server's leave to say more once it has answered", async () => {
    const { call } = begin();
    await peer.send(headers(HEAD), trailers("grpc-status", "0"));
    peer.take();
    call.send(Buffer.from("late"));
    call.sendEnd();
    call.cancel();
    await bench.network.settle();
    expect(peer.takeStream(1)).toEqual([]);
  });
});

describe("a call ends with a fault of its own when the server", () => {
  const message = encodeGrpcMessage(Buffer.from("abc"));

  test.each<[string, RawFrame[], number]>([
    ["says no status", [headers(HEAD), data(message, END)], GRPC.UNKNOWN],
    ["says no status in its trailers", [headers(HEAD), trailers("x", "y")], GRPC.UNKNOWN],
    ["says nothing but a head", [headers(HEAD, END)], GRPC.UNKNOWN],
    ["says a status that is none", [headers(HEAD), trailers("grpc-status", "zero")], GRPC.UNKNOWN],
    ["says a status that does not exist", [headers(HEAD), trailers("grpc-status", "99")], GRPC.UNKNOWN],
    ["says a negative status", [headers(HEAD), trailers("grpc-status", "-1")], GRPC.UNKNOWN],
    [
      "ends well within a message",
      [headers(HEAD), data(message.subarray(0, 7)), trailers("grpc-status", "0")],
      GRPC.INTERNAL,
    ],
    [
      "ends well within a prefix",
      [headers(HEAD), data(message.subarray(0, 2)), trailers("grpc-status", "0")],
      GRPC.INTERNAL,
    ],
    ["sends a compressed message", [headers(HEAD), data(Buffer.from([1, 0, 0, 0, 1, 97]))], GRPC.INTERNAL],
    [
      "promises a message that is too large",
      [headers(HEAD), data(Buffer.from([0, 255, 255, 255, 255]))],
      GRPC.RESOURCE_EXHAUSTED,
    ],
    ["answers in another type", [headers(rawFields(":status", "200", "content-type", "text/html"))], GRPC.UNKNOWN],
    [
      "answers in gRPC-Web",
      [headers(rawFields(":status", "200", "content-type", "application/grpc-web"))],
      GRPC.UNKNOWN,
    ],
    ["answers in no type", [headers(rawFields(":status", "200"))], GRPC.UNKNOWN],
    [
      "compresses",
      [headers(rawFields(":status", "200", "content-type", "application/grpc", "grpc-encoding", "gzip"))],
      GRPC.INTERNAL,
    ],
    ["is a proxy that has nobody behind it", [headers(rawFields(":status", "503"), END)], GRPC.UNAVAILABLE],
    ["is no gRPC server", [headers(rawFields(":status", "404", "content-type", "text/html"))], GRPC.UNIMPLEMENTED],
    ["wants to be told who calls", [headers(rawFields(":status", "401"), END)], GRPC.UNAUTHENTICATED],
    ["refuses the stream", [reset(ERROR_CODES.REFUSED_STREAM)], GRPC.UNAVAILABLE],
    ["resets the stream within an answer", [headers(HEAD), reset(ERROR_CODES.INTERNAL_ERROR)], GRPC.UNAVAILABLE],
    ["breaks HTTP/2", [headers(rawFields(":status", "20"))], GRPC.INTERNAL],
    ["sends DATA before its head", [data(message)], GRPC.INTERNAL],
    ["goes away before it has looked at the call", [goaway(0)], GRPC.UNAVAILABLE],
  ])("%s", async (_what, frames, code) => {
    const { ended } = begin();
    await peer.send(...frames);
    expect(ended.map((status) => status.code)).toEqual([code]);
    // Whatever else comes changes nothing.
    await peer.send(trailers("grpc-status", "0"));
    expect(ended).toHaveLength(1);
  });

  test("takes the status that an answer other than 200 carries", async () => {
    const { ended } = begin();
    await peer.send(headers(rawFields(":status", "400", "grpc-status", "7", "grpc-message", "no"), END));
    expect(ended).toEqual([{ code: GRPC.PERMISSION_DENIED, message: "no" }]);
  });

  test("hangs up", async () => {
    const { ended } = begin();
    await peer.send(headers(HEAD));
    peer.connection.destroy();
    await bench.network.settle();
    expect(ended.map((status) => status.code)).toEqual([GRPC.UNAVAILABLE]);
  });

  test("has said nothing when the time is over, and is told", async () => {
    const { ended } = begin({ timeoutMs: 3_000 });
    await pass(bench, 2_999);
    expect(ended).toEqual([]);
    peer.take();
    await pass(bench, 1);
    expect(ended.map((status) => status.code)).toEqual([GRPC.DEADLINE_EXCEEDED]);
    expect(peer.takeStream(1)).toEqual([`RST ${ERROR_CODES.CANCEL}`]);
  });

  test("is silent, and does not answer a PING either", async () => {
    const { ended } = begin();
    await peer.send(headers(HEAD));
    await pass(bench, 2 * LIMITS.http2PingTimeoutMs - 1_000);
    expect(ended).toEqual([]);
    await pass(bench, 2_000);
    expect(ended.map((status) => status.code)).toEqual([GRPC.UNAVAILABLE]);
  });
});

describe("a call that is cancelled", () => {
  test("is told to the server, and hears no more", async () => {
    const { call, ended, messages } = begin();
    await bench.network.settle();
    peer.take();
    call.cancel();
    call.cancel();
    await bench.network.settle();
    expect(peer.takeStream(1)).toEqual([`RST ${ERROR_CODES.CANCEL}`]);
    await peer.send(headers(HEAD), data(encodeGrpcMessage(Buffer.from("late"))), trailers("grpc-status", "0"));
    expect([ended, messages]).toEqual([[], []]);
  });
});

describe("a unary call", () => {
  const message = data(encodeGrpcMessage(Buffer.from("abc")));

  test("gives the one message", async () => {
    expect(await outcomeOf(headers(HEAD), message, trailers("grpc-status", "0"))).toEqual({
      at: "answered",
      message: Buffer.from("abc"),
    });
  });

  test.each<[string, RawFrame[], number]>([
    ["without a message", [headers(HEAD), trailers("grpc-status", "0")], GRPC.INTERNAL],
    ["with two messages", [headers(HEAD), message, message, trailers("grpc-status", "0")], GRPC.INTERNAL],
    ["with a message and a failure", [headers(HEAD), message, trailers("grpc-status", "7")], GRPC.PERMISSION_DENIED],
    ["with a failure", [headers(HEAD), trailers("grpc-status", "3")], GRPC.INVALID_ARGUMENT],
    ["without a status", [headers(HEAD), message, data(Buffer.alloc(0), END)], GRPC.UNKNOWN],
  ])("fails that is answered %s", async (_what, frames, code) => {
    expect(await outcomeOf(...frames)).toMatchObject({ at: "failed", status: { code } });
  });

  test.each([
    ["before it is sent", true],
    ["while it is under way", false],
  ])("fails that is given up %s", async (_what, isEarly) => {
    const abort = new AbortController();
    if (isEarly) abort.abort();
    const outcome = unary(abort.signal);
    await bench.network.settle();
    expect(peer.takeStream(1).length > 0).toBe(!isEarly);
    abort.abort();
    expect(await outcome).toMatchObject({ at: "failed", status: { code: GRPC.CANCELLED } });
  });
});

const ABOUT = { path: "/p.S/M", authority: "cardea-control", metadata: [], timeoutMs: null };

async function outcomeOf(...frames: RawFrame[]): Promise<UnaryOutcome> {
  const outcome = unary(new AbortController().signal);
  await peer.send(...frames);
  return outcome;
}

function unary(signal: AbortSignal): Promise<UnaryOutcome> {
  return callUnary(peer.client, Buffer.from("ask"), { ...ABOUT, clock: bench.clock }, signal);
}

interface Begun {
  readonly call: GrpcCall;
  readonly messages: string[];
  readonly ended: GrpcStatus[];
}

function begin(more: { metadata?: readonly string[]; timeoutMs?: number } = {}): Begun {
  const messages: string[] = [];
  const ended: GrpcStatus[] = [];
  const call = beginGrpcCall(
    peer.client,
    { ...ABOUT, clock: bench.clock, ...more },
    {
      onMessage: (message) => void messages.push(message.toString()),
      onEnd: (status) => void ended.push(status),
    },
  );
  return { call, messages, ended };
}

function headers(payload: Buffer, flags = 0): RawFrame {
  return { type: FRAME.HEADERS, flags: FLAG.END_HEADERS | flags, streamId: 1, payload };
}

function trailers(...fields: readonly string[]): RawFrame {
  return headers(rawFields(...fields), END);
}

function data(payload: Buffer, flags = 0): RawFrame {
  return { type: FRAME.DATA, flags, streamId: 1, payload };
}

function reset(code: number): RawFrame {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code);
  return { type: FRAME.RST_STREAM, streamId: 1, payload };
}

function goaway(lastStreamId: number): RawFrame {
  const payload = Buffer.alloc(8);
  payload.writeUInt32BE(lastStreamId);
  return { type: FRAME.GOAWAY, payload };
}
