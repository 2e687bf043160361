import type { Clock, Timer } from "../../src/core/ports.ts";

/** A clock that moves when the test says so. */
export interface SimClock extends Clock {
  /** Moves both times on, firing what falls due, in order. */
  advance(ms: number): void;
}

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly fire: () => void;
}

export function createSimClock(startMs: number): SimClock {
  let nowMs = 0;
  let order = 0;
  const due = new Set<Due>();
  return {
    wallMs: () => startMs + nowMs,
    monotonicMs: () => nowMs,
    setTimer(delayMs, fire): Timer {
      const timer = { atMs: nowMs + delayMs, order: order++, fire };
      due.add(timer);
      return { cancel: () => void due.delete(timer) };
    },
    advance(ms) {
      const endMs = nowMs + ms;
      for (let next = firstDue(due, endMs); next !== null; next = firstDue(due, endMs)) {
        due.delete(next);
        nowMs = next.atMs;
        next.fire();
      }
      nowMs = endMs;
    },
  };
}

function firstDue(due: ReadonlySet<Due>, endMs: number): Due | null {
  let first: Due | null = null;
  for (const timer of due) {
    if (timer.atMs > endMs) continue;
    if (first === null || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.order < first.order))
      first = timer;
  }
  return first;
}
