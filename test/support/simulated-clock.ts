import type { Clock, Random, Timer } from "../../src/core/ports.ts";

/** A clock that stands still until a test moves it. */
export interface SimulatedClock extends Clock {
  /** Moves both clocks on, step by step from timer to timer, and lets promises settle after each. */
  advance(byMs: number): Promise<void>;
  /** Moves both clocks on at once, with no timer in between: as a process that was stopped sees it. What fell due meanwhile waits for `advance`. */
  freeze(byMs: number): void;
  /** Sets the wall clock alone, as an administrator or a laptop's lid does. */
  setWall(wallMs: number): void;
  /** Timers that wait. */
  readonly timers: number;
}

interface Waiting {
  readonly atMs: number;
  readonly fire: () => void;
}

export function createSimulatedClock(startMs: number): SimulatedClock {
  let monotonicMs = 0;
  let wallOffsetMs = startMs;
  const waiting = new Set<Waiting>();

  function nextDue(untilMs: number): Waiting | undefined {
    const due = [...waiting].filter((timer) => timer.atMs <= untilMs);
    return due.toSorted((a, b) => a.atMs - b.atMs)[0];
  }

  return {
    wallMs: () => wallOffsetMs + monotonicMs,
    monotonicMs: () => monotonicMs,
    setTimer(delayMs, fire): Timer {
      const timer = { atMs: monotonicMs + Math.max(0, delayMs), fire };
      waiting.add(timer);
      return { cancel: () => void waiting.delete(timer) };
    },
    async advance(byMs) {
      const untilMs = monotonicMs + byMs;
      await settle();
      for (let timer = nextDue(untilMs); timer !== undefined; timer = nextDue(untilMs)) {
        waiting.delete(timer);
        monotonicMs = Math.max(monotonicMs, timer.atMs);
        timer.fire();
        await settle();
      }
      monotonicMs = untilMs;
    },
    freeze(byMs) {
      monotonicMs += byMs;
    },
    setWall(wallMs) {
      wallOffsetMs = wallMs - monotonicMs;
    },
    get timers() {
      return waiting.size;
    },
  };
}

/** Seeded: the same test draws the same numbers (mulberry32). */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0;
  const float = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { float, bytes: (count) => Buffer.from(Array.from({ length: count }, () => Math.floor(float() * 256))) };
}

/** Two turns of the event loop: every promise that can settle has settled. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
