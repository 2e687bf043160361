import type { Clock } from "../../core/ports.ts";

/**
 * Wall time to a fraction of a millisecond, where the clock tells whole ones. Each look at both clocks says between which
 * bounds their difference is; what all have said is close after some. Two sidecars of one machine then agree on what came
 * first. A look that contradicts the others means that the wall clock was set, and all begins anew.
 */
export class WallTimes {
  readonly #clock: Clock;
  #atLeast = Number.NEGATIVE_INFINITY;
  #below = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What is to be added to monotonic milliseconds now. */
  offsetMs(): number {
    const before = this.#clock.monotonicMs();
    const wallMs = this.#clock.wallMs();
    const after = this.#clock.monotonicMs();
    const [atLeast, below] = [wallMs - after, wallMs + 1 - before];
    if (atLeast > this.#below || below < this.#atLeast) [this.#atLeast, this.#below] = [atLeast, below];
    else {
      this.#atLeast = Math.max(this.#atLeast, atLeast);
      this.#below = Math.min(this.#below, below);
    }
    return (this.#atLeast + this.#below) / 2;
  }
}
