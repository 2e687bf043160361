import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../../src/core/limits.ts";
import type { DownstreamStream, RequestEvents, RequestHandler } from "../../../../src/proxy/streams.ts";
import { ERROR_CODES, FLAG, FRAME, WINDOW_BYTES } from "../../../../src/wire/http2-codes.ts";
import { createEchoHandler, type EchoHandler } from "../../../support/echo-handler.ts";
import { GET, OPENING, POST, type RawFrame, rawFields, rawFrame } from "../../../support/http2-frames.ts";
import { type Bench, createBench, goawayOf, pass, type ServedPeer, serveRaw } from "../../../support/http2-peers.ts";

interface Scene {
  readonly bench: Bench;
  readonly handler: EchoHandler;
  readonly peer: ServedPeer;
}

/** A server that echoes, and a client that has said its preface. */
async function open(): Promise<Scene> {
  const bench = createBench();
  const handler = createEchoHandler();
  const peer = await serveRaw(bench, handler);
  await peer.send(OPENING, rawFrame({ type: FRAME.SETTINGS, flags: FLAG.ACK }));
  peer.take();
  return { bench, handler, peer };
}

function headers(streamId: number, payload: Buffer, flags = 0): RawFrame {
  return { type: FRAME.HEADERS, flags: FLAG.END_HEADERS | flags, streamId, payload };
}

function get(streamId: number): RawFrame {
  return headers(streamId, GET, FLAG.END_STREAM);
}

function data(streamId: number, text: string | Buffer, flags = 0): RawFrame {
  return { type: FRAME.DATA, flags, streamId, payload: Buffer.from(text as string) };
}

function windowUpdate(streamId: number, increment: number): RawFrame {
  return { type: FRAME.WINDOW_UPDATE, streamId, payload: increment.toString(16).padStart(8, "0") };
}

function repeated(count: number, ...frames: RawFrame[]): RawFrame[] {
  return Array.from({ length: count }, () => frames).flat();
}

const PING = { type: FRAME.PING, payload: "0102030405060708" };
const RST = (streamId: number): RawFrame => ({ type: FRAME.RST_STREAM, streamId, payload: "00000008" });
const ANSWER = "HEADERS :status=200 content-type=text/plain content-length=6";

describe("a caller that breaks a rule of the connection is told and cut off", () => {
  const cases: [name: string, frames: RawFrame[], code: keyof typeof ERROR_CODES][] = [
    ["HEADERS on an even stream", [headers(2, GET, FLAG.END_STREAM)], "PROTOCOL_ERROR"],
    ["HEADERS on a stream below the newest", [get(5), get(3)], "PROTOCOL_ERROR"],
    ["HEADERS on a stream that has closed", [get(1), get(1)], "STREAM_CLOSED"],
    ["DATA on an idle stream", [data(1, "a")], "PROTOCOL_ERROR"],
    ["RST_STREAM on an idle stream", [RST(1)], "PROTOCOL_ERROR"],
    ["WINDOW_UPDATE on an idle stream", [windowUpdate(1, 1)], "PROTOCOL_ERROR"],
    ["a window of the connection above 2^31-1", [windowUpdate(0, 0x7fffffff)], "FLOW_CONTROL_ERROR"],
    [
      "settings that take a stream's window above 2^31-1",
      [headers(1, POST), windowUpdate(1, 0x7fff0000), { type: FRAME.SETTINGS, payload: "0004 7fffffff" }],
      "FLOW_CONTROL_ERROR",
    ],
    [
      "a header block that cannot be decoded",
      [headers(1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]))],
      "COMPRESSION_ERROR",
    ],
    [
      "a header block that cannot be decoded on a stream that is refused",
      [headers(1, Buffer.from([0x80]))],
      "COMPRESSION_ERROR",
    ],
  ];
  test.each(cases)("for %s", async (_, frames, code) => {
    const { peer } = await open();
    await peer.send(...frames);
    expect(goawayOf(peer.take())).toBe(ERROR_CODES[code]);
    expect(peer.isEnded).toBe(true);
    expect(peer.faults.map((fault) => fault.code)).toEqual(["http2-protocol-error"]);
  });

  test("and what it sends after that is not looked at", async () => {
    const { peer, handler } = await open();
    await peer.send(data(1, "a"), get(3));
    expect(handler.heads).toEqual([]);
  });

  test("and its other requests hear of it", async () => {
    const { peer, handler } = await open();
    await peer.send(headers(1, POST), data(3, "a"));
    expect(handler.errors.map((error) => error.code)).toEqual(["http2-protocol-error"]);
  });
});

