/** Where one series' numbers begin in its block. */
export type SeriesOffset = number & { readonly series: unique symbol };

/**
 * Numbers of many series of one shape in one array, so that counting is an addition and nothing is garbage.
 * A series is named by its finished label text and found again by it.
 */
export class SeriesBlock {
  /** All numbers; replaced when it grows, so take it anew for each use. */
  values: Float64Array;
  readonly #stride: number;
  readonly #seriesMax: number;
  readonly #offsets = new Map<string, SeriesOffset>();
  readonly #beyondLimit = new Set<SeriesOffset>();

  constructor(stride: number, seriesMax: number) {
    this.#stride = stride;
    this.#seriesMax = seriesMax;
    this.values = new Float64Array(stride * 16);
  }

  /** The series of these labels, made when it is new; that of `beyondLimit()` when there are as many as may be. */
  intern(labels: string, beyondLimit: () => string): SeriesOffset {
    const known = this.#offsets.get(labels);
    if (known !== undefined) return known;
    if (this.#offsets.size < this.#seriesMax) return this.#add(labels);
    const shared = beyondLimit();
    const offset = this.#offsets.get(shared) ?? this.#add(shared);
    this.#beyondLimit.add(offset);
    return offset;
  }

  /** One number of each series that stands for those over the limit, added up. */
  sumBeyondLimit(number: number): number {
    let sum = 0;
    for (const offset of this.#beyondLimit) sum += this.values[offset + number]!;
    return sum;
  }

  /** Labels and offset of every series, in order of appearance. */
  entries(): IterableIterator<[string, SeriesOffset]> {
    return this.#offsets.entries();
  }

  #add(labels: string): SeriesOffset {
    const offset = (this.#offsets.size * this.#stride) as SeriesOffset;
    if (offset + this.#stride > this.values.length) {
      const larger = new Float64Array(this.values.length * 2);
      larger.set(this.values);
      this.values = larger;
    }
    this.#offsets.set(labels, offset);
    return offset;
  }
}
