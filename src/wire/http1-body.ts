import { CardeaError, type ErrorCode } from "../core/errors.ts";
import { ChunkedDecoder } from "./chunked-decoder.ts";
import type { Headers } from "./headers.ts";
import type { BodyFraming } from "./http1-message.ts";

export { encodeChunk, encodeLastChunk } from "./chunked-encoder.ts";

/** Whose body it is: a request's comes from downstream, a response's from upstream. Decides the error codes. */
export type BodySide = "request" | "response";

/**
 * What one chunk of input held. The pieces are subarrays of it, in order, none of them empty: they are good for as
 * long as the caller keeps the chunk unchanged. `rest` follows the body.
 */
export type BodyReading =
  | { readonly at: "more"; readonly pieces: readonly Buffer[] }
  | { readonly at: "end"; readonly pieces: readonly Buffer[]; readonly rest: Buffer; readonly trailers: Headers }
  | { readonly at: "refused"; readonly error: CardeaError };

/** Takes a body off a connection's input. Never throws. */
export interface BodyReader {
  /** After "end" and "refused" it is of no more use. */
  feed(chunk: Buffer): BodyReading;
  /** The peer has half-closed: "end" when the body is whole by that, else why not. */
  finish(): BodyReading;
}

/**
 * A reader for one body. With a framing that has no octets (`hasBody` is false) none is needed.
 * Errors: `bad-request` or `upstream-protocol-error` for a malformed body, `downstream-reset` or `upstream-reset` for
 * one that ends early. RFC 9112 sections 6 to 8.
 */
export function createBodyReader(framing: BodyFraming, side: BodySide): BodyReader {
  switch (framing.kind) {
    case "none":
      return new LengthBody(0, side);
    case "length":
      return new LengthBody(framing.bytes, side);
    case "chunked":
      return new ChunkedBody(side);
    case "until-close":
      return new UntilCloseBody();
  }
}

/** Whether octets of a body follow the head at all. */
export function hasBody(framing: BodyFraming): boolean {
  return framing.kind !== "none" && !(framing.kind === "length" && framing.bytes === 0);
}

const NO_PIECES: readonly Buffer[] = Object.freeze([]);
const NO_TRAILERS: Headers = Object.freeze([]);
const NO_REST = Buffer.alloc(0);

/** RFC 9112 section 6.2. */
class LengthBody implements BodyReader {
  readonly #side: BodySide;
  #bytesLeft: number;

  constructor(bytes: number, side: BodySide) {
    this.#bytesLeft = bytes;
    this.#side = side;
  }

  feed(chunk: Buffer): BodyReading {
    if (chunk.length < this.#bytesLeft) {
      this.#bytesLeft -= chunk.length;
      return { at: "more", pieces: chunk.length === 0 ? NO_PIECES : [chunk] };
    }
    const bytes = this.#bytesLeft;
    this.#bytesLeft = 0;
    const pieces = bytes === 0 ? NO_PIECES : [chunk.subarray(0, bytes)];
    return { at: "end", pieces, rest: chunk.subarray(bytes), trailers: NO_TRAILERS };
  }

  finish(): BodyReading {
    return this.#bytesLeft === 0 ? ENDED : endedEarly(this.#side);
  }
}

/** RFC 9112 section 7. */
class ChunkedBody implements BodyReader {
  readonly #side: BodySide;
  readonly #decoder = new ChunkedDecoder();

  constructor(side: BodySide) {
    this.#side = side;
  }

  feed(chunk: Buffer): BodyReading {
    const decoder = this.#decoder;
    const pieces: Buffer[] = [];
    switch (decoder.decode(chunk, pieces)) {
      case "more":
        return { at: "more", pieces };
      case "done":
        return { at: "end", pieces, rest: chunk.subarray(decoder.at), trailers: decoder.trailers };
      case "refused":
        return refuse(MALFORMED[this.#side], decoder.fault);
    }
  }

  finish(): BodyReading {
    return endedEarly(this.#side);
  }
}

/** A response without a length ends with its connection. RFC 9112 section 6.3, item 8. */
class UntilCloseBody implements BodyReader {
  feed(chunk: Buffer): BodyReading {
    return { at: "more", pieces: chunk.length === 0 ? NO_PIECES : [chunk] };
  }

  finish(): BodyReading {
    return ENDED;
  }
}

const ENDED: BodyReading = Object.freeze({ at: "end", pieces: NO_PIECES, rest: NO_REST, trailers: NO_TRAILERS });
const MALFORMED: Record<BodySide, ErrorCode> = { request: "bad-request", response: "upstream-protocol-error" };
const CUT_OFF: Record<BodySide, ErrorCode> = { request: "downstream-reset", response: "upstream-reset" };

function endedEarly(side: BodySide): BodyReading {
  return refuse(CUT_OFF[side], "the connection ended before the body");
}

function refuse(code: ErrorCode, message: string): BodyReading {
  return { at: "refused", error: new CardeaError(code, message) };
}