describe("a caller that floods is cut off", () => {
  const burst = LIMITS.http2ControlsPerSecondMax * 4 + 100;

  test.each([
    ["by PING", repeated(burst, PING)],
    ["by SETTINGS", repeated(burst, { type: FRAME.SETTINGS })],
    ["by PRIORITY", repeated(burst, { type: FRAME.PRIORITY, streamId: 1, payload: "0000000000" })],
    ["by frames that nobody knows", repeated(burst, { type: 0xee })],
    ["by empty DATA", [headers(1, POST), ...repeated(burst, data(1, ""))]],
    ["by window updates for nothing", [headers(1, POST), ...repeated(burst, windowUpdate(1, 1))]],
    ["by resets of a closed stream", [headers(1, POST), ...repeated(burst, RST(1))]],
  ])("%s", async (_, frames) => {
    const { peer } = await open();
    await peer.send(Buffer.concat(frames.map(rawFrame)));
    expect(goawayOf(peer.take())).toBe(ERROR_CODES.ENHANCE_YOUR_CALM);
    expect(peer.faults.map((fault) => fault.code)).toEqual(["http2-flood"]);
  });

  test("by requests that it resets at once", async () => {
    const { peer, handler } = await open();
    const frames = Array.from({ length: 600 }, (_, i) => [headers(i * 2 + 1, POST), RST(i * 2 + 1)]).flat();
    await peer.send(Buffer.concat(frames.map(rawFrame)));
    expect(goawayOf(peer.take())).toBe(ERROR_CODES.ENHANCE_YOUR_CALM);
    expect(handler.heads.length).toBeLessThanOrEqual(LIMITS.http2ResetsPerSecondMax * 4 + 1);
  });

  test("by requests that it makes us reset", async () => {
    const { peer } = await open();
    const frames = Array.from({ length: 600 }, (_, i) => [headers(i * 2 + 1, POST), windowUpdate(i * 2 + 1, 0)]).flat();
    await peer.send(Buffer.concat(frames.map(rawFrame)));
    expect(goawayOf(peer.take())).toBe(ERROR_CODES.ENHANCE_YOUR_CALM);
  });

  test("by questions whose answers it does not read", async () => {
    const { bench, peer } = await open();
    peer.connection.pause();
    for (let i = 0; i < 40 && !peer.isClosed; i++) {
      const frames = Array.from({ length: 300 }, (_, n) => get(i * 600 + n * 2 + 1));
      await peer.send(Buffer.concat(frames.map(rawFrame)));
      await pass(bench, 1_000);
    }
    expect(peer.connection.waitingBytes).toBeLessThan(LIMITS.http2UnsentBytesMax + 100_000);
  });

  test("but not by as many over a longer time", async () => {
    const { bench, peer } = await open();
    for (let second = 0; second < 10; second++) {
      await peer.send(...repeated(LIMITS.http2ControlsPerSecondMax - 10, PING));
      await pass(bench, 1_000);
    }
    expect(peer.faults).toEqual([]);
    expect(peer.take().filter((frame) => frame.type === FRAME.PING)).toHaveLength(4_900);
  });
});

