import { HpackDecoder } from "../../src/wire/hpack-decoder.ts";
import { HpackEncoder } from "../../src/wire/hpack-encoder.ts";
import { decodeHuffman } from "../../src/wire/hpack-huffman.ts";
import { Http2FrameReader } from "../../src/wire/http2-frame-reader.ts";
import { writeData, writeHeaders, writeSettings } from "../../src/wire/http2-frame-writer.ts";
import { readRequestHead } from "../../src/wire/http2-request-head.ts";

/** What one message costs in the HTTP/2 codec, in nanoseconds. Reports; judges nothing. Run: node bench/micro/hpack.ts */
const PSEUDO = [
  ":method",
  "GET",
  ":scheme",
  "http",
  ":path",
  "/api/v1/orders/1f0c7d2e?expand=items&limit=20",
  ":authority",
  "orders.shop.svc.cluster.local:8080",
];
const HEADERS = [
  "user-agent",
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0",
  "accept",
  "application/json, text/plain, */*",
  "accept-encoding",
  "gzip, deflate, br",
  "accept-language",
  "en-GB,en;q=0.9",
  "authorization",
  "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ3ZWIifQ.c2lnbmF0dXJl",
  "cookie",
  "session=3f9a1c2b7d; theme=dark",
  "x-request-id",
  "9d2c1f7a-44f1-4a55-9f0b-9b2f3f2a9c11",
  "traceparent",
  "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
];
const ANSWER = ["content-type", "application/json; charset=utf-8", "content-length", "512", "vary", "Accept-Encoding"];
/** "www.example.com" ten times, from RFC 7541 appendix C.4.1. */
const HUFFMAN = Buffer.from("f1e3c2e5f23a6ba0ab90f4ff".repeat(10), "hex");
const BOUNDS = { tableBytesMax: 4_096, listBytesMax: 65_536, countMax: 100 };

/** Keeps results alive, so that nothing is optimised away. */
let sink: unknown;

function main(): void {
  const encoder = new HpackEncoder(4_096);
  const decoder = new HpackDecoder(BOUNDS);
  decoder.decode(octets(encoder.encode(PSEUDO, HEADERS)));
  const block = octets(encoder.encode(PSEUDO, HEADERS));
  const first = octets(new HpackEncoder(0).encode(PSEUDO, HEADERS));
  const stranger = new HpackDecoder(BOUNDS);
  report("encode a request, 12 fields", block.length, () => (sink = encoder.encode(PSEUDO, HEADERS)));
  report("encode an answer, 4 fields", 60, () => (sink = encoder.encode([":status", "200"], ANSWER)));
  report("decode a request, repeated", block.length, () => (sink = decoder.decode(block)));
  report("decode a request, all literal", first.length, () => (sink = stranger.decode(first)));
  const into = Buffer.alloc(1_024);
  report("decode Huffman", HUFFMAN.length, () => (sink = decodeHuffman(HUFFMAN, 0, HUFFMAN.length, into)));
  const read = stranger.decode(first);
  if (read.at !== "fields") throw new Error("the sample is not a valid block");
  report("read a request's head", first.length, () => (sink = readRequestHead(read.fields, true)));
  measureFrames();
  if (sink === undefined) throw new Error("nothing was measured");
}

function measureFrames(): void {
  const reader = new Http2FrameReader("client");
  reader.feed(writeSettings([]));
  while (reader.next() !== null);
  const small = Buffer.concat([writeHeaders(1, "x".repeat(60), false, 16_384), writeData(1, Buffer.alloc(512), true)]);
  const large = writeData(1, Buffer.alloc(16_384), false);
  report("read HEADERS and 512 octets", small.length, () => (sink = readAll(reader, small)));
  report("read 16 KiB of DATA", large.length, () => (sink = readAll(reader, large)));
  report("write HEADERS of 60 octets", 60, () => (sink = writeHeaders(1, "x".repeat(60), false, 16_384)));
  const piece = Buffer.alloc(512);
  report("write 512 octets of DATA", 512, () => (sink = writeData(1, piece, true)));
}

function readAll(reader: Http2FrameReader, input: Buffer): number {
  reader.feed(input);
  let count = 0;
  while (reader.next() !== null) count++;
  return count;
}

function octets(block: string): Buffer {
  return Buffer.from(block, "latin1");
}

/** The best of many short rounds: whatever else runs on the machine only adds to a round. */
function report(name: string, bytes: number, run: () => void): void {
  const best = Math.min(...Array.from({ length: 60 }, () => nanosecondsPerRun(run)));
  const perByte = (best / bytes).toFixed(2);
  process.stdout.write(`${name.padEnd(32)}${best.toFixed(0).padStart(8)} ns ${perByte.padStart(8)} ns/byte\n`);
}

function nanosecondsPerRun(run: () => void): number {
  const count = 3_000;
  const start = process.hrtime.bigint();
  for (let i = 0; i < count; i++) run();
  return Number(process.hrtime.bigint() - start) / count;
}

main();
