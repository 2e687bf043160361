import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../../src/core/limits.ts";
import type { OutgoingRequest } from "../../../../src/proxy/streams.ts";
import { ERROR_CODES, FLAG, FRAME } from "../../../../src/wire/http2-codes.ts";
import { AnswerLog } from "../../../support/answer-log.ts";
import { type RawFrame, rawFields, rawFrame } from "../../../support/http2-frames.ts";
import { type Bench, createBench, type DialledPeer, dialRaw, goawayOf, pass } from "../../../support/http2-peers.ts";

interface Scene {
  readonly bench: Bench;
  readonly peer: DialledPeer;
}

const SETTINGS_ACK = rawFrame({ type: FRAME.SETTINGS, flags: FLAG.ACK });

/** A client of ours, and a server that has sent its settings. */
async function open(settings = "", probesPeer = true): Promise<Scene> {
  const bench = createBench();
  const peer = await dialRaw(bench, undefined, probesPeer);
  await peer.send({ type: FRAME.SETTINGS, payload: settings }, SETTINGS_ACK);
  peer.take();
  return { bench, peer };
}

function request(parts: Partial<OutgoingRequest> = {}): OutgoingRequest {
  return {
    method: "GET",
    target: "/a",
    headers: ["host", "orders"],
    framing: { kind: "none" },
    upgrade: null,
    takesTrailers: false,
    ...parts,
  };
}

const POST: Partial<OutgoingRequest> = { method: "POST", framing: { kind: "chunked" } };

function headers(payload: Buffer, flags = 0, streamId = 1): RawFrame {
  return { type: FRAME.HEADERS, flags: FLAG.END_HEADERS | flags, streamId, payload };
}

function data(text: string, flags = 0, streamId = 1): RawFrame {
  return { type: FRAME.DATA, flags, streamId, payload: Buffer.from(text) };
}

function reset(name: keyof typeof ERROR_CODES): RawFrame {
  return { type: FRAME.RST_STREAM, streamId: 1, payload: ERROR_CODES[name].toString(16).padStart(8, "0") };
}

const OK = rawFields(":status", "200");
const END = FLAG.END_STREAM;

describe("an answer is refused, and the connection goes on", () => {
  const cases: [name: string, frames: RawFrame[]][] = [
    ["whose status is none", [headers(rawFields(":status", "20"), END)]],
    ["with an upper-case name", [headers(rawFields(":status", "200", "A", "b"), END)]],
    ["with connection", [headers(rawFields(":status", "200", "connection", "close"), END)]],
    ["whose DATA comes before its head", [data("a")]],
    ["that ends without a head", [data("", END)]],
    ["with more DATA than it promised", [headers(rawFields(":status", "200", "content-length", "1")), data("ab")]],
    ["with less DATA than it promised", [headers(rawFields(":status", "200", "content-length", "3")), data("ab", END)]],
    ["with DATA to a 204", [headers(rawFields(":status", "204")), data("ab")]],
    ["with a second head", [headers(OK), headers(OK)]],
    ["whose trailers hold a pseudo-header field", [headers(OK), headers(OK, END)]],
    ["of 101", [headers(rawFields(":status", "101"))]],
    ["with a head beyond the limit", [headers(Buffer.alloc(200, 0x88), END)]],
    ["with 1xx without end", Array.from({ length: 20 }, () => headers(rawFields(":status", "103")))],
  ];
  test.each(cases)("%s", async (_, frames) => {
    const { peer } = await open();
    const log = new AnswerLog();
    peer.client.send(request(), log);
    await peer.send(...frames);
    expect(log.words.at(-1)).toBe("failure upstream-protocol-error");
    const other = new AnswerLog();
    peer.client.send(request(), other);
    await peer.send(headers(OK, END, 3));
    expect(other.words).toEqual(["head 200", "end"]);
  });

  test("whose window is overrun", async () => {
    const { peer } = await open();
    const log = new AnswerLog();
    const stream = peer.client.send(request(), log);
    stream.pauseAnswer();
    await peer.send(headers(OK));
    for (let i = 0; i < 17; i++) await peer.send({ type: FRAME.DATA, streamId: 1, payload: Buffer.alloc(16_384) });
    expect(log.words.at(-1)).toBe("failure upstream-protocol-error");
    expect(peer.takeStream(1).at(-1)).toBe(`RST ${ERROR_CODES.FLOW_CONTROL_ERROR}`);
  });
});