describe("a request that is refused leaves its neighbours alone", () => {
  const cases: [name: string, frames: RawFrame[], code: keyof typeof ERROR_CODES][] = [
    [
      "with an upper-case name",
      [headers(1, Buffer.concat([GET, rawFields("Host", "a")]), FLAG.END_STREAM)],
      "PROTOCOL_ERROR",
    ],
    [
      "with connection",
      [headers(1, Buffer.concat([GET, rawFields("connection", "close")]), FLAG.END_STREAM)],
      "PROTOCOL_ERROR",
    ],
    [
      "that promises a body and ends",
      [headers(1, Buffer.concat([POST, rawFields("content-length", "1")]), FLAG.END_STREAM)],
      "PROTOCOL_ERROR",
    ],
    [
      "with less DATA than it promised",
      [headers(1, Buffer.concat([POST, rawFields("content-length", "3")])), data(1, "ab", FLAG.END_STREAM)],
      "PROTOCOL_ERROR",
    ],
    [
      "whose trailers come before all its DATA",
      [
        headers(1, Buffer.concat([POST, rawFields("content-length", "3")])),
        headers(1, rawFields("x", "y"), FLAG.END_STREAM),
      ],
      "PROTOCOL_ERROR",
    ],
    [
      "whose trailers hold a pseudo-header field",
      [headers(1, POST), headers(1, rawFields(":path", "/"), FLAG.END_STREAM)],
      "PROTOCOL_ERROR",
    ],
    ["whose trailers do not end it", [headers(1, POST), headers(1, rawFields("x", "y"))], "PROTOCOL_ERROR"],
    [
      "that depends on itself",
      [headers(1, Buffer.concat([Buffer.from([0, 0, 0, 1, 0]), GET]), FLAG.END_STREAM | FLAG.PRIORITY)],
      "PROTOCOL_ERROR",
    ],
    ["with a window update of 0", [headers(1, POST), windowUpdate(1, 0)], "PROTOCOL_ERROR"],
    ["with a window above 2^31-1", [headers(1, POST), windowUpdate(1, 0x7fffffff)], "FLOW_CONTROL_ERROR"],
  ];
  test.each(cases)("%s", async (_, frames, code) => {
    const { peer, handler } = await open();
    await peer.send(...frames);
    const words = peer.takeStream(1);
    expect(words[0]).toMatch(/^HEADERS :status=400/);
    expect(words.at(-1)).toBe(`RST ${ERROR_CODES[code]}`);
    expect(words.some((word) => word.endsWith("END"))).toBe(false);
    expect(handler.errors.map((error) => error.code)).toEqual(["bad-request"]);
    await peer.send(get(3));
    expect(peer.takeStream(3)).toEqual([ANSWER, "DATA GET /\n END"]);
  });

  test("with more DATA than it promised, after its answer has begun", async () => {
    const { peer, handler } = await open();
    const promise = rawFields("content-length", "3");
    await peer.send(headers(1, Buffer.concat([POST, promise])), data(1, "ab"), data(1, "cd"));
    expect(peer.takeStream(1).at(-1)).toBe("RST 1");
    expect(handler.errors.map((error) => error.code)).toEqual(["bad-request"]);
    await peer.send(get(3));
    expect(peer.takeStream(3)).toContain("DATA GET /\n END");
  });

  test("with DATA behind its end, while its answer waits", async () => {
    const { peer } = await open();
    await peer.send({ type: FRAME.SETTINGS, payload: "0004 00000000" }, get(1), data(1, "a"));
    expect(peer.takeStream(1).at(-1)).toBe(`RST ${ERROR_CODES.STREAM_CLOSED}`);
  });

  test("whose head is too long is answered 431", async () => {
    const { peer } = await open();
    const block = Buffer.concat([GET, Buffer.alloc(101, 0x82)]);
    await peer.send(headers(1, block, FLAG.END_STREAM));
    expect(peer.takeStream(1)[0]).toMatch(/^HEADERS :status=431/);
    await peer.send(get(3));
    expect(peer.takeStream(3)[0]).toBe(ANSWER);
  });

  test("beyond as many as may be open", async () => {
    const { peer, handler } = await open();
    const all = Array.from({ length: LIMITS.http2StreamsMax + 1 }, (_, i) => headers(i * 2 + 1, POST));
    await peer.send(...all);
    const last = LIMITS.http2StreamsMax * 2 + 1;
    expect(peer.takeStream(last)).toEqual([`RST ${ERROR_CODES.REFUSED_STREAM}`]);
    expect(handler.heads).toHaveLength(LIMITS.http2StreamsMax);
    await peer.send(data(1, "", FLAG.END_STREAM), headers(last + 2, POST));
    expect(handler.heads).toHaveLength(LIMITS.http2StreamsMax + 1);
  });

  test("whose window is overrun", async () => {
    const { peer } = await open();
    await peer.send({ type: FRAME.SETTINGS, payload: "0004 00000000" }, headers(1, POST));
    const frames = Math.ceil((LIMITS.http2StreamWindowBytes + 1) / 16_384);
    for (let i = 0; i < frames; i++) await peer.send(data(1, Buffer.alloc(16_384)));
    expect(peer.takeStream(1).at(-1)).toBe(`RST ${ERROR_CODES.FLOW_CONTROL_ERROR}`);
    expect(peer.faults).toEqual([]);
  });
});

