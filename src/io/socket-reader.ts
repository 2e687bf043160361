import type { OnReadOpts } from "node:net";

/** As much as libuv asks for at once. */
const READ_BYTES = 65_536;

/**
 * What all sockets of this kind are read into, one after the other: a read and the call that takes its bytes are one
 * step of the event loop. Of itself the runtime makes 64 KiB for every read and a smaller copy of what came, and passes
 * that through a Readable, which was a tenth of what a request cost the side that reads answers so.
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(READ_BYTES);

/** Reads a socket that we have dialled (`onread` is the runtime's option for those alone). */
export class SocketReader {
  readonly onread: OnReadOpts;
  #deliver: ((piece: Buffer) => void) | null = null;
  /** Came before anybody took the connection over; no more is read until then. */
  #early: Buffer | null = null;

  constructor() {
    this.onread = { buffer: READ_BUFFER, callback: (bytes) => this.#take(bytes) };
  }

  deliverTo(deliver: (piece: Buffer) => void): void {
    this.#deliver = deliver;
  }

  takeEarly(): Buffer | null {
    const early = this.#early;
    this.#early = null;
    return early;
  }

  /** False: read no further. */
  #take(bytes: number): boolean {
    // A copy, since whoever gets it owns it; most are a kilobyte.
    const piece = Buffer.allocUnsafe(bytes);
    READ_BUFFER.copy(piece, 0, 0, bytes);
    if (this.#deliver === null) {
      this.#early = piece;
      return false;
    }
    this.#deliver(piece);
    return true;
  }
}