describe("a server that breaks a rule of the connection is told and cut off", () => {
  const cases: [name: string, frames: RawFrame[], code: keyof typeof ERROR_CODES][] = [
    ["PUSH_PROMISE", [{ type: FRAME.PUSH_PROMISE, streamId: 1, payload: "00000002" }], "PROTOCOL_ERROR"],
    ["HEADERS on a stream that we have not opened", [headers(OK, END, 5)], "PROTOCOL_ERROR"],
    ["HEADERS on an even stream", [headers(OK, END, 2)], "PROTOCOL_ERROR"],
    ["ENABLE_PUSH", [{ type: FRAME.SETTINGS, payload: "0002 00000001" }], "PROTOCOL_ERROR"],
    ["fields that cannot be decoded", [headers(Buffer.from([0x80]), END)], "COMPRESSION_ERROR"],
  ];
  test.each(cases)("for %s", async (_, frames, code) => {
    const { peer } = await open();
    const log = new AnswerLog();
    peer.client.send(request(), log);
    await peer.send(...frames);
    expect(goawayOf(peer.take())).toBe(ERROR_CODES[code]);
    expect(log.words).toEqual(["failure upstream-protocol-error"]);
    expect(peer.calls).toEqual(["gone"]);
    expect(peer.client.isFree).toBe(false);
  });
});

describe("a request fails", () => {
  test("and may be sent again, when the server refused its stream", async () => {
    const { peer } = await open();
    const log = new AnswerLog();
    peer.client.send(request(), log);
    await peer.send({ type: FRAME.RST_STREAM, streamId: 1, payload: "00000007" });
    expect(log.words).toEqual(["failure upstream-reset unprocessed"]);
  });

  test("for good, when the server reset it for another reason", async () => {
    const { peer } = await open();
    const log = new AnswerLog();
    peer.client.send(request(), log);
    await peer.send({ type: FRAME.RST_STREAM, streamId: 1, payload: "00000002" });
    expect(log.words).toEqual(["failure upstream-reset"]);
  });

  test("for good, when its answer had begun", async () => {
    const { peer } = await open();
    const log = new AnswerLog();
    peer.client.send(request(), log);
    await peer.send(headers(OK), data("a"), { type: FRAME.RST_STREAM, streamId: 1, payload: "00000007" });
    expect(log.words).toEqual(["head 200", "failure upstream-reset"]);
  });

  test("and may be sent again, when GOAWAY says that it was not looked at; the others are answered", async () => {
    const { peer } = await open();
    const logs = [new AnswerLog(), new AnswerLog()];
    for (const log of logs) peer.client.send(request(), log);
    await peer.send({ type: FRAME.GOAWAY, payload: "00000001 00000000" });
    expect(peer.client.isFree).toBe(false);
    expect(logs[1]!.words).toEqual(["failure upstream-reset unprocessed"]);
    await peer.send(headers(OK, END));
    expect(logs[0]!.words).toEqual(["head 200", "end"]);
    expect(peer.calls).toEqual(["gone"]);
    expect(peer.isEnded).toBe(true);
  });

  test("for good on a connection that had answered meanwhile, stale on one that was silent", async () => {
    const { peer } = await open();
    const logs = [new AnswerLog(), new AnswerLog()];
    peer.client.send(request(), logs[0]!);
    await peer.send(headers(rawFields(":status", "103")));
    peer.client.send(request(), logs[1]!);
    peer.connection.destroy();
    await peer.send();
    expect(logs[0]!.words).toEqual(["informational 103", "failure upstream-reset"]);
    expect(logs[1]!.words).toEqual(["failure upstream-reset stale"]);
  });

  test("when the server takes nothing of it for too long", async () => {
    const { bench, peer } = await open("0004 00000000", false);
    const log = new AnswerLog();
    peer.client.send(request(POST), log).sendBody(Buffer.from("a"));
    await pass(bench, LIMITS.http2WindowStallMs + 1_000);
    expect(log.words).toEqual(["failure upstream-timeout"]);
    expect(peer.takeStream(1).at(-1)).toBe(`RST ${ERROR_CODES.CANCEL}`);
  });

  test("at once when it asks for an upgrade that the server does not take", async () => {
    const { peer } = await open();
    const upgrade = request({ upgrade: "websocket" });
    expect(() => peer.client.send(upgrade, new AnswerLog())).toThrowError(
      expect.objectContaining({ code: "upgrade-not-allowed" }) as Error,
    );
    expect(peer.client.requestCount).toBe(0);
  });

  test("silently when it was given up", async () => {
    const { peer } = await open();
    const log = new AnswerLog();
    peer.client.send(request(), log).abort();
    await peer.send(headers(OK), data("a", END));
    expect(log.words).toEqual([]);
    expect(peer.takeStream(1).at(-1)).toBe(`RST ${ERROR_CODES.CANCEL}`);
  });

  test("when the certificates of its connection end", async () => {
    const bench = createBench();
    const now = bench.clock.wallMs();
    const peer = await dialRaw(bench, { retiresAtMs: now + 2_000, endsAtMs: now + 4_000 });
    await peer.send({ type: FRAME.SETTINGS }, SETTINGS_ACK);
    const log = new AnswerLog();
    peer.client.send(request(), log);
    await pass(bench, 3_000);
    expect(peer.client.isFree).toBe(false);
    expect(log.words).toEqual([]);
    await pass(bench, 2_000);
    expect(log.words).toEqual(["failure certificate-ended"]);
  });
});

