import type { NextTry, Tries, TryFailure } from "../tries.ts";
import { isIdempotent } from "./idempotent.ts";
import type { KeptBodies } from "./kept-body.ts";

/**
 * Towards our own app: a request that it has certainly not looked at is sent once more, and one that met a connection
 * which was about to close, if it may arrive twice. Holds nothing of a request, so one serves all.
 */
export class OnceMore implements Tries {
  readonly isWatching = false;
  readonly seen = null;
  readonly bodies: KeptBodies | null;
  readonly #isSpent: boolean;

  constructor(bodies: KeptBodies | null, isSpent = false) {
    this.bodies = bodies;
    this.#isSpent = isSpent;
  }

  afterFailure(failure: TryFailure): NextTry | null {
    if (this.#isSpent || !isLostOnTheWay(failure)) return null;
    const { permit, pair } = failure;
    return { permit, pair, want: "fresh", waitMs: 0, tries: SPENT };
  }

  begin(): void {}
  onRequestWhole(): void {}
  afterAnswer(): null {
    return null;
  }
  onGrpcStatus(): void {}
  onLastFailure(): void {}
  wait(): void {}
  onDone(): void {}
}

/** Whether what failed is a connection that stood ready, and not the request. */
export function isLostOnTheWay({ error, fate, head }: TryFailure): boolean {
  if (head.upgrade !== null || isOurs(error.code)) return false;
  return fate === "unprocessed" || (fate === "stale" && isIdempotent(head.method));
}

/** Failures to get a connection at all. */
function isOurs(code: string): boolean {
  return code !== "upstream-reset" && code !== "upstream-cancelled";
}

const SPENT: Tries = new OnceMore(null, true);
