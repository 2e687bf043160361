import { LIMITS } from "../core/limits.ts";
import type { Clock, Random } from "../core/ports.ts";

/**
 * How long a connection may be used, given the certificates that made it. Wall-clock milliseconds; both sidecars
 * know both chains, so both come to the same end.
 */
export interface Lifetime {
  /** From then on it takes no new request. */
  readonly retiresAtMs: number;
  /** Then it is cut. */
  readonly endsAtMs: number;
}

/** A connection without certificates: to our own app, or from it. */
export const UNLIMITED: Lifetime = Object.freeze({ retiresAtMs: Infinity, endsAtMs: Infinity });

/**
 * The side that sends requests retires a connection twice as early as the side that takes them: were it the other way
 * round, a request could cross the other side's close and be lost.
 */
export function lifetimeOf(side: "downstream" | "upstream", endsAtMs: number, nowMs: number): Lifetime {
  const margin = Math.min(LIMITS.connectionRetireMsMax, Math.max(0, endsAtMs - nowMs) / 10);
  return { retiresAtMs: endsAtMs - (side === "upstream" ? 2 * margin : margin), endsAtMs };
}

/**
 * The same, retired at a certain age at the latest: up to a tenth sooner, so that connections that were made together
 * do not all go together. It takes no more requests then; those that are under way finish.
 */
export function withAge(
  lifetime: Lifetime,
  ageMs: number,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Lifetime {
  const agedAtMs = clock.wallMs() + ageMs * (1 - random.float() / 10);
  return { ...lifetime, retiresAtMs: Math.min(lifetime.retiresAtMs, agedAtMs) };
}
