import { expect, test } from "vitest";
import type { Connection, ConnectionHandlers } from "../../src/core/ports.ts";
import { Http2ServerConnection } from "../../src/proxy/http2/server-connection.ts";
import { UNLIMITED } from "../../src/proxy/lifetime.ts";
import { LiveConnections } from "../../src/proxy/live.ts";
import { parseRequestHead, type RequestHead, serializeRequestHead } from "../../src/wire/http1-head.ts";
import { HpackEncoder } from "../../src/wire/hpack-encoder.ts";
import { ERROR_CODES, FLAG, FRAME } from "../../src/wire/http2-codes.ts";
import { writeData, writeHeaders, writeWindowUpdate } from "../../src/wire/http2-frame-writer.ts";
import { createEchoHandler } from "../support/echo-handler.ts";
import { encodeHuffman } from "../support/huffman.ts";
import { GET, OPENING, POST, rawFields, rawFrame } from "../support/http2-frames.ts";
import { goawayOf } from "../support/http2-peers.ts";
import { readFrames } from "../support/http2-frames.ts";
import { createSimClock } from "../support/sim-clock.ts";
import { SeededRandom } from "./random.ts";

// Sound connections with a few octets changed, in whatever pieces they come. What is looked for: a fault of ours (told
// as INTERNAL_ERROR), a reading that depends on the pieces, and a head that would mean something else in HTTP/1.1.

const SEED = 20_261_122;
const INPUTS = 4_000;

interface Reading {
  readonly heads: readonly RequestHead[];
  readonly errors: readonly string[];
  readonly goaway: number | null;
}

/** Reads a caller's whole input, over a connection that takes everything and says nothing. */
function read(pieces: readonly Buffer[]): Reading {
  const handler = createEchoHandler();
  const clock = createSimClock(0);
  const sent: Buffer[] = [];
  let handlers: ConnectionHandlers | null = null;
  const at = { host: "127.0.0.1", port: 1 };
  const connection: Connection = {
    local: at,
    remote: at,
    bytesReceived: 0,
    bytesSent: 0,
    unsentBytes: 0,
    setHandlers: (next) => void (handlers = next),
    write: (chunk) => sent.push(chunk) > 0,
    end() {},
    destroy() {},
    pause() {},
    resume() {},
  };
  void new Http2ServerConnection(connection, { handler, live: new LiveConnections(clock), clock, lifetime: UNLIMITED });
  for (const piece of pieces) handlers!.onData(piece);
  const goaway = goawayOf(readFrames(Buffer.concat(sent)));
  return { heads: handler.heads, errors: handler.errors.map((error) => `${error.code}: ${error.message}`), goaway };
}

const encoder = new HpackEncoder(4_096);
const LINE = [":method", "POST", ":scheme", "http", ":path", "/a?b", ":authority", "orders:80"];

function headers(streamId: number, payload: Buffer, flags: number): Buffer {
  return rawFrame({ type: FRAME.HEADERS, flags: FLAG.END_HEADERS | flags, streamId, payload });
}

const HUFFMAN = encodeHuffman(Buffer.from("www.example.com"));

const SEEDS: readonly Buffer[] = [
  Buffer.concat([OPENING, headers(1, GET, FLAG.END_STREAM), headers(3, GET, FLAG.END_STREAM)]),
  Buffer.concat([
    OPENING,
    headers(1, Buffer.concat([POST, rawFields("content-length", "5", "cookie", "a=b", "cookie", "c=d")]), 0),
    writeData(1, Buffer.from("hello"), true),
  ]),
  Buffer.concat([
    OPENING,
    writeHeaders(1, encoder.encode(LINE, ["user-agent", "curl", "te", "trailers"]), false, 16_384),
    writeWindowUpdate(1, 100),
    writeData(1, Buffer.from("hello"), false),
    writeHeaders(3, encoder.encode(LINE, ["user-agent", "curl", "host", "orders:80"]), false, 20),
    writeHeaders(1, encoder.encode([], ["x-sum", "1"]), true, 16_384),
  ]),
  Buffer.concat([
    OPENING,
    rawFrame({ type: FRAME.SETTINGS, payload: "0004 00000003 0001 00000000" }),
    headers(1, Buffer.concat([GET, Buffer.from([0x40, 1, 0x78, 0x80 | HUFFMAN.length]), HUFFMAN]), FLAG.END_STREAM),
    headers(3, Buffer.concat([GET, Buffer.from([0xbe])]), FLAG.END_STREAM),
  ]),
  Buffer.concat([
    OPENING,
    headers(
      1,
      rawFields(":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/", ":authority", "a"),
      0,
    ),
    writeData(1, Buffer.from("hello"), false),
    rawFrame({ type: FRAME.RST_STREAM, streamId: 1, payload: "00000008" }),
  ]),
];

