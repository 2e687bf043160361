import { LIMITS } from "../../core/limits.ts";

/** How many seconds' worth may come at once. */
const BURST_SECONDS = 4;

/**
 * An allowance that refills with time: what costs a peer next to nothing and us something must be bounded by rate.
 * Monotonic milliseconds are handed in.
 */
export class Allowance {
  readonly #perMs: number;
  readonly #most: number;
  #left: number;
  #atMs = 0;

  constructor(perSecond: number) {
    this.#perMs = perSecond / 1_000;
    this.#most = perSecond * BURST_SECONDS;
    this.#left = this.#most;
  }

  /** False when it is used up. */
  take(nowMs: number): boolean {
    this.#left = Math.min(this.#most, this.#left + Math.max(0, nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }

  /** What we did ourselves gives the peer reason for so many more. */
  give(count: number): void {
    this.#left = Math.min(this.#most, this.#left + count);
  }
}

/** What one peer may do that has no other bound. */
export class FloodGuard {
  /** Streams that end in a reset of the peer's making (CVE-2023-44487, CVE-2025-8671). */
  readonly resets = new Allowance(LIMITS.http2ResetsPerSecondMax);
  /** Frames that carry nothing (CVE-2019-9511 to 9518). */
  readonly controls = new Allowance(LIMITS.http2ControlsPerSecondMax);
}