describe("what was on its way to a stream that we have reset is passed over", () => {
  test("DATA, HEADERS and window updates", async () => {
    const { peer } = await open();
    await peer.send(headers(1, Buffer.concat([POST, rawFields("te", "gzip")])));
    peer.take();
    await peer.send(
      data(1, "abc"),
      windowUpdate(1, 5),
      headers(1, rawFields("x", "y"), FLAG.END_STREAM),
      RST(1),
      get(3),
    );
    expect(peer.takeStream(3)[0]).toBe(ANSWER);
    expect(peer.faults).toEqual([]);
  });

  test("but its fields are entered into the table all the same", async () => {
    const { peer, handler } = await open();
    await peer.send(headers(1, Buffer.concat([POST, rawFields("te", "gzip")])));
    await peer.send(headers(1, Buffer.from("4001780179", "hex"), FLAG.END_STREAM));
    await peer.send(headers(3, Buffer.concat([GET, Buffer.from([0xbe])]), FLAG.END_STREAM));
    expect(handler.heads.at(-1)!.headers).toEqual(["x", "y"]);
  });
});

describe("a request is answered", () => {
  test("with its last DATA and its end in one frame", async () => {
    const { peer } = await open();
    await peer.send(get(1));
    expect(peer.takeStream(1)).toEqual([ANSWER, "DATA GET /\n END"]);
  });

  test("beside others, in whatever order they are whole", async () => {
    const { peer } = await open();
    await peer.send(headers(1, POST), headers(3, POST), data(3, "b", FLAG.END_STREAM));
    expect(peer.takeStream(3)).toEqual(["HEADERS :status=200", "DATA b", "DATA  END"]);
    await peer.send(data(1, "a"), headers(1, rawFields("x-sum", "1"), FLAG.END_STREAM));
    expect(peer.takeStream(1)).toEqual(["HEADERS :status=200", "DATA a", "HEADERS x-sum=1 END"]);
  });

  test("before its body is whole: the caller is told to stop, without an error", async () => {
    const { peer } = await open();
    const early = rawFields(":method", "POST", ":scheme", "http", ":path", "/early", ":authority", "a");
    await peer.send(headers(1, early), data(1, "abc"));
    expect(peer.takeStream(1).slice(1)).toEqual(["DATA POST /early\n END", `RST ${ERROR_CODES.NO_ERROR}`]);
  });

  test("after leave to send its body", async () => {
    const { peer } = await open();
    await peer.send(headers(1, Buffer.concat([POST, rawFields("expect", "100-continue")])));
    expect(peer.takeStream(1)).toEqual(["HEADERS :status=100"]);
    await peer.send(data(1, "a", FLAG.END_STREAM));
    expect(peer.takeStream(1)).toEqual(["HEADERS :status=200", "DATA a", "DATA  END"]);
  });

  test("to HEAD with a length and no body", async () => {
    const { peer } = await open();
    const head = rawFields(":method", "HEAD", ":scheme", "http", ":path", "/", ":authority", "a");
    await peer.send(headers(1, head, FLAG.END_STREAM));
    expect(peer.takeStream(1)).toEqual(["HEADERS :status=200 content-type=text/plain END"]);
  });

  test("a ping is answered with its own octets", async () => {
    const { peer } = await open();
    await peer.send(PING);
    expect(peer.take()).toEqual([
      { type: FRAME.PING, flags: FLAG.ACK, streamId: 0, payload: Buffer.from("0102030405060708", "hex") },
    ]);
  });
});

