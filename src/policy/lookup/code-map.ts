/** Codes that lie further apart than this are kept in a map. */
const SPAN_MAX = 128;

/** Values by character code. Codes are mostly close to each other, and then finding one is a look into an array. */
export class CodeMap<V> {
  #low = 0;
  #slots: (V | undefined)[] = [];
  #far: Map<number, V> | null = null;

  /** Per request. */
  get(code: number): V | undefined {
    const at = code - this.#low;
    // Never outside of the array, which would be many times slower.
    if (at >= 0 && at < this.#slots.length) return this.#slots[at];
    return this.#far === null ? undefined : this.#far.get(code);
  }

  set(code: number, value: V): void {
    if (this.#slots.length === 0) this.#low = code;
    const low = Math.min(this.#low, code);
    const high = Math.max(this.#low + this.#slots.length - 1, code);
    // Codes that are far stay far: what lies between the lowest and the highest only ever grows up to this.
    if (high - low >= SPAN_MAX) {
      (this.#far ??= new Map()).set(code, value);
      return;
    }
    const slots = Array.from({ length: high - low + 1 }, (_, i) => this.#slots[low + i - this.#low]);
    slots[code - low] = value;
    this.#low = low;
    this.#slots = slots;
  }
}
