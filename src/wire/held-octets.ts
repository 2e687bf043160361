/** Octets of a section that came in pieces, in one buffer that doubles when it is full, up to a bound. */
export class HeldOctets {
  bytes = 0;
  readonly #bytesMax: number;
  #buffer: Buffer | null = null;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Returns the buffer that holds all octets so far; what goes beyond the bound is not copied. */
  append(chunk: Buffer): Buffer {
    const wanted = Math.min(this.bytes + chunk.length, this.#bytesMax);
    const buffer = this.#reserve(wanted);
    chunk.copy(buffer, this.bytes, 0, wanted - this.bytes);
    this.bytes = wanted;
    return buffer;
  }

  clear(): void {
    this.bytes = 0;
    this.#buffer = null;
  }

  #reserve(wanted: number): Buffer {
    if (this.#buffer !== null && this.#buffer.length >= wanted) return this.#buffer;
    const grown = Buffer.allocUnsafeSlow(Math.min(this.#bytesMax, Math.max(FIRST_BYTES, wanted * 2)));
    this.#buffer?.copy(grown, 0, 0, this.bytes);
    this.#buffer = grown;
    return grown;
  }
}

const FIRST_BYTES = 1_024;