describe("flow control", () => {
  test("sends no more than the stream's window, and goes on when it widens", async () => {
    const { peer } = await open();
    await peer.send({ type: FRAME.SETTINGS, payload: "0004 00000002" }, get(1));
    expect(peer.takeStream(1)).toEqual([ANSWER, "DATA GE"]);
    await peer.send(windowUpdate(1, 3));
    expect(peer.takeStream(1)).toEqual(["DATA T /"]);
    await peer.send({ type: FRAME.SETTINGS, payload: "0004 00000100" });
    expect(peer.takeStream(1)).toEqual(["DATA \n END"]);
  });

  test("bears a window below zero", async () => {
    const { peer } = await open();
    await peer.send({ type: FRAME.SETTINGS, payload: "0004 00000004" }, get(1), {
      type: FRAME.SETTINGS,
      payload: "0004 00000000",
    });
    expect(peer.takeStream(1)).toEqual([ANSWER, "DATA GET "]);
    await peer.send(windowUpdate(1, 4));
    expect(peer.takeStream(1)).toEqual([]);
    await peer.send(windowUpdate(1, 2));
    expect(peer.takeStream(1)).toEqual(["DATA /\n END"]);
  });

  test("sends no more than the connection's window, its streams in turn", async () => {
    const { peer } = await open();
    await peer.send(headers(1, POST), headers(3, POST));
    for (let i = 0; i < 3; i++) await peer.send(data(1, Buffer.alloc(16_000)), data(3, Buffer.alloc(16_000)));
    const sent = peer.take().filter((frame) => frame.type === FRAME.DATA);
    expect(sent.reduce((sum, frame) => sum + frame.payload.length, 0)).toBe(WINDOW_BYTES);
    await peer.send(windowUpdate(0, 20_000));
    const more = peer.take().filter((frame) => frame.type === FRAME.DATA);
    expect(new Set(more.map((frame) => frame.streamId))).toEqual(new Set([1, 3]));
  });

  test("a short answer does not wait for a long one", async () => {
    const { peer } = await open();
    await peer.send(headers(1, POST));
    for (let i = 0; i < 8; i++) await peer.send(data(1, Buffer.alloc(16_000)));
    await peer.send(get(3));
    peer.take();
    await peer.send(windowUpdate(0, 16_384 + 6));
    expect(peer.take().filter((frame) => frame.type === FRAME.DATA && frame.streamId === 3)).toHaveLength(1);
  });

  test("returns the connection's credit on receipt and a stream's only when its reader goes on", async () => {
    const { peer } = await open();
    // The echo cannot be sent, so the request is not read on.
    await peer.send({ type: FRAME.SETTINGS, payload: "0004 00000000" }, headers(1, POST));
    for (let i = 0; i < 16; i++) await peer.send(data(1, Buffer.alloc(16_384)));
    await peer.send(headers(3, POST));
    for (let i = 0; i < 16; i++) await peer.send(data(3, Buffer.alloc(16_384)));
    await peer.send(headers(5, POST));
    for (let i = 0; i < 2; i++) await peer.send(data(5, Buffer.alloc(16_384)));
    const updates = peer.take().filter((frame) => frame.type === FRAME.WINDOW_UPDATE);
    expect(updates.map((frame) => frame.streamId)).toEqual([0]);
    await peer.send({ type: FRAME.SETTINGS, payload: "0004 00100000" }, windowUpdate(0, 1_000_000));
    const later = peer.take().filter((frame) => frame.type === FRAME.WINDOW_UPDATE);
    expect(new Set(later.map((frame) => frame.streamId))).toEqual(new Set([1, 3]));
  });
});

