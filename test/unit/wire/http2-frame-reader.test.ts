import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { ERROR_CODES, FLAG, FRAME, PREFACE, SETTING } from "../../../src/wire/http2-codes.ts";
import type { Frame } from "../../../src/wire/http2-frame.ts";
import { Http2FrameReader } from "../../../src/wire/http2-frame-reader.ts";
import {
  writeData,
  writeDataHeader,
  writeGoaway,
  writeHeaders,
  writePing,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from "../../../src/wire/http2-frame-writer.ts";
import { OPENING, type RawFrame, rawFrame } from "../../support/http2-frames.ts";

/** Every frame of a connection's input, in the pieces given; buffers are copied, since they are good for one call. */
function read(pieces: readonly Buffer[], side: "server" | "client" = "server"): Frame[] {
  const reader = new Http2FrameReader(side);
  const frames: Frame[] = [];
  for (const piece of pieces) {
    reader.feed(piece);
    for (let frame = reader.next(); frame !== null; frame = reader.next()) frames.push(kept(frame));
  }
  return frames;
}

function kept(frame: Frame): Frame {
  if (frame.type === "data") return { ...frame, piece: Buffer.from(frame.piece) };
  if (frame.type === "headers") return { ...frame, block: Buffer.from(frame.block) };
  return frame.type === "ping" ? { ...frame, data: Buffer.from(frame.data) } : frame;
}

/** What follows the opening's SETTINGS. */
function after(...frames: RawFrame[]): Frame[] {
  return read([Buffer.concat([OPENING, ...frames.map(rawFrame)])]).slice(1);
}

function fault(code: keyof typeof ERROR_CODES): Frame {
  return expect.objectContaining({ type: "connection-fault", code }) as Frame;
}

const HEADERS = { type: FRAME.HEADERS, flags: FLAG.END_HEADERS, streamId: 1 };

describe("a connection is refused", () => {
  test.each([
    ["that begins with HTTP/1.1", [Buffer.from("GET / HTTP/1.1\r\n\r\n")], "PROTOCOL_ERROR"],
    [
      "whose preface is off by one octet at its end",
      [Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r")],
      "PROTOCOL_ERROR",
    ],
    [
      "whose first frame is not SETTINGS",
      [PREFACE, rawFrame({ type: FRAME.PING, payload: "00".repeat(8) })],
      "PROTOCOL_ERROR",
    ],
    ["whose first frame is an acknowledgement", [PREFACE, writeSettingsAck()], "PROTOCOL_ERROR"],
  ] as const)("%s", (_, pieces, code) => {
    expect(read(pieces)).toEqual([fault(code)]);
  });

  const cases: [name: string, frames: RawFrame[], code: keyof typeof ERROR_CODES][] = [
    ["DATA on stream 0", [{ type: FRAME.DATA, payload: "00" }], "PROTOCOL_ERROR"],
    ["HEADERS on stream 0", [{ ...HEADERS, streamId: 0 }], "PROTOCOL_ERROR"],
    ["PRIORITY on stream 0", [{ type: FRAME.PRIORITY, payload: "0000000000" }], "PROTOCOL_ERROR"],
    ["RST_STREAM on stream 0", [{ type: FRAME.RST_STREAM, payload: "00000000" }], "PROTOCOL_ERROR"],
    ["SETTINGS on a stream", [{ type: FRAME.SETTINGS, streamId: 1 }], "PROTOCOL_ERROR"],
    ["PING on a stream", [{ type: FRAME.PING, streamId: 1, payload: "00".repeat(8) }], "PROTOCOL_ERROR"],
    ["GOAWAY on a stream", [{ type: FRAME.GOAWAY, streamId: 1, payload: "00".repeat(8) }], "PROTOCOL_ERROR"],
    ["PUSH_PROMISE", [{ type: FRAME.PUSH_PROMISE, streamId: 1, payload: "00000002" }], "PROTOCOL_ERROR"],
    ["a frame of 16,385 octets", [{ type: FRAME.DATA, streamId: 1, length: 16_385 }], "FRAME_SIZE_ERROR"],
    ["an unknown frame of 16,385 octets", [{ type: 0xee, length: 16_385 }], "FRAME_SIZE_ERROR"],
    ["RST_STREAM of 5 octets", [{ type: FRAME.RST_STREAM, streamId: 1, payload: "0000000000" }], "FRAME_SIZE_ERROR"],
    ["SETTINGS of 5 octets", [{ type: FRAME.SETTINGS, payload: "0000000000" }], "FRAME_SIZE_ERROR"],
    [
      "an acknowledgement with content",
      [{ type: FRAME.SETTINGS, flags: FLAG.ACK, payload: "000100000000" }],
      "FRAME_SIZE_ERROR",
    ],
    ["PING of 7 octets", [{ type: FRAME.PING, payload: "00".repeat(7) }], "FRAME_SIZE_ERROR"],
    ["GOAWAY of 7 octets", [{ type: FRAME.GOAWAY, payload: "00".repeat(7) }], "FRAME_SIZE_ERROR"],
    ["WINDOW_UPDATE of 3 octets", [{ type: FRAME.WINDOW_UPDATE, payload: "000001" }], "FRAME_SIZE_ERROR"],
    ["WINDOW_UPDATE of 0 for the connection", [{ type: FRAME.WINDOW_UPDATE, payload: "00000000" }], "PROTOCOL_ERROR"],
    ["ENABLE_PUSH of 2", [{ type: FRAME.SETTINGS, payload: "0002 00000002" }], "PROTOCOL_ERROR"],
    ["INITIAL_WINDOW_SIZE of 2^31", [{ type: FRAME.SETTINGS, payload: "0004 80000000" }], "FLOW_CONTROL_ERROR"],
    ["MAX_FRAME_SIZE of 16,383", [{ type: FRAME.SETTINGS, payload: "0005 00003fff" }], "PROTOCOL_ERROR"],
    ["MAX_FRAME_SIZE of 2^24", [{ type: FRAME.SETTINGS, payload: "0005 01000000" }], "PROTOCOL_ERROR"],
    ["ENABLE_CONNECT_PROTOCOL of 2", [{ type: FRAME.SETTINGS, payload: "0008 00000002" }], "PROTOCOL_ERROR"],
    [
      "DATA whose padding fills it",
      [{ type: FRAME.DATA, flags: FLAG.PADDED, streamId: 1, payload: "0500000000" }],
      "PROTOCOL_ERROR",
    ],
    ["padded DATA without content", [{ type: FRAME.DATA, flags: FLAG.PADDED, streamId: 1 }], "PROTOCOL_ERROR"],
    [
      "HEADERS whose padding goes beyond",
      [{ ...HEADERS, flags: FLAG.PADDED | FLAG.END_HEADERS, payload: "0582" }],
      "PROTOCOL_ERROR",
    ],
    ["padded HEADERS without content", [{ ...HEADERS, flags: FLAG.PADDED | FLAG.END_HEADERS }], "PROTOCOL_ERROR"],
    [
      "HEADERS whose priority is cut off",
      [{ ...HEADERS, flags: FLAG.PRIORITY | FLAG.END_HEADERS, payload: "00000000" }],
      "PROTOCOL_ERROR",
    ],
    ["CONTINUATION without HEADERS", [{ type: FRAME.CONTINUATION, streamId: 1, payload: "82" }], "PROTOCOL_ERROR"],
    [
      "CONTINUATION behind a whole block",
      [
        { ...HEADERS, payload: "82" },
        { type: FRAME.CONTINUATION, streamId: 1 },
      ],
      "PROTOCOL_ERROR",
    ],
    [
      "another frame within a block",
      [
        { ...HEADERS, flags: 0 },
        { type: FRAME.PING, payload: "00".repeat(8) },
      ],
      "PROTOCOL_ERROR",
    ],
    ["an unknown frame within a block", [{ ...HEADERS, flags: 0 }, { type: 0xee }], "PROTOCOL_ERROR"],
    [
      "another stream's CONTINUATION within a block",
      [
        { ...HEADERS, flags: 0 },
        { type: FRAME.CONTINUATION, streamId: 3 },
      ],
      "PROTOCOL_ERROR",
    ],
    [
      "CONTINUATIONs without end",
      [{ ...HEADERS, flags: 0 }, ...Array.from({ length: 20 }, () => ({ type: FRAME.CONTINUATION, streamId: 1 }))],
      "ENHANCE_YOUR_CALM",
    ],
    [
      "a block that is longer than a head may be",
      [
        { ...HEADERS, flags: 0, payload: Buffer.alloc(16_384) },
        ...Array.from({ length: 4 }, () => ({ type: FRAME.CONTINUATION, streamId: 1, payload: Buffer.alloc(16_384) })),
      ],
      "ENHANCE_YOUR_CALM",
    ],
  ];
  test.each(cases)("for %s", (_, frames, code) => {
    const found = after(...frames);
    expect(found.at(-1)).toEqual(fault(code));
    expect(found.filter((frame) => frame.type === "connection-fault")).toHaveLength(1);
  });

  test("and nothing of it is read any more", () => {
    const reader = new Http2FrameReader("client");
    reader.feed(Buffer.concat([writeSettingsAck(), writeSettings([])]));
    expect(reader.next()).toEqual(fault("PROTOCOL_ERROR"));
    expect(reader.next()).toBeNull();
    reader.feed(writeSettings([]));
    expect(reader.next()).toBeNull();
  });

  test("by a client for a server that allows pushing", () => {
    expect(read([writeSettings([{ id: SETTING.ENABLE_PUSH, value: 1 }])], "client")).toEqual([fault("PROTOCOL_ERROR")]);
  });
});

describe("a stream alone is in error", () => {
  test.each([
    ["PRIORITY of 4 octets", { type: FRAME.PRIORITY, streamId: 1, payload: "00000000" }, "FRAME_SIZE_ERROR"],
    ["a stream that depends on itself", { type: FRAME.PRIORITY, streamId: 1, payload: "0000000100" }, "PROTOCOL_ERROR"],
    ["WINDOW_UPDATE of 0", { type: FRAME.WINDOW_UPDATE, streamId: 1, payload: "80000000" }, "PROTOCOL_ERROR"],
  ])("for %s", (_, frame, code) => {
    expect(after(frame)).toEqual([expect.objectContaining({ type: "stream-fault", streamId: 1, code })]);
  });
});

describe("a frame is read", () => {
  test("DATA, its padding counted and thrown away", () => {
    const frames = after({
      type: FRAME.DATA,
      flags: FLAG.PADDED | FLAG.END_STREAM,
      streamId: 1,
      payload: "02 616263 0000",
    });
    expect(frames).toEqual([{ type: "data", streamId: 1, piece: Buffer.from("abc"), flowBytes: 6, isEnd: true }]);
  });

  test("DATA of nothing but padding", () => {
    const frames = after({ type: FRAME.DATA, flags: FLAG.PADDED, streamId: 1, payload: "02 0000" });
    expect(frames).toEqual([{ type: "data", streamId: 1, piece: Buffer.alloc(0), flowBytes: 3, isEnd: false }]);
  });

  test("HEADERS without its padding and priority", () => {
    const flags = FLAG.PADDED | FLAG.PRIORITY | FLAG.END_HEADERS | FLAG.END_STREAM;
    const frames = after({ ...HEADERS, flags, payload: "01 80000003 ff 8284 00" });
    const block = Buffer.from([0x82, 0x84]);
    expect(frames).toEqual([{ type: "headers", streamId: 1, block, isEnd: true, dependsOnItself: false }]);
  });

  test("HEADERS with its CONTINUATIONs, empty ones too", () => {
    const frames = after(
      { ...HEADERS, flags: FLAG.END_STREAM, payload: "82" },
      { type: FRAME.CONTINUATION, streamId: 1 },
      { type: FRAME.CONTINUATION, streamId: 1, payload: "84" },
      { type: FRAME.CONTINUATION, flags: FLAG.END_HEADERS, streamId: 1, payload: "86" },
    );
    const block = Buffer.from([0x82, 0x84, 0x86]);
    expect(frames).toEqual([{ type: "headers", streamId: 1, block, isEnd: true, dependsOnItself: false }]);
  });

  test("with the reserved bit of its stream passed over", () => {
    const frame = rawFrame({ type: FRAME.RST_STREAM, streamId: 1, payload: "00000008" });
    frame[5] = 0x80;
    expect(read([OPENING, frame]).slice(1)).toEqual([{ type: "rst-stream", streamId: 1, code: 8 }]);
  });

  test("of an unknown type or with unknown flags, and passed over", () => {
    expect(
      after({ type: 0xee, flags: 0xff, streamId: 7, payload: "0102" }, { ...HEADERS, flags: 0xd6, payload: "82" }),
    ).toEqual([{ type: "ignored" }, expect.objectContaining({ type: "headers" })]);
  });

  test("SETTINGS with what nobody knows", () => {
    expect(after({ type: FRAME.SETTINGS, payload: "ff00 00000001 0004 00000005" })).toEqual([
      {
        type: "settings",
        settings: [
          { id: 0xff00, value: 1 },
          { id: 4, value: 5 },
        ],
      },
    ]);
  });

  test("a header block of the largest size that may be", () => {
    const length = LIMITS.headBytesMax;
    const whole = writeHeaders(1, "\x82".repeat(length), false, 16_384);
    expect(read([OPENING, whole]).slice(1)).toEqual([expect.objectContaining({ type: "headers" })]);
  });
});

const SENT: readonly Buffer[] = [
  writeSettings([{ id: SETTING.INITIAL_WINDOW_SIZE, value: 70_000 }]),
  writeSettingsAck(),
  writePing(Buffer.from("12345678"), true),
  writeHeaders(1, "\x82\x86", false, 16_384),
  writeHeaders(1, "abcdefghij", true, 3),
  writeData(1, Buffer.from("hello"), false),
  Buffer.concat([writeDataHeader(1, 5, true), Buffer.from("world")]),
  rawFrame({ type: FRAME.DATA, flags: FLAG.PADDED, streamId: 3, payload: "03 6162 000000" }),
  writeRstStream(3, "CANCEL"),
  writeWindowUpdate(0, 65_535),
  rawFrame({ type: 0x21, payload: "0102030405" }),
  writeGoaway(5, "ENHANCE_YOUR_CALM", "too many"),
];

/** DATA comes in as many pieces as the input does: joined, it is the same. */
function joined(frames: readonly Frame[]): unknown[] {
  const all: unknown[] = [];
  const open = new Map<number, { text: string; flowBytes: number; isEnd: boolean }>();
  for (const frame of frames) {
    if (frame.type !== "data") all.push(frame);
    else {
      const before = open.get(frame.streamId);
      const text = (before?.text ?? "") + frame.piece.toString("latin1");
      const flowBytes = (before?.flowBytes ?? 0) + frame.flowBytes;
      open.set(frame.streamId, { text, flowBytes, isEnd: frame.isEnd });
    }
  }
  return [...all, ...open];
}

describe("what was written is read", () => {
  const whole = read([PREFACE, ...SENT]);

  test("as it was meant", () => {
    expect(joined(whole)).toEqual([
      { type: "settings", settings: [{ id: 4, value: 70_000 }] },
      { type: "settings-ack" },
      { type: "ping", isAck: true, data: Buffer.from("12345678") },
      { type: "headers", streamId: 1, block: Buffer.from([0x82, 0x86]), isEnd: false, dependsOnItself: false },
      { type: "headers", streamId: 1, block: Buffer.from("abcdefghij"), isEnd: true, dependsOnItself: false },
      { type: "rst-stream", streamId: 3, code: 8 },
      { type: "window-update", streamId: 0, increment: 65_535 },
      { type: "ignored" },
      { type: "goaway", lastStreamId: 5, code: 11 },
      [1, { text: "helloworld", flowBytes: 10, isEnd: true }],
      [3, { text: "ab", flowBytes: 6, isEnd: false }],
    ]);
  });

  test("octet by octet", () => {
    const octets = Array.from(Buffer.concat([PREFACE, ...SENT]), (octet) => Buffer.of(octet));
    expect(joined(read(octets))).toEqual(joined(whole));
  });

  test("in whatever pieces", () => {
    const input = Buffer.concat([PREFACE, ...SENT]);
    fc.assert(
      fc.property(fc.array(fc.nat(input.length), { maxLength: 12 }), (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), input.length];
        const pieces = at.slice(1).map((end, i) => input.subarray(at[i], end));
        expect(joined(read(pieces))).toEqual(joined(whole));
      }),
    );
  });
});

test("whatever comes, in whatever pieces, ends in frames or in one fault", () => {
  const frame = fc
    .record({
      type: fc.nat(11),
      flags: fc.nat(255),
      streamId: fc.nat(3),
      payload: fc.uint8Array({ maxLength: 20 }).map((octets) => Buffer.from(octets)),
    })
    .map(rawFrame);
  const input = fc.array(frame, { maxLength: 12 }).map((frames) => Buffer.concat([OPENING, ...frames]));
  fc.assert(
    fc.property(input, fc.nat(400), (bytes, cut) => {
      const whole = read([bytes]);
      expect(joined(read([bytes.subarray(0, cut), bytes.subarray(cut)]))).toEqual(joined(whole));
      expect(whole.findIndex((each) => each.type === "connection-fault")).toBeOneOf([-1, whole.length - 1]);
    }),
    { numRuns: 500 },
  );
});
