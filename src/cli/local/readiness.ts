import { CardeaError } from "../../core/errors.ts";
import type { Address, Clock } from "../../core/ports.ts";
import { callHttp } from "../../io/http-client.ts";
import { isListening } from "../../io/ports-probe.ts";

const POLL_MS = 15;
const CALL_TIMEOUT_MS = 1_000;

export interface Wait {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Asked at every turn: why waiting longer is of no use, or null. */
  readonly giveUp: () => string | null;
}

/** Waits until a readiness endpoint answers 200. Errors: `unreachable`, with what it answered last. */
export async function waitUntilReady(title: string, at: Address, path: string, wait: Wait): Promise<void> {
  let last = "it does not answer";
  await waitFor(
    title,
    wait,
    () => last,
    async () => {
      try {
        const { status, body } = await callHttp(at, { path, timeoutMs: CALL_TIMEOUT_MS });
        last = body.trim().split("\n")[0] ?? "";
        return status === 200;
      } catch {
        return false;
      }
    },
  );
}

/** Waits until something listens on a port. Errors: `unreachable`. */
export async function waitUntilListening(title: string, at: Address, wait: Wait): Promise<void> {
  await waitFor(
    title,
    wait,
    () => `nothing listens on ${at.host}:${at.port}`,
    () => isListening(at),
  );
}

async function waitFor(
  title: string,
  wait: Wait,
  describe: () => string,
  isThere: () => Promise<boolean>,
): Promise<void> {
  const deadlineMs = wait.clock.monotonicMs() + wait.timeoutMs;
  while (!(await isThere())) {
    const why = wait.giveUp();
    if (why !== null) throw new CardeaError("unreachable", `${title} did not come up: ${why}`);
    if (wait.clock.monotonicMs() > deadlineMs)
      throw new CardeaError("unreachable", `${title} is not ready after ${wait.timeoutMs / 1000} s: ${describe()}`);
    await new Promise<void>((resolve) => void wait.clock.setTimer(POLL_MS, resolve));
  }
}