test("what is held for slow readers of one connection has a bound, and it is let on when they read", async () => {
  const bench = createBench();
  const streams: DownstreamStream[] = [];
  const handler = createEchoHandler();
  const slow: RequestHandler = {
    ...handler,
    begin(_head, stream) {
      streams.push(stream);
      stream.pauseBody();
      return new IgnoringRequest();
    },
  };
  const peer = await serveRaw(bench, slow);
  await peer.send(OPENING, rawFrame({ type: FRAME.SETTINGS, flags: FLAG.ACK }));
  let credit = WINDOW_BYTES;
  const takeCredit = (): void => {
    const updates = peer.take().filter((frame) => frame.type === FRAME.WINDOW_UPDATE && frame.streamId === 0);
    for (const update of updates) credit += update.payload.readUInt32BE(0);
  };
  takeCredit();
  let sent = 0;
  for (let streamId = 1; credit >= 16_384 && streamId < 200; streamId += 2) {
    await peer.send(headers(streamId, POST));
    for (let i = 0; i < 16 && credit >= 16_384; i++) {
      await peer.send(data(streamId, Buffer.alloc(16_384)));
      credit -= 16_384;
      sent += 16_384;
      takeCredit();
    }
  }
  expect(sent).toBeGreaterThan(LIMITS.http2HeldBytesMax - 16_384);
  expect(sent).toBeLessThan(LIMITS.http2HeldBytesMax + 2 * LIMITS.http2ConnectionWindowBytes);
  for (const stream of streams) stream.resumeBody();
  await bench.network.settle();
  takeCredit();
  expect(credit).toBeGreaterThan(LIMITS.http2ConnectionWindowBytes / 2);
});

class IgnoringRequest implements RequestEvents {
  onRequestBody(): void {}
  onRequestEnd(): void {}
  onDownstreamDrain(): void {}
  onRequestFailure(): void {}
  onStalled(): void {}
  mayHoldEarlyData(): boolean {
    return true;
  }
}

describe("time", () => {
  test("a caller that never sends its SETTINGS is cut off", async () => {
    const bench = createBench();
    const peer = await serveRaw(bench, createEchoHandler());
    await pass(bench, LIMITS.http2SettingsTimeoutMs + 500);
    expect(goawayOf(peer.take())).toBe(ERROR_CODES.SETTINGS_TIMEOUT);
  });

  test("a caller that never acknowledges ours is cut off", async () => {
    const bench = createBench();
    const peer = await serveRaw(bench, createEchoHandler());
    await peer.send(OPENING);
    await pass(bench, LIMITS.http2SettingsTimeoutMs + 500);
    expect(goawayOf(peer.take())).toBe(ERROR_CODES.SETTINGS_TIMEOUT);
  });

  test("a head that comes octet by octet is cut off, however busily it comes", async () => {
    const { bench, peer } = await open();
    await peer.send({ type: FRAME.HEADERS, streamId: 1, payload: GET });
    const frame = rawFrame({ type: FRAME.CONTINUATION, streamId: 1, payload: Buffer.alloc(100, 0x82) });
    for (let at = 0; at < 20; at++) {
      await peer.send(frame.subarray(at, at + 1));
      await pass(bench, 1_000);
    }
    expect(goawayOf(peer.take())).toBe(ERROR_CODES.ENHANCE_YOUR_CALM);
    expect(peer.faults.map((fault) => fault.code)).toEqual(["request-timeout"]);
  });

  test("a caller that was told to go and stays is dropped", async () => {
    const { bench, peer } = await open();
    await peer.send(data(1, "a"));
    expect(bench.live.size).toBe(1);
    await pass(bench, LIMITS.lingerMs + 1_000);
    expect(bench.live.size).toBe(0);
    expect(bench.network.openCount).toBe(1);
  });

  test("an idle connection is ended in good order", async () => {
    const { bench, peer } = await open();
    await pass(bench, LIMITS.keepAliveIdleMs + 1_000);
    expect(goawayOf(peer.take())).toBe(ERROR_CODES.NO_ERROR);
    expect(peer.isEnded).toBe(true);
    expect(peer.faults).toEqual([]);
  });

  test("a silent caller with a request under way is asked, and given up when it does not answer", async () => {
    const { bench, peer, handler } = await open();
    await peer.send(headers(1, POST));
    await pass(bench, LIMITS.http2PingTimeoutMs + 1_000);
    expect(peer.take().map((frame) => frame.type)).toContain(FRAME.PING);
    await pass(bench, LIMITS.http2PingTimeoutMs + 1_000);
    expect(peer.isClosed).toBe(true);
    expect(handler.errors.map((error) => error.code)).toEqual(["downstream-reset"]);
  });

  test("a silent caller that answers is left alone", async () => {
    const { bench, peer } = await open();
    await peer.send(headers(1, POST));
    for (let i = 0; i < 5; i++) {
      await pass(bench, LIMITS.http2PingTimeoutMs + 1_000);
      const ping = peer.take().find((frame) => frame.type === FRAME.PING);
      expect(ping).toBeDefined();
      await peer.send({ type: FRAME.PING, flags: FLAG.ACK, payload: ping!.payload });
    }
    expect(peer.isClosed).toBe(false);
  });

  test("a caller that gives no window for its answer loses it, and its connection goes on", async () => {
    const { bench, peer } = await open();
    await peer.send({ type: FRAME.SETTINGS, payload: "0004 00000000" }, get(1));
    for (let ms = 0; ms < LIMITS.http2WindowStallMs + 10_000; ms += 10_000) {
      await pass(bench, 10_000);
      await peer.send(PING);
    }
    expect(peer.takeStream(1)).toEqual([ANSWER, `RST ${ERROR_CODES.CANCEL}`]);
    expect(peer.isClosed).toBe(false);
  });
});

