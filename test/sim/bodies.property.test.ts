import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createBodyReader } from "../../src/wire/http1-body.ts";
import { RequestHeadReader, ResponseHeadReader } from "../../src/wire/http1-head-reader.ts";
import { openSimMesh } from "../support/sim-mesh.ts";
import { BETWEEN } from "../support/test-mesh.ts";

// Whatever the body, however it is framed, and wherever the network cuts it: it arrives as it was sent, once, and the
// connection is good for the next request.

type Framing = "length" | "chunked" | "until-close";

interface Message {
  readonly body: Buffer;
  readonly framing: Framing;
  /** Where chunks end, as parts of the body. */
  readonly chunkSizes: readonly number[];
  /** Where the network cuts. */
  readonly cuts: readonly number[];
}

const BODY = fc.oneof(
  fc.uint8Array({ maxLength: 50 }),
  fc.uint8Array({ minLength: 1_000, maxLength: 3_000 }),
  fc.integer({ min: 60_000, max: 300_000 }).map((length) => new Uint8Array(length).fill(length % 251)),
);

function messages(framings: readonly Framing[]): fc.Arbitrary<Message> {
  return fc.record({
    body: BODY.map((bytes) => Buffer.from(bytes)),
    framing: fc.constantFrom(...framings),
    chunkSizes: fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 5 }),
    cuts: fc.array(fc.integer({ min: 1, max: 40_000 }), { maxLength: 8 }),
  });
}

describe.each(BETWEEN)("random bodies through a pair, with %s between the sidecars", (between) => {
  it("arrive identical, both ways, request after request", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(messages(["length", "chunked"]), messages(["length", "chunked", "until-close"])), {
          minLength: 1,
          maxLength: 4,
        }),
        async (exchanges) => {
          const mesh = await openSimMesh({ between });
          const caller = await mesh.call(mesh.toOrders);
          for (const [request, answer] of exchanges) {
            const before = mesh.ordersApp.map((app) => app.chunks.length);
            await send(caller.connection, `POST / HTTP/1.1\r\nHost: o\r\n`, request, mesh);
            const app = mesh.ordersApp.findLast((each, i) => each.chunks.length > (before[i] ?? 0))!;
            const received = readRequest(app.chunks.slice(before[mesh.ordersApp.indexOf(app)] ?? 0));
            expect(received.equals(request.body)).toBe(true);
            const heard = caller.chunks.length;
            await send(app.connection, "HTTP/1.1 200 OK\r\n", answer, mesh);
            if (answer.framing === "until-close") app.connection.end();
            await mesh.settle();
            expect(readAnswer(caller.chunks.slice(heard)).equals(answer.body)).toBe(true);
          }
          expect(mesh.flows().every((flow) => flow.verdict === "allowed")).toBe(true);
          expect(mesh.flows()).toHaveLength(exchanges.length * 2);
        },
      ),
      { numRuns: 60, seed: 20_261_122 },
    );
  });
});

async function send(
  to: { write(chunk: Buffer): boolean },
  start: string,
  message: Message,
  mesh: { settle(): Promise<void> },
): Promise<void> {
  let rest = encode(start, message);
  for (const cut of message.cuts) {
    to.write(rest.subarray(0, cut));
    rest = rest.subarray(cut);
    await mesh.settle();
  }
  to.write(rest);
  await mesh.settle();
}

function encode(start: string, { body, framing, chunkSizes }: Message): Buffer {
  if (framing === "length") return Buffer.concat([Buffer.from(`${start}Content-Length: ${body.length}\r\n\r\n`), body]);
  if (framing === "until-close") return Buffer.concat([Buffer.from(`${start}\r\n`), body]);
  const parts: Buffer[] = [Buffer.from(`${start}Transfer-Encoding: chunked\r\n\r\n`)];
  for (let at = 0, i = 0; at < body.length; i++) {
    const piece = body.subarray(at, at + chunkSizes[i % chunkSizes.length]!);
    parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n"));
    at += piece.length;
  }
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
}

function readRequest(chunks: readonly Buffer[]): Buffer {
  const reading = new RequestHeadReader().feed(Buffer.concat(chunks));
  if (reading.at !== "head") throw new Error("the app got no whole head");
  return readBody(reading.rest, createBodyReader(reading.head.framing, "request"));
}

function readAnswer(chunks: readonly Buffer[]): Buffer {
  const reading = new ResponseHeadReader().feed(Buffer.concat(chunks), "POST");
  if (reading.at !== "head") throw new Error("the caller got no whole head");
  return readBody(reading.rest, createBodyReader(reading.head.framing, "response"));
}

function readBody(bytes: Buffer, reader: ReturnType<typeof createBodyReader>): Buffer {
  const reading = reader.feed(bytes);
  if (reading.at !== "end") throw new Error(`the body is not whole: ${reading.at}`);
  if (reading.rest.length > 0) throw new Error("something follows the body");
  return Buffer.concat(reading.pieces);
}