describe("a request is sent", () => {
  test("with its host as :authority, in as few frames as it takes", async () => {
    const { peer } = await open();
    peer.client.send(request({ headers: ["Host", "orders:80", "X-A", "b", "Connection", "close"] }), new AnswerLog());
    await peer.send();
    expect(peer.takeStream(1)).toEqual(["HEADERS :method=GET :scheme=http :path=/a :authority=orders:80 x-a=b END"]);
  });

  test("with its body's last piece and its end in one frame", async () => {
    const { peer } = await open();
    const stream = peer.client.send(
      request({ method: "POST", framing: { kind: "length", bytes: 4 } }),
      new AnswerLog(),
    );
    stream.sendBody(Buffer.from("ab"));
    stream.sendBody(Buffer.from("cd"));
    stream.sendEnd([]);
    await peer.send();
    expect(peer.takeStream(1).slice(1)).toEqual(["DATA ab", "DATA cd END"]);
  });

  test("with its trailers", async () => {
    const { peer } = await open();
    const stream = peer.client.send(request(POST), new AnswerLog());
    stream.sendBody(Buffer.from("ab"));
    stream.sendEnd(["X-Sum", "1"]);
    await peer.send();
    expect(peer.takeStream(1).slice(1)).toEqual(["DATA ab", "HEADERS x-sum=1 END"]);
  });

  test("and not sent on when its answer is whole before it", async () => {
    const { peer } = await open();
    const log = new AnswerLog();
    const stream = peer.client.send(request(POST), log);
    await peer.send(headers(OK, END));
    stream.sendBody(Buffer.from("ab"));
    await peer.send();
    expect(log.words).toEqual(["head 200", "end"]);
    expect(peer.takeStream(1).slice(1)).toEqual([`RST ${ERROR_CODES.CANCEL}`]);
  });

  test("within the server's window, its source told to wait and to go on", async () => {
    const { peer } = await open("0004 00000000");
    const log = new AnswerLog();
    const stream = peer.client.send(request(POST), log);
    expect(stream.sendBody(Buffer.alloc(LIMITS.http2StreamQueueBytesMax))).toBe(false);
    await peer.send({ type: FRAME.WINDOW_UPDATE, streamId: 1, payload: "0000c000" });
    expect(log.drains).toBe(1);
  });
});

describe("an answer is read", () => {
  test("with informational ones before it and trailers behind it", async () => {
    const { peer } = await open();
    const log = new AnswerLog();
    peer.client.send(request(), log);
    await peer.send(
      headers(rawFields(":status", "103")),
      headers(OK),
      data("ab"),
      headers(rawFields("grpc-status", "0"), END),
    );
    expect(log.words).toEqual(["informational 103", "head 200", "end"]);
    expect(log.body.toString()).toBe("ab");
    expect(log.trailers).toEqual(["grpc-status", "0"]);
  });

  test("no further while its reader waits, and whole when it goes on", async () => {
    const { peer } = await open();
    const log = new AnswerLog();
    const stream = peer.client.send(request(), log);
    await peer.send(headers(OK));
    stream.pauseAnswer();
    await peer.send(data("ab"), data("cd", END));
    expect(log.body.toString()).toBe("");
    stream.resumeAnswer();
    expect(log.body.toString()).toBe("abcd");
    expect(log.words).toEqual(["head 200", "end"]);
  });

  test("holds a whole answer for it, though the server resets what is left of the request", async () => {
    const { peer } = await open();
    const log = new AnswerLog();
    const stream = peer.client.send(request(POST), log);
    await peer.send(headers(OK));
    stream.pauseAnswer();
    await peer.send(data("ab", END), reset("NO_ERROR"));
    expect(log.words).toEqual(["head 200"]);
    stream.resumeAnswer();
    expect(log.body.toString()).toBe("ab");
    expect(log.words).toEqual(["head 200", "end"]);
  });

  test("loses what is held for it to a reset within the answer, whatever its code", async () => {
    for (const code of ["NO_ERROR", "INTERNAL_ERROR"] as const) {
      const { peer } = await open();
      const log = new AnswerLog();
      const stream = peer.client.send(request(POST), log);
      await peer.send(headers(OK));
      stream.pauseAnswer();
      await peer.send(data("ab"), reset(code));
      stream.resumeAnswer();
      expect(log.words).toEqual(["head 200", "failure upstream-reset"]);
    }
  });
});

