/** How a stream came to its end: by END_STREAM of both sides or the peer's reset, or by a reset of ours. */
export type Ending = "by-peer" | "by-us";

/**
 * The streams that closed last. What arrives on a stream that we have reset was on its way and is passed over; on any
 * other closed stream it is an error. RFC 9113 section 5.1.
 */
export class ClosedStreams {
  readonly #ids = new Int32Array(REMEMBERED);
  readonly #endings: Ending[] = [];
  #next = 0;

  add(streamId: number, ending: Ending): void {
    this.#ids[this.#next] = streamId;
    this.#endings[this.#next] = ending;
    this.#next = (this.#next + 1) % REMEMBERED;
  }

  /** Null for one that was never open, or too long ago. */
  endingOf(streamId: number): Ending | null {
    const place = this.#ids.indexOf(streamId);
    return place < 0 ? null : this.#endings[place]!;
  }
}

const REMEMBERED = 256;
