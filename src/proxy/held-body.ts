import type { Headers } from "../wire/headers.ts";
import type { UpstreamStream } from "./streams.ts";
import type { KeptBodies, KeptBody } from "./traffic/kept-body.ts";

/**
 * What a request has of its body in hand: what came before there was somewhere to send it, no more than its sender gets
 * rid of before it pauses, and what is kept so that it can be sent again.
 */
export class HeldBody {
  /** Null: not to be sent again. */
  #kept: KeptBody | null = null;
  #queue: Buffer[] = [];
  #trailers: Headers | null = null;

  /** Whether it is kept, and all that has come of it is still here. */
  get isWhole(): boolean {
    return this.#kept !== null && this.#kept.isWhole;
  }

  /** From now on, and what has come so far. */
  keepIn(bodies: KeptBodies): void {
    this.#kept = bodies.open();
    for (const piece of this.#queue) this.#kept.keep(piece);
  }

  /** A piece that is passed on at once. */
  keep(piece: Buffer): void {
    this.#kept?.keep(piece);
  }

  /** A piece that has to wait. */
  add(piece: Buffer): void {
    this.#kept?.keep(piece);
    this.#queue.push(piece);
  }

  end(trailers: Headers): void {
    this.#trailers = trailers;
  }

  /** Sends what waits. True: the sender may go on. */
  sendTo(upstream: UpstreamStream): boolean {
    const queue = this.#queue;
    this.#queue = [];
    let isTaken = true;
    for (const piece of queue) isTaken = upstream.sendBody(piece);
    if (this.#trailers === null) return isTaken;
    upstream.sendEnd(this.#trailers);
    return false;
  }

  /** The channel that it was sent to has failed. */
  sendAgain(): void {
    if (this.#kept !== null) this.#queue = this.#kept.pieces();
  }

  /** It need not be sent again. May be called again. */
  drop(): void {
    this.#kept?.drop();
  }
}
