import { Buffer } from "node:buffer";
import { CardeaError } from "../core/errors.ts";
import type { Headers } from "./headers.ts";
import { consistsOf, CR, FIELD_VALUE, LF, TOKEN } from "./octets.ts";
import { isForbiddenTrailer } from "./trailer-names.ts";

/**
 * One chunk that holds all pieces: size line, data, CRLF, as one buffer of its own, so that it is written at once. The
 * pieces are copied. Without any octet in them it is an empty buffer, since an empty chunk would end the body.
 * RFC 9112 section 7.1.
 */
export function encodeChunk(pieces: readonly Buffer[]): Buffer {
  let dataBytes = 0;
  for (const piece of pieces) dataBytes += piece.length;
  if (dataBytes === 0) return EMPTY;
  const size = dataBytes.toString(16);
  const chunk = Buffer.allocUnsafe(size.length + 2 + dataBytes + 2);
  let at = chunk.write(size, "latin1");
  at = putLineEnd(chunk, at);
  for (const piece of pieces) at += piece.copy(chunk, at);
  putLineEnd(chunk, at);
  return chunk;
}

/** The end of a chunked body, with its trailers. Errors: `internal` for a trailer that is forbidden or malformed. */
export function encodeLastChunk(trailers: Headers): Buffer {
  if (trailers.length === 0) return LAST_CHUNK;
  let text = "0\r\n";
  for (let i = 0; i < trailers.length; i += 2) {
    assertTrailer(trailers[i]!, trailers[i + 1]!);
    text += `${trailers[i]}: ${trailers[i + 1]}\r\n`;
  }
  return Buffer.from(`${text}\r\n`, "latin1");
}

const EMPTY = Buffer.alloc(0);
const LAST_CHUNK = Buffer.from("0\r\n\r\n", "latin1");

function putLineEnd(chunk: Buffer, at: number): number {
  chunk[at] = CR;
  chunk[at + 1] = LF;
  return at + 2;
}

function assertTrailer(name: string, value: string): void {
  const isValid = consistsOf(name, TOKEN) && (value === "" || consistsOf(value, FIELD_VALUE));
  if (!isValid || isForbiddenTrailer(name.toLowerCase())) {
    throw new CardeaError("internal", "a trailer to be sent is forbidden or malformed");
  }
}
