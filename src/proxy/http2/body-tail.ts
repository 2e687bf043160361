import type { Headers } from "../../wire/headers.ts";
import type { BodyFraming } from "../../wire/http1-message.ts";
import type { Http2Stream } from "./stream.ts";

/**
 * Sends a body so that its last piece carries END_STREAM: where the length is known, the piece that completes it waits
 * for the end, which follows at once, and a frame is spared.
 */
export class BodyTail {
  readonly #stream: Http2Stream;
  #bytesLeft = Infinity;
  #last: Buffer | null = null;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
  }

  begin(framing: BodyFraming): void {
    this.#bytesLeft = framing.kind === "length" ? framing.bytes : Infinity;
  }

  send(piece: Buffer): boolean {
    if (piece.length === 0) return true;
    this.#bytesLeft -= piece.length;
    if (this.#bytesLeft > 0) return this.#stream.sendData(piece);
    this.#last = piece;
    return true;
  }

  end(trailers: Headers): void {
    const last = this.#last;
    this.#last = null;
    if (last === null) this.#stream.sendEnd(trailers);
    else this.#stream.sendLast(last, trailers);
  }
}