/** Octets that decide something, besides any. */
const TELLING = [0, 1, 3, 4, 8, 9, 0x0a, 0x0d, 0x20, 0x3a, 0x41, 0x40, 0x7f, 0x80, 0x82, 0xbe, 0xff];

function mutate(random: SeededRandom): Buffer {
  let input = random.pick(SEEDS);
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(input.length);
    const octet = random.below(2) === 0 ? random.pick(TELLING) : random.below(256);
    const removed = random.below(3);
    const added = random.below(4) === 0 ? random.pick(SEEDS).subarray(random.below(40)) : Buffer.of(octet);
    input = Buffer.concat([input.subarray(0, at), added, input.subarray(at + removed)]);
  }
  return input;
}

function split(input: Buffer, random: SeededRandom): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < input.length; ) {
    const end = at + 1 + random.below(random.below(2) === 0 ? 3 : 40);
    pieces.push(input.subarray(at, end));
    at = end;
  }
  return pieces;
}

/** The same request to an HTTP/1.1 server: whatever was accepted must read there as it did here. */
function assertSameInHttp1(head: RequestHead): void {
  const { method, target, headers: fields, upgrade, framing } = head;
  const kept = fields.filter((_, i) => !["host", "te", "content-length", "expect"].includes(fields[i - (i % 2)]!));
  kept.push("host", head.host!);
  if (framing.kind === "length") kept.push("content-length", String(framing.bytes));
  if (framing.kind === "chunked") kept.push("transfer-encoding", "chunked");
  if (upgrade !== null) kept.push("connection", "upgrade", "upgrade", upgrade);
  const text = serializeRequestHead({ method, target, headers: kept });
  const again = parseRequestHead(text);
  if (again.at !== "head") throw new Error(`HTTP/1.1 does not take it: ${JSON.stringify(text.toString("latin1"))}`);
  const { host, path } = head;
  expect(again.bytes).toBe(text.length);
  expect(again.head).toMatchObject({ method, target, host, path, framing, upgrade, headers: kept });
}

test("changed inputs find no fault of ours, no reading that depends on the pieces, no head that changes its meaning", () => {
  const seen = { accepted: 0, refused: 0, ended: 0 };
  for (let index = 0; index < INPUTS; index++) {
    const random = new SeededRandom(SEED, index);
    const input = mutate(random);
    const whole = read([input]);
    expect(read(split(input, random)), `input ${index}`).toEqual(whole);
    expect(whole.goaway, `input ${index}`).not.toBe(ERROR_CODES.INTERNAL_ERROR);
    for (const head of whole.heads) assertSameInHttp1(head);
    if (whole.goaway !== null) seen.ended++;
    if (whole.errors.length > 0) seen.refused++;
    if (whole.heads.length > 0) seen.accepted++;
  }
  // Neither all refused nor all accepted, or it would have looked at little.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(INPUTS / 20);
});

test("every seed is sound itself", () => {
  for (const seed of SEEDS) {
    const reading = read([seed]);
    expect(reading.goaway).toBeNull();
    expect(reading.heads.length).toBeGreaterThan(0);
  }
});
