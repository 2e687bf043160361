import { CardeaError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import type { LiveConnections } from "./live.ts";

interface DrainOptions {
  readonly live: LiveConnections;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/** Lets what is under way finish, as long as the limit allows; what is left then is cut. Resolves when all is gone. */
export async function drainConnections({ live, clock, timeoutMs }: DrainOptions): Promise<void> {
  const timer = clock.setTimer(timeoutMs, () =>
    live.endNow(new CardeaError("draining", "the sidecar shut down before this had finished")),
  );
  live.drain();
  await live.whenEmpty();
  timer.cancel();
}
