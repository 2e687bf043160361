import { LIMITS } from "../../core/limits.ts";
import type { RequestHead } from "../../wire/http1-head.ts";

/** What is still read from a caller after its answer: for how long, and how much of it. */
export class Leaving {
  /** When the first tick saw it. */
  #sinceMs: number | null = null;
  #discardedBytes = 0;

  begin(): void {
    this.#sinceMs = null;
  }

  /** Whether it has taken that long, however busily the peer sends. */
  hasTaken(delayMs: number, nowMs: number): boolean {
    this.#sinceMs ??= nowMs;
    return nowMs - this.#sinceMs >= delayMs;
  }

  /** False when it is more than anybody throws away. */
  discard(bytes: number): boolean {
    this.#discardedBytes += bytes;
    return this.#discardedBytes <= LIMITS.lingerBytesMax;
  }
}

/** Whether the rest of a request's body may be read to get at the next request. */
export function canDiscardBody(head: RequestHead | null): boolean {
  // Who asked for leave to send a body may send it or not: where the next request begins, nobody can tell.
  if (head === null || head.expectsContinue || head.framing.kind !== "length") return false;
  return head.framing.bytes <= LIMITS.discardBodyBytesMax;
}
