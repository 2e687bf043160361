import type { Clock } from "../core/ports.ts";

/** The global is an accessor, which no compiled code inlines: asked for once, and not with every look at the clock. */
const timer = performance;

/** The machine's own time. */
export const systemClock: Clock = Object.freeze({
  wallMs: () => Date.now(),
  monotonicMs: () => timer.now(),
  setTimer(delayMs: number, fire: () => void) {
    const timeout = setTimeout(fire, delayMs).unref();
    return { cancel: () => clearTimeout(timeout) };
  },
});
