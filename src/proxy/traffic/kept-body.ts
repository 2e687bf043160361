import { LIMITS } from "../../core/limits.ts";

/** How much of all requests' bodies one sidecar keeps, so that they can be sent again. */
export class KeptBodies {
  heldBytes = 0;

  open(): KeptBody {
    return new KeptBody(this);
  }
}

/**
 * What has come of one request's body, until it is known that it need not be sent again. Beyond the limits everything
 * is let go at once: a part of a body is of no use. The pieces are those that were passed on, not copies.
 */
export class KeptBody {
  readonly #all: KeptBodies;
  #pieces: Buffer[] | null = [];
  #bytes = 0;

  constructor(all: KeptBodies) {
    this.#all = all;
  }

  /** Whether everything that has come is still here. */
  get isWhole(): boolean {
    return this.#pieces !== null;
  }

  keep(piece: Buffer): void {
    if (this.#pieces === null) return;
    const isTooMuch =
      this.#bytes + piece.length > LIMITS.retryBodyBytesMax ||
      this.#all.heldBytes + piece.length > LIMITS.retryBodiesBytesMax;
    if (isTooMuch) {
      this.drop();
      return;
    }
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    this.#all.heldBytes += piece.length;
  }

  /** In order; it stays kept. */
  pieces(): Buffer[] {
    return this.#pieces === null ? [] : [...this.#pieces];
  }

  /** Lets go of everything. May be called again. */
  drop(): void {
    this.#pieces = null;
    this.#all.heldBytes -= this.#bytes;
    this.#bytes = 0;
  }
}
