import type { Random } from "./ports.ts";

/**
 * Random ids as lower-case hexadecimal digits, cut from blocks that were drawn together and are written out one by one: an id then costs
 * a slice, where a draw and a conversion of its own cost ten times as much.
 */
export class HexIds {
  readonly #random: Random;
  #drawn: Buffer = Buffer.alloc(0);
  #used = 0;
  #block = "";
  #at = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** At most BLOCK_BYTES * 2 digits. */
  next(digits: number): string {
    if (this.#at + digits > this.#block.length) {
      this.#block = this.#nextBlock();
      this.#at = 0;
    }
    this.#at += digits;
    return this.#block.substring(this.#at - digits, this.#at);
  }

  #nextBlock(): string {
    if (this.#used === this.#drawn.length) {
      this.#drawn = this.#random.bytes(DRAWN_BYTES);
      this.#used = 0;
    }
    this.#used += BLOCK_BYTES;
    return this.#drawn.toString("hex", this.#used - BLOCK_BYTES, this.#used);
  }
}

/** Small, since whoever keeps one id keeps the text of its block. */
const BLOCK_BYTES = 512;
/** A draw costs as much for many octets as for few. A multiple of the block. */
const DRAWN_BYTES = 4_096;
