import { CardeaError } from "../../core/errors.ts";
import type { ConnectionPool } from "../../traffic/service-traffic.ts";

/**
 * Bounds what one sidecar has under way to one backend. Retries of what may have been served are bounded by a budget,
 * too: a service that fails must not get several times its load for it.
 */
export class Breaker {
  readonly #pool: ConnectionPool;
  #requests = 0;
  #retries = 0;
  #budgeted = 0;

  constructor(pool: ConnectionPool) {
    this.#pool = pool;
  }

  get requests(): number {
    return this.#requests;
  }

  get retries(): number {
    return this.#retries;
  }

  /** Every entry is followed by one `leave`. Errors: `upstream-overflow`. */
  enter(): void {
    if (this.#requests >= this.#pool.maxRequests)
      throw new CardeaError("upstream-overflow", `${this.#pool.maxRequests} requests are under way (maxRequests)`);
    this.#requests++;
  }

  leave(): void {
    this.#requests--;
  }

  /** Takes a place for a retry, to be given back by `endRetry`. `active`: requests under way to the backend. */
  beginRetry(kind: RetryKind, active: number): "allowed" | "limit" | "budget" {
    if (this.#retries >= this.#pool.maxRetries) return "limit";
    if (kind === "may-have-been-served") {
      if (this.#budgeted >= budgetOf(active)) return "budget";
      this.#budgeted++;
    }
    this.#retries++;
    return "allowed";
  }

  endRetry(kind: RetryKind): void {
    this.#retries--;
    if (kind === "may-have-been-served") this.#budgeted--;
  }
}

/** Whether a retry may make a workload do something a second time, or is the first that a workload sees. */
export type RetryKind = "may-have-been-served" | "was-not-served";

/** Envoy's retry_budget: a fifth of what is under way, and three in any case. */
export function budgetOf(active: number): number {
  return Math.max(BUDGET_MIN, Math.floor(active * BUDGET_SHARE));
}

const BUDGET_SHARE = 0.2;
const BUDGET_MIN = 3;
