/** Where one series' numbers begin in its block. */
export type SeriesOffset = number & { readonly series: unique symbol };

/** How a block tells the series that are done with. */
export interface Idleness {
  readonly nowMs: number;
  readonly idleMs: number;
  /** A number that is another one whenever something was counted. */
  movementOf(values: Float64Array, offset: SeriesOffset): number;
  /** Series that must stay however idle they are. */
  isHeld(values: Float64Array, offset: SeriesOffset): boolean;
}

interface Series {
  readonly offset: SeriesOffset;
  /** Stands for those over the limit. */
  readonly isShared: boolean;
  /** What Idleness.movementOf said at the last look, and since when it has said so; NaN: never looked. */
  movement: number;
  sinceMs: number;
}

/**
 * Numbers of many series of one shape in one array, so that counting is an addition and nothing is garbage.
 * A series is named by its finished label text and found again by it.
 */
export class SeriesBlock {
  /** All numbers; replaced when it grows, so take it anew for each use. */
  values: Float64Array;
  readonly #stride: number;
  readonly #seriesMax: number;
  readonly #series = new Map<string, Series>();
  readonly #free: SeriesOffset[] = [];
  #offsetsMade = 0;

  constructor(stride: number, seriesMax: number) {
    this.#stride = stride;
    this.#seriesMax = seriesMax;
    this.values = new Float64Array(stride * 16);
  }

  get size(): number {
    return this.#series.size;
  }

  /** The series of these labels, made when it is new; that of `beyondLimit()` when there are as many as may be. */
  intern(labels: string, beyondLimit: () => string): SeriesOffset {
    const known = this.#series.get(labels);
    if (known !== undefined) return known.offset;
    if (this.#series.size < this.#seriesMax) return this.#add(labels, false);
    return this.#sharedBy(beyondLimit());
  }

  /** The series of these labels where there is one, else that of those over the limit: what takes back is no new series. */
  find(labels: string, beyondLimit: () => string): SeriesOffset {
    return this.#series.get(labels)?.offset ?? this.#sharedBy(beyondLimit());
  }

  #sharedBy(shared: string): SeriesOffset {
    return this.#series.get(shared)?.offset ?? this.#add(shared, true);
  }

  /** One number of each series that stands for those over the limit, added up. */
  sumBeyondLimit(number: number): number {
    let sum = 0;
    for (const { isShared, offset } of this.#series.values()) if (isShared) sum += this.values[offset + number]!;
    return sum;
  }

  /** Labels and offset of every series, in order of appearance. */
  *entries(): Generator<[string, SeriesOffset]> {
    for (const [labels, { offset }] of this.#series) yield [labels, offset];
  }

  /**
   * Forgets the series that have not moved for `idleMs`, to be called after a scrape has been told everything: such a
   * series was then told at its last value. Returns what went, after which no offset that somebody keeps is good.
   * What stands for those over the limit stays: its counts are in the sum of all that were over it.
   */
  forgetIdle(idleness: Idleness): SeriesOffset[] {
    const gone: SeriesOffset[] = [];
    for (const [labels, series] of this.#series) {
      const movement = idleness.movementOf(this.values, series.offset);
      if (movement !== series.movement) {
        series.movement = movement;
        series.sinceMs = idleness.nowMs;
        continue;
      }
      if (idleness.nowMs - series.sinceMs < idleness.idleMs) continue;
      if (series.isShared || idleness.isHeld(this.values, series.offset)) continue;
      this.#series.delete(labels);
      this.values.fill(0, series.offset, series.offset + this.#stride);
      this.#free.push(series.offset);
      gone.push(series.offset);
    }
    return gone;
  }

  #add(labels: string, isShared: boolean): SeriesOffset {
    const offset = this.#free.pop() ?? this.#newOffset();
    this.#series.set(labels, { offset, isShared, movement: Number.NaN, sinceMs: 0 });
    return offset;
  }

  #newOffset(): SeriesOffset {
    const offset = (this.#offsetsMade * this.#stride) as SeriesOffset;
    this.#offsetsMade++;
    if (offset + this.#stride > this.values.length) {
      const larger = new Float64Array(this.values.length * 2);
      larger.set(this.values);
      this.values = larger;
    }
    return offset;
  }
}
