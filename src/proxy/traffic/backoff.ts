import type { Random } from "../../core/ports.ts";

/**
 * Before the n-th retry (from 1): anywhere between nothing and twice the wait of the one before, so that those who
 * failed together do not come back together. At most ten times the first, as Envoy.
 */
export function backoffMs(retry: number, baseMs: number, random: Random): number {
  const highest = Math.min(baseMs * (2 ** retry - 1), baseMs * 10);
  return random.float() * highest;
}
