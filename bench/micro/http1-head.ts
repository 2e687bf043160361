import { createBodyReader, encodeChunk } from "../../src/wire/http1-body.ts";
import {
  parseRequestHead,
  parseResponseHead,
  serializeRequestHead,
  serializeResponseHead,
} from "../../src/wire/http1-head.ts";
import { RequestHeadReader } from "../../src/wire/http1-head-reader.ts";
import { normalizePath } from "../../src/wire/path.ts";

/** What one message costs in the codecs, in nanoseconds. Reports; judges nothing. Run: node bench/micro/http1-head.ts */
const REQUEST = Buffer.from(
  [
    "GET /api/v1/orders/1f0c7d2e?expand=items&limit=20 HTTP/1.1",
    "Host: orders.shop.svc.cluster.local:8080",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0",
    "Accept: application/json, text/plain, */*",
    "Accept-Encoding: gzip, deflate, br",
    "Accept-Language: en-GB,en;q=0.9",
    "Authorization: Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ3ZWIifQ.c2lnbmF0dXJl",
    "Cookie: session=3f9a1c2b7d; theme=dark",
    "X-Request-Id: 9d2c1f7a-44f1-4a55-9f0b-9b2f3f2a9c11",
    "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "Connection: keep-alive",
    "",
    "",
  ].join("\r\n"),
  "latin1",
);
const SMALL_REQUEST = Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "latin1");
const RESPONSE = Buffer.from(
  [
    "HTTP/1.1 200 OK",
    "Content-Type: application/json; charset=utf-8",
    "Content-Length: 512",
    "Cache-Control: private, no-cache",
    "Date: Sun, 22 Nov 2026 14:06:00 GMT",
    'ETag: "5f3c-9a1b"',
    "Vary: Accept-Encoding",
    "",
    "",
  ].join("\r\n"),
  "latin1",
);
const CHUNK = encodeChunk([Buffer.alloc(16_384, 0x61)]);

/** Keeps results alive, so that nothing is optimised away. */
let sink: unknown;

function main(): void {
  const parsed = parseRequestHead(REQUEST);
  const answered = parseResponseHead(RESPONSE, "GET");
  if (parsed.at !== "head" || answered.at !== "head") throw new Error("the samples are not valid heads");
  const { method, target, headers } = parsed.head;
  const reader = new RequestHeadReader();
  report("request head, 10 fields", REQUEST.length, () => (sink = parseRequestHead(REQUEST)));
  report("request head, by reader", REQUEST.length, () => (sink = reader.feed(REQUEST)));
  report("request head, 1 field", SMALL_REQUEST.length, () => (sink = parseRequestHead(SMALL_REQUEST)));
  report("response head, 6 fields", RESPONSE.length, () => (sink = parseResponseHead(RESPONSE, "GET")));
  report("write request head", REQUEST.length, () => (sink = serializeRequestHead({ method, target, headers })));
  report("write response head", RESPONSE.length, () => (sink = serializeResponseHead(answered.head)));
  report("normalise a plain path", target.length, () => (sink = normalizePath(target, "BASE")));
  report("normalise /a/../%62//c", 13, () => (sink = normalizePath("/a/../%62//c", "MERGE_SLASHES")));
  const chunked = createBodyReader({ kind: "chunked" }, "request");
  report("decode a 16 KiB chunk", CHUNK.length, () => (sink = chunked.feed(CHUNK)));
  if (sink === undefined) throw new Error("nothing was measured");
}

/** The best of many short rounds: whatever else runs on the machine only adds to a round. */
function report(name: string, bytes: number, run: () => void): void {
  const best = Math.min(...Array.from({ length: 60 }, () => nanosecondsPerRun(run)));
  process.stdout.write(
    `${name.padEnd(28)}${best.toFixed(0).padStart(8)} ns ${(best / bytes).toFixed(2).padStart(8)} ns/byte\n`,
  );
}

function nanosecondsPerRun(run: () => void): number {
  const count = 5_000;
  const start = process.hrtime.bigint();
  for (let i = 0; i < count; i++) run();
  return Number(process.hrtime.bigint() - start) / count;
}

main();
