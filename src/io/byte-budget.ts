import type { Clock, Timer } from "../core/ports.ts";

/** Bytes that may be held at once by all who ask; who finds none left waits in line. */
export interface ByteBudget {
  /** Resolves with what gives the bytes back, or with null when there were none in time, or when `signal` ended it. */
  take(bytes: number, signal: AbortSignal): Promise<(() => void) | null>;
  readonly left: number;
  readonly waiting: number;
}

export interface ByteBudgetOptions {
  readonly bytes: number;
  readonly waitMsMax: number;
  readonly clock: Clock;
}

interface Waiter {
  readonly bytes: number;
  readonly timer: Timer;
  settle(release: (() => void) | null): void;
}

/** In the order of asking: a large one is not passed over for ever by small ones. Nobody may ask for more than all. */
export function createByteBudget({ bytes: all, waitMsMax, clock }: ByteBudgetOptions): ByteBudget {
  let left = all;
  const line = new Set<Waiter>();

  function grant(bytes: number): () => void {
    left -= bytes;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      left += bytes;
      serve();
    };
  }

  function serve(): void {
    for (const waiter of line) {
      if (waiter.bytes > left) return;
      waiter.settle(grant(waiter.bytes));
    }
  }

  return {
    get left() {
      return left;
    },
    get waiting() {
      return line.size;
    },
    take(asked, signal) {
      const bytes = Math.min(asked, all);
      if (signal.aborted) return Promise.resolve(null);
      if (line.size === 0 && bytes <= left) return Promise.resolve(grant(bytes));
      const { promise, resolve } = Promise.withResolvers<(() => void) | null>();
      const onAbort = (): void => waiter.settle(null);
      const waiter: Waiter = {
        bytes,
        timer: clock.setTimer(waitMsMax, onAbort),
        settle(release) {
          line.delete(waiter);
          waiter.timer.cancel();
          signal.removeEventListener("abort", onAbort);
          resolve(release);
          // Whoever stood behind one that gave up may find enough.
          if (release === null) serve();
        },
      };
      line.add(waiter);
      signal.addEventListener("abort", onAbort);
      return promise;
    },
  };
}
