import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Headers } from "./headers.ts";
import { COLON, CR, FIELD_VALUE, LF, SP, TARGET, TOKEN } from "./octets.ts";

export interface RequestHeadParts {
  readonly method: string;
  /** The request-target in the form that the next hop wants. */
  readonly target: string;
  readonly headers: Headers;
}

export interface ResponseHeadParts {
  readonly status: number;
  readonly reason: string;
  readonly headers: Headers;
}

/**
 * An HTTP/1.1 request head as one buffer of its own. Every character is checked as it is written, so a head can carry
 * no second one, wherever its texts come from. Errors: `internal` (a bug of the caller).
 */
export function serializeRequestHead(parts: RequestHeadParts): Buffer {
  at = 0;
  put(parts.method, TOKEN);
  putOctet(SP);
  put(parts.target, TARGET);
  put(REQUEST_LINE_END, ANY);
  return finish(parts.headers);
}

/** An HTTP/1.1 response head; otherwise as `serializeRequestHead`. */
export function serializeResponseHead(parts: ResponseHeadParts): Buffer {
  at = 0;
  put(STATUS_LINE_START, ANY);
  put(String(parts.status), TOKEN);
  putOctet(SP);
  put(parts.reason, FIELD_VALUE);
  putLineEnd();
  return finish(parts.headers);
}

const REQUEST_LINE_END = " HTTP/1.1\r\n";
const STATUS_LINE_START = "HTTP/1.1 ";
const ANY = new Uint8Array(256).fill(1);

// One scratch buffer for the process: heads are written whole, between two turns nothing is left in it. What we add to
// a head at the limit must fit, too.
const scratch = Buffer.allocUnsafeSlow(LIMITS.headBytesMax * 2);
let at = 0;

function finish(headers: Headers): Buffer {
  for (let i = 0; i < headers.length; i += 2) {
    put(headers[i]!, TOKEN);
    putOctet(COLON);
    putOctet(SP);
    put(headers[i + 1]!, FIELD_VALUE);
    putLineEnd();
  }
  putLineEnd();
  return Buffer.from(scratch.subarray(0, at));
}

function put(text: string, allowed: Uint8Array): void {
  const { length } = text;
  if (at + length + ROOM > scratch.length) throw new CardeaError("internal", "a head to be sent is too long");
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    // Beyond U+00FF the table answers undefined.
    if (allowed[code] !== 1) throw new CardeaError("internal", "a head to be sent holds a forbidden character");
    scratch[at + i] = code;
  }
  at += length;
}

/** Left free by every `put` for the separators that follow it. */
const ROOM = 8;

function putOctet(octet: number): void {
  scratch[at++] = octet;
}

function putLineEnd(): void {
  scratch[at++] = CR;
  scratch[at++] = LF;
}
