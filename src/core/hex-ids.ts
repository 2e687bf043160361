import type { Random } from "./ports.ts";

/**
 * Random ids as lower-case hexadecimal digits, cut from a block that was drawn and written out at once: an id then costs
 * a slice, where a draw and a conversion of its own cost ten times as much.
 */
export class HexIds {
  readonly #random: Random;
  #block = "";
  #at = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** At most BLOCK_BYTES * 2 digits. */
  next(digits: number): string {
    if (this.#at + digits > this.#block.length) {
      this.#block = this.#random.bytes(BLOCK_BYTES).toString("hex");
      this.#at = 0;
    }
    this.#at += digits;
    return this.#block.substring(this.#at - digits, this.#at);
  }
}

/** Small, since whoever keeps one id keeps the text of its block. */
const BLOCK_BYTES = 512;
