import type { CardeaError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";

/** One moment on both clocks. */
export interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

/** A connection that has time limits. */
export interface LiveConnection {
  /** Looks at its deadlines; called every TICK_MS. */
  onTick(now: Moment): void;
  /** Finish what is under way, then close. */
  drain(): void;
  /** Close now; what is under way fails with `error`. */
  endNow(error: CardeaError): void;
}

/**
 * All open connections of a sidecar, with one timer between them: a request then costs no timer, and deadlines are
 * good to half a second.
 */
export class LiveConnections {
  readonly #clock: Clock;
  readonly #whole: LiveConnections | null;
  readonly #connections = new Set<LiveConnection>();
  #isDraining = false;
  #isTicking = false;
  #onEmpty: (() => void) | null = null;

  /** `whole`: these are some of its connections, which can be ended by themselves; all else is its affair. */
  constructor(clock: Clock, whole: LiveConnections | null = null) {
    this.#clock = clock;
    this.#whole = whole;
  }

  get isDraining(): boolean {
    return this.#whole?.isDraining ?? this.#isDraining;
  }

  set isDraining(isDraining: boolean) {
    this.#isDraining = isDraining;
  }

  get size(): number {
    return this.#connections.size;
  }

  add(connection: LiveConnection): void {
    this.#connections.add(connection);
    if (this.#whole !== null) {
      this.#whole.add(connection);
      return;
    }
    if (!this.#isTicking) this.#tickLater();
    if (this.isDraining) connection.drain();
  }

  delete(connection: LiveConnection): void {
    this.#connections.delete(connection);
    this.#whole?.delete(connection);
    // Not before this turn's work is done: one that leaves may be about to be followed by what it becomes, a tunnel.
    if (this.#connections.size === 0 && this.#onEmpty !== null) queueMicrotask(this.#tellIfEmpty);
  }

  /** From now on every connection ends when what is under way on it has ended, later ones included. */
  drain(): void {
    this.isDraining = true;
    for (const connection of this.#connections) connection.drain();
  }

  endNow(error: CardeaError): void {
    for (const connection of this.#connections) connection.endNow(error);
  }

  /** Resolves when no connection is left. */
  whenEmpty(): Promise<void> {
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  readonly #tellIfEmpty = (): void => {
    if (this.#connections.size === 0) this.#onEmpty?.();
  };

  readonly #tick = (): void => {
    const now = { monotonicMs: this.#clock.monotonicMs(), wallMs: this.#clock.wallMs() };
    for (const connection of this.#connections) connection.onTick(now);
    this.#isTicking = false;
    if (this.#connections.size > 0) this.#tickLater();
  };

  #tickLater(): void {
    this.#isTicking = true;
    this.#clock.setTimer(TICK_MS, this.#tick);
  }
}

const TICK_MS = 500;

/** Tells that nothing has moved for a while by byte counters, so that moving bytes costs nothing. */
export class Stillness {
  #bytes = -1;
  #sinceMs = 0;

  /** For how long the counters have stood still. */
  measureMs(bytes: number, nowMs: number): number {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#sinceMs = nowMs;
    }
    return nowMs - this.#sinceMs;
  }

  reset(): void {
    this.#bytes = -1;
  }
}
