import type { Clock } from "./ports.ts";

/** Work that stops after each step, so that others may have their turn. */
export type Steps<T> = Generator<void, T>;

/** How long one slice may hold the event loop. */
const SLICE_MS = 5;

/** Does all of it at once. */
export function runSteps<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Does it in slices of at most 5 ms and a step, so that traffic goes on meanwhile. Rejects with what a step throws. */
export async function runInSlices<T>(steps: Steps<T>, clock: Clock): Promise<T> {
  let sliceEndMs = clock.monotonicMs() + SLICE_MS;
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (clock.monotonicMs() < sliceEndMs) continue;
    await new Promise((resolve) => setImmediate(resolve));
    sliceEndMs = clock.monotonicMs() + SLICE_MS;
  }
}