describe("an app that has not said how many streams it takes", () => {
  test("gets one, and a sidecar as many as there are", async () => {
    for (const [probesPeer, isFree] of [
      [false, false],
      [true, true],
    ] as const) {
      const peer = await dialRaw(createBench(), undefined, probesPeer);
      expect(peer.client.isFree).toBe(true);
      peer.client.send(request(), new AnswerLog());
      expect(peer.client.isFree).toBe(isFree);
      await peer.send({ type: FRAME.SETTINGS, payload: "" });
      expect(peer.client.isFree).toBe(true);
    }
  });
});

function answerOf(bytes: number): RawFrame {
  return headers(rawFields(":status", "200", "content-length", `${bytes}`));
}

describe("the channel is crowded", () => {
  const LONG = LIMITS.http2LongBodyBytesMin;

  test("from a head that announces a long body to that body's end, and by no shorter one", async () => {
    const { peer } = await open();
    const log = new AnswerLog();
    peer.client.send(request(), log);
    peer.client.send(request(), new AnswerLog());
    await peer.send({ ...answerOf(LONG - 1), streamId: 3 });
    expect(peer.client.isCrowded).toBe(false);
    await peer.send(answerOf(LONG));
    expect(peer.client.isCrowded).toBe(true);
    await peer.send(reset("INTERNAL_ERROR"));
    expect(log.words).toEqual(["head 200", "failure upstream-reset"]);
    expect(peer.client.isCrowded).toBe(false);
  });

  test("by a body of unknown length once it has moved so much", async () => {
    const { peer } = await open();
    peer.client.send(request(), new AnswerLog());
    await peer.send(headers(OK));
    const piece = { type: FRAME.DATA, streamId: 1, payload: Buffer.alloc(16_384) };
    for (let bytes = 16_384; bytes < LONG; bytes += 16_384) await peer.send(piece);
    expect(peer.client.isCrowded).toBe(false);
    await peer.send(piece);
    expect(peer.client.isCrowded).toBe(true);
    await peer.send(data("", END));
    expect(peer.client.isCrowded).toBe(false);
  });

  test("by a request that announces a long body, at once", async () => {
    const { peer } = await open();
    const upload = { method: "POST", framing: { kind: "length", bytes: LONG } } as const;
    const stream = peer.client.send(request(upload), new AnswerLog());
    expect(peer.client.isCrowded).toBe(true);
    stream.abort();
    expect(peer.client.isCrowded).toBe(false);
  });
});

