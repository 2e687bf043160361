import type { CardeaError } from "../../src/core/errors.ts";
import type { Headers } from "../../src/wire/headers.ts";
import { type BodyReader, type BodyReading, type BodySide, createBodyReader } from "../../src/wire/http1-body.ts";
import type { BodyFraming, RequestHead, ResponseHead } from "../../src/wire/http1-head.ts";
import { type HeadReading, RequestHeadReader, ResponseHeadReader } from "../../src/wire/http1-head-reader.ts";

export interface Message<Head> {
  readonly head: Head;
  readonly body: Buffer;
  readonly trailers: Headers;
  readonly isComplete: boolean;
}

/**
 * How a connection's input ended for us. `open`: between two messages or inside one; `closed`: a message without
 * keep-alive ended it; `tunnel`: CONNECT or an upgrade takes the rest. `rest` is input behind that end.
 */
export interface Session<Head> {
  readonly messages: readonly Message<Head>[];
  readonly end:
    | { readonly at: "refused"; readonly error: CardeaError }
    | { readonly at: "open"; readonly isBetweenMessages: boolean }
    | { readonly at: "closed"; readonly rest: Buffer }
    | { readonly at: "tunnel"; readonly rest: Buffer };
}

/** Reads a connection's whole input as the inbound side does: heads and bodies in turn, in the pieces given. */
export function readRequests(pieces: readonly Buffer[], hasEnded = false): Session<RequestHead> {
  const reader = new RequestHeadReader();
  return readSession(pieces, hasEnded, {
    side: "request",
    readHead: (chunk) => reader.feed(chunk),
    isHeadBegun: () => reader.heldBytes > 0,
    endsInTunnel: (head) => head.method === "CONNECT" || head.upgrade !== null,
  });
}

/** The same for the answers to `methods` (the last one holds for all further answers). */
export function readResponses(
  pieces: readonly Buffer[],
  methods: readonly string[],
  hasEnded = false,
): Session<ResponseHead> {
  const reader = new ResponseHeadReader();
  let answered = 0;
  const method = () => methods[Math.min(answered, methods.length - 1)]!;
  return readSession(pieces, hasEnded, {
    side: "response",
    readHead: (chunk) => {
      const reading = reader.feed(chunk, method());
      if (reading.at === "head" && reading.head.status >= 200) answered++;
      return reading;
    },
    isHeadBegun: () => reader.heldBytes > 0,
    endsInTunnel: (head) => head.status === 101,
  });
}

interface Side<Head> {
  readonly side: BodySide;
  readHead(chunk: Buffer): HeadReading<Head>;
  isHeadBegun(): boolean;
  endsInTunnel(head: Head): boolean;
}

interface Underway<Head> {
  readonly head: Head;
  readonly reader: BodyReader;
  readonly pieces: Buffer[];
}

function readSession<Head extends { framing: BodyFraming; isKeepAlive: boolean }>(
  pieces: readonly Buffer[],
  hasEnded: boolean,
  side: Side<Head>,
): Session<Head> {
  const messages: Message<Head>[] = [];
  let underway: Underway<Head> | null = null;
  for (const [i, piece] of pieces.entries()) {
    let chunk = piece;
    const following = () => Buffer.concat([chunk, ...pieces.slice(i + 1)]);
    for (;;) {
      if (underway === null) {
        if (chunk.length === 0) break;
        const reading = side.readHead(chunk);
        if (reading.at === "incomplete") break;
        if (reading.at === "refused") return { messages, end: reading };
        underway = { head: reading.head, reader: createBodyReader(reading.head.framing, side.side), pieces: [] };
        chunk = reading.rest;
      }
      const reading: BodyReading = underway.reader.feed(chunk);
      if (reading.at === "refused") return { messages: [...messages, partOf(underway)], end: reading };
      underway.pieces.push(...reading.pieces);
      if (reading.at === "more") break;
      const { head } = underway;
      messages.push({ ...partOf(underway), trailers: reading.trailers, isComplete: true });
      underway = null;
      chunk = reading.rest;
      if (side.endsInTunnel(head)) return { messages, end: { at: "tunnel", rest: following() } };
      if (!head.isKeepAlive) return { messages, end: { at: "closed", rest: following() } };
    }
  }
  if (underway === null) return { messages, end: { at: "open", isBetweenMessages: !side.isHeadBegun() } };
  const last = hasEnded ? underway.reader.finish() : null;
  if (last?.at === "refused") return { messages: [...messages, partOf(underway)], end: last };
  const isComplete = last?.at === "end";
  return {
    messages: [...messages, { ...partOf(underway), isComplete }],
    end: { at: "open", isBetweenMessages: isComplete },
  };
}

function partOf<Head>(underway: Underway<Head>): Message<Head> {
  return { head: underway.head, body: Buffer.concat(underway.pieces), trailers: [], isComplete: false };
}
