import type { Clock } from "../../core/ports.ts";

export interface CatchUpOptions {
  /** The client has acknowledged all that a change brought for it, this long after the change. */
  onConverged(afterMs: number): void;
  readonly clock: Clock;
}

/** Measures how long a client takes to catch up with a change, where the change concerns the client at all. */
export class CatchUp {
  readonly #options: CatchUpOptions;
  /** Of the first change that the client has not caught up with; null: it is up to date. */
  #changedAtMs: number | null = null;
  #hasSent = false;
  #hasRefused = false;

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  changed(atMs: number): void {
    this.#changedAtMs ??= atMs;
  }

  sent(): void {
    this.#hasSent = true;
  }

  refused(): void {
    this.#hasRefused = true;
  }

  /** Nothing is left to send, and nothing to be answered. */
  settled(): void {
    const options = this.#options;
    const sinceMs = this.#changedAtMs;
    const hasCaughtUp = this.#hasSent && !this.#hasRefused;
    this.#changedAtMs = null;
    this.#hasSent = false;
    this.#hasRefused = false;
    // The first configuration of a new stream answers to no change.
    if (sinceMs !== null && hasCaughtUp) options.onConverged(options.clock.monotonicMs() - sinceMs);
  }
}