describe("drain", () => {
  test("without requests ends the connection at once", async () => {
    const { bench, peer } = await open();
    bench.live.drain();
    await bench.network.settle();
    expect(goawayOf(peer.take())).toBe(ERROR_CODES.NO_ERROR);
    expect(peer.isEnded).toBe(true);
  });

  test("lets what is under way and what is on its way finish, and takes nothing after that", async () => {
    const { bench, peer, handler } = await open();
    await peer.send(headers(1, POST));
    bench.live.drain();
    await bench.network.settle();
    const [first] = peer.take();
    expect(first!.payload.readUInt32BE(0)).toBe(0x7fffffff);
    await peer.send(headers(3, POST));
    await pass(bench, 500);
    expect(peer.take().at(-1)!.payload.readUInt32BE(0)).toBe(3);
    await peer.send(headers(5, POST), data(5, "a", FLAG.END_STREAM));
    expect(handler.heads).toHaveLength(2);
    await peer.send(data(1, "a", FLAG.END_STREAM), data(3, "b", FLAG.END_STREAM));
    expect(peer.isEnded).toBe(true);
    expect(peer.takeStream(3)).toEqual(["HEADERS :status=200", "DATA b", "DATA  END"]);
    expect(handler.errors).toEqual([]);
  });

  test("retires a connection whose certificates come to their end", async () => {
    const bench = createBench();
    const now = bench.clock.wallMs();
    const peer = await serveRaw(bench, createEchoHandler(), { retiresAtMs: now + 5_000, endsAtMs: now + 9_000 });
    await peer.send(OPENING, rawFrame({ type: FRAME.SETTINGS, flags: FLAG.ACK }), headers(1, POST));
    await pass(bench, 6_000);
    expect(goawayOf(peer.take())).toBe(ERROR_CODES.NO_ERROR);
    expect(peer.isClosed).toBe(false);
    await pass(bench, 4_000);
    expect(peer.isClosed).toBe(true);
  });
});

describe("a tunnel", () => {
  const connect = rawFields(":method", "CONNECT", ":authority", "10.0.0.1:5432");

  test("carries bytes both ways and ends when both sides have", async () => {
    const { peer } = await open();
    await peer.send(headers(1, connect), data(1, "early"));
    expect(peer.takeStream(1)).toEqual(["HEADERS :status=200", "DATA early"]);
    await peer.send(data(1, "x", FLAG.END_STREAM));
    expect(peer.takeStream(1)).toEqual(["DATA x", "DATA  END"]);
  });

  test("by extended CONNECT is a GET with an upgrade, answered 200", async () => {
    const { peer, handler } = await open();
    const fields = [":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/", ":authority", "a"];
    await peer.send(headers(1, rawFields(...fields)), data(1, "frame"));
    expect(handler.heads[0]).toMatchObject({ method: "GET", upgrade: "websocket" });
    expect(peer.takeStream(1)).toEqual(["HEADERS :status=200", "DATA frame"]);
  });

  test("whose head ends its stream is half-closed from the beginning", async () => {
    const { peer } = await open();
    await peer.send(headers(1, connect, FLAG.END_STREAM));
    expect(peer.takeStream(1)).toEqual(["HEADERS :status=200", "DATA  END"]);
  });
});
