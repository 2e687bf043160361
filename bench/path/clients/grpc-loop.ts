import { connect } from "node:net";
import { HpackDecoder } from "../../../src/wire/hpack-decoder.ts";
import { HpackEncoder } from "../../../src/wire/hpack-encoder.ts";
import { FRAME_BYTES_MAX, PREFACE, SETTING } from "../../../src/wire/http2-codes.ts";
import type { Frame } from "../../../src/wire/http2-frame.ts";
import { Http2FrameReader } from "../../../src/wire/http2-frame-reader.ts";
import {
  writeData,
  writeHeaders,
  writePing,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from "../../../src/wire/http2-frame-writer.ts";
import { ANSWER_BYTES, ASK_BYTES, frameMessage, MESSAGE_PREFIX_BYTES } from "../grpc-message.ts";
import { percentileOf } from "../statistics.ts";

// gRPC calls on one connection without TLS, so many at a time; each that ends makes room for the next. Every answer's
// length and grpc-status are looked at. Words: port path streams messages seconds. Prints one JSON line.

const [port, streams, messages, seconds] = [2, 4, 5, 6].map((i) => Number(process.argv[i])) as [
  number,
  number,
  number,
  number,
];
const path = process.argv[3]!;
const TABLE_BYTES = 4_096;
const STREAM_WINDOW_BYTES = 1_048_576;
const CREDIT_STEP_BYTES = 16 * 1_048_576;
const CREDIT_BYTES = 1_024 * 1_048_576;
/** For what is under way when the time is over. */
const GRACE_MS = 2_000;

const ASK = frameMessage(Buffer.alloc(ASK_BYTES, messages));
const EXPECTED_BYTES = messages * (MESSAGE_PREFIX_BYTES + ANSWER_BYTES);
const PSEUDO = [":method", "POST", ":scheme", "http", ":authority", `127.0.0.1:${port}`, ":path", path];
const FIELDS = ["content-type", "application/grpc", "user-agent", "cardea-bench", "te", "trailers"];

interface Call {
  readonly askedMs: number;
  receivedBytes: number;
}

const socket = connect({ host: "127.0.0.1", port, noDelay: true });
const reader = new Http2FrameReader("client");
const encoder = new HpackEncoder(TABLE_BYTES);
const decoder = new HpackDecoder({ tableBytesMax: TABLE_BYTES, listBytesMax: 65_536, countMax: 100 });
const calls = new Map<number, Call>();
const latenciesMs: number[] = [];
let output: Buffer[] = [];
let nextStreamId = 1;
let uncredited = 0;
let failed = 0;
let firstFailure = "";

function receive(chunk: Buffer): void {
  reader.feed(chunk);
  for (let frame = reader.next(); frame !== null; frame = reader.next()) take(frame);
  flush();
}

function take(frame: Frame): void {
  switch (frame.type) {
    case "headers": {
      const block = decoder.decode(frame.block);
      if (block.at !== "fields") return stop(`a header block is ${block.at}`);
      if (frame.isEnd) end(frame.streamId, block.fields);
      return;
    }
    case "data": {
      const call = calls.get(frame.streamId);
      if (call !== undefined) call.receivedBytes += frame.piece.length;
      credit(frame.flowBytes);
      if (frame.isEnd) end(frame.streamId, []);
      return;
    }
    case "settings":
      for (const { id, value } of frame.settings) if (id === SETTING.HEADER_TABLE_SIZE) encoder.limitTable(value);
      output.push(writeSettingsAck());
      return;
    case "ping":
      if (!frame.isAck) output.push(writePing(frame.data, true));
      return;
    case "rst-stream":
      return end(frame.streamId, ["reset", String(frame.code)]);
    case "goaway":
      return stop(`GOAWAY ${frame.code}`);
    case "connection-fault":
    case "stream-fault":
      return stop(frame.why);
    case "window-update":
    case "settings-ack":
    case "ignored":
      return;
  }
}

function credit(bytes: number): void {
  uncredited += bytes;
  if (uncredited < CREDIT_STEP_BYTES) return;
  output.push(writeWindowUpdate(0, uncredited));
  uncredited = 0;
}

function end(streamId: number, trailers: readonly string[]): void {
  const call = calls.get(streamId);
  if (call === undefined) return;
  calls.delete(streamId);
  const isGood = trailers[trailers.indexOf("grpc-status") + 1] === "0" && call.receivedBytes === EXPECTED_BYTES;
  if (isGood) latenciesMs.push(performance.now() - call.askedMs);
  else fail(`${call.receivedBytes} octets, ${trailers.join(" ")}`);
  if (!isOver()) ask();
  else if (calls.size === 0) report();
}

function ask(): void {
  output.push(writeHeaders(nextStreamId, encoder.encode(PSEUDO, FIELDS), false, FRAME_BYTES_MAX));
  output.push(writeData(nextStreamId, ASK, true));
  calls.set(nextStreamId, { askedMs: performance.now(), receivedBytes: 0 });
  nextStreamId += 2;
}

function flush(): void {
  if (output.length > 0) socket.write(Buffer.concat(output));
  output = [];
}

function fail(why: string): void {
  failed += 1;
  if (firstFailure === "") firstFailure = why;
}

/** What is under way has failed. */
function stop(why: string): void {
  fail(why);
  failed += calls.size;
  report();
}

function report(): void {
  const numbers = {
    requests: latenciesMs.length,
    messages: latenciesMs.length * messages,
    failed,
    firstFailure,
    durationUs: (performance.now() - beganMs) * 1_000,
    p50Us: percentileOf(latenciesMs, 0.5) * 1_000,
    p99Us: percentileOf(latenciesMs, 0.99) * 1_000,
  };
  process.stdout.write(`${JSON.stringify(numbers)}\n`, () => process.exit(0));
}

const beganMs = performance.now();
const isOver = (): boolean => performance.now() >= beganMs + seconds * 1_000;
socket.on("data", receive);
socket.on("error", (error) => stop(String(error)));
socket.on("close", () => stop("the connection ended"));
output.push(
  PREFACE,
  writeSettings([{ id: SETTING.INITIAL_WINDOW_SIZE, value: STREAM_WINDOW_BYTES }]),
  writeWindowUpdate(0, CREDIT_BYTES),
);
for (let i = 0; i < streams; i++) ask();
flush();
setTimeout(() => stop("calls do not end"), seconds * 1_000 + GRACE_MS).unref();