describe("the channel", () => {
  test("is free for as many requests as the server allows, and says when it is free again", async () => {
    const { peer } = await open("0003 00000002");
    peer.client.send(request(), new AnswerLog());
    expect(peer.client.isFree).toBe(true);
    peer.client.send(request(), new AnswerLog());
    expect(peer.client.isFree).toBe(false);
    expect(peer.calls).toEqual([]);
    await peer.send(headers(OK, END, 3));
    expect(peer.calls).toEqual(["free"]);
    await peer.send(headers(OK, END, 1));
    expect(peer.calls).toEqual(["free"]);
  });

  test("is free at once, before the server has spoken", async () => {
    const peer = await dialRaw(createBench());
    expect(peer.client.isFree).toBe(true);
    peer.client.send(request(), new AnswerLog());
    await peer.send();
    expect(peer.take().map((frame) => frame.type)).toEqual([FRAME.SETTINGS, FRAME.WINDOW_UPDATE, FRAME.HEADERS]);
  });

  test("is given up when the server allows no request at all", async () => {
    const { peer } = await open("0003 00000000");
    expect(peer.client.isFree).toBe(false);
  });

  test("drained, closes when its last answer is whole", async () => {
    const { bench, peer } = await open();
    const log = new AnswerLog();
    peer.client.send(request(), log);
    bench.live.drain();
    expect(peer.client.isFree).toBe(false);
    await peer.send(headers(OK, END));
    expect(log.words).toEqual(["head 200", "end"]);
    expect(peer.isEnded).toBe(true);
    // Until the server has closed its side, too, the connection has deadlines.
    expect(bench.live.size).toBe(1);
    peer.connection.end();
    await peer.send();
    expect(bench.live.size).toBe(0);
  });

  test("idle for too long, closes", async () => {
    const { bench, peer } = await open();
    await pass(bench, LIMITS.upstreamIdleMs + 1_000);
    expect(goawayOf(peer.take())).toBe(ERROR_CODES.NO_ERROR);
    expect(peer.calls).toEqual(["gone"]);
  });

  test("asks a silent sidecar whether it lives, and no app", async () => {
    for (const probesPeer of [true, false]) {
      const { bench, peer } = await open("", probesPeer);
      peer.client.send(request(), new AnswerLog());
      await pass(bench, LIMITS.http2PingTimeoutMs + 1_000);
      expect(peer.take().some((frame) => frame.type === FRAME.PING)).toBe(probesPeer);
    }
  });
});

describe("a stream becomes a connection", () => {
  const CONNECT = request({ method: "CONNECT", target: "10.0.0.1:5432", headers: [] });

  test("by CONNECT, and carries bytes until both sides have ended", async () => {
    const { peer, bench } = await open();
    const log = new AnswerLog();
    const stream = peer.client.send(CONNECT, log);
    await peer.send(headers(OK), data("early"));
    expect(log.words).toEqual(["head 200"]);
    const { connection } = stream.detach();
    const events: string[] = [];
    connection.setHandlers({
      onData: (chunk) => void events.push(chunk.toString()),
      onEnd: () => void events.push("end"),
      onDrain: () => {},
      onClose: (error) => void events.push(`close ${error?.code}`),
    });
    connection.resume();
    connection.write(Buffer.from("hello"));
    connection.end();
    await peer.send(data("later", END));
    await bench.network.settle();
    expect(events).toEqual(["early", "later", "end", "close undefined"]);
    expect(peer.takeStream(1)).toEqual(["HEADERS :method=CONNECT :authority=10.0.0.1:5432", "DATA hello", "DATA  END"]);
  });

  test("that the server resets", async () => {
    const { peer, bench } = await open();
    const stream = peer.client.send(CONNECT, new AnswerLog());
    await peer.send(headers(OK));
    const { connection } = stream.detach();
    const closed: (string | undefined)[] = [];
    connection.setHandlers({
      onData() {},
      onEnd() {},
      onDrain() {},
      onClose: (error) => void closed.push(error?.code),
    });
    await peer.send({ type: FRAME.RST_STREAM, streamId: 1, payload: "0000000a" });
    await bench.network.settle();
    expect(closed).toEqual(["upstream-reset"]);
  });

  test("that we destroy, which the server must not take for an end", async () => {
    const { peer } = await open();
    const stream = peer.client.send(CONNECT, new AnswerLog());
    await peer.send(headers(OK));
    stream.detach().connection.destroy();
    await peer.send();
    expect(peer.takeStream(1).at(-1)).toBe(`RST ${ERROR_CODES.CONNECT_ERROR}`);
  });

  test("by an upgrade, where the server takes it; its 200 reads as 101", async () => {
    const { peer } = await open("0008 00000001");
    const log = new AnswerLog();
    peer.client.send(request({ upgrade: "websocket" }), log);
    await peer.send(headers(OK));
    expect(log.words).toEqual(["head 101"]);
    expect(log.head!.upgrade).toBe("websocket");
    expect(peer.takeStream(1)).toEqual([
      "HEADERS :method=CONNECT :protocol=websocket :scheme=http :path=/a :authority=orders",
    ]);
  });

  test("not, when the server denies it with an answer", async () => {
    const { peer } = await open();
    const log = new AnswerLog();
    peer.client.send(CONNECT, log);
    await peer.send(headers(rawFields(":status", "401"), END));
    expect(log.words).toEqual(["head 401", "end"]);
  });
});
