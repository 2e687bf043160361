/** So many a second, and what was saved of one second at the most. */
export class Allowance {
  readonly #perSecond: number;
  readonly #nowMs: () => number;
  #left: number;
  #countedMs: number;

  constructor(perSecond: number, nowMs: () => number) {
    this.#perSecond = perSecond;
    this.#nowMs = nowMs;
    this.#left = perSecond;
    this.#countedMs = nowMs();
  }

  /** Whether there is one left, which is then taken. */
  take(): boolean {
    const nowMs = this.#nowMs();
    this.#left = Math.min(this.#perSecond, this.#left + ((nowMs - this.#countedMs) * this.#perSecond) / 1_000);
    this.#countedMs = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
