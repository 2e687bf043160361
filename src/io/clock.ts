import type { Clock } from "../core/ports.ts";

/** The machine's own time. */
export const systemClock: Clock = Object.freeze({
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs: number, fire: () => void) {
    const timeout = setTimeout(fire, delayMs).unref();
    return { cancel: () => clearTimeout(timeout) };
  },
});
