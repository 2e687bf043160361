import type { Clock, Random } from "../../core/ports.ts";

/** A moment by both clocks; it has come when either says so: the wall clock may be set back, the other may sleep. */
export interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

export function momentAfter(clock: Clock, delayMs: number): Moment {
  return { wallMs: clock.wallMs() + delayMs, monotonicMs: clock.monotonicMs() + delayMs };
}

export function hasCome(clock: Clock, moment: Moment): boolean {
  return clock.wallMs() >= moment.wallMs || clock.monotonicMs() >= moment.monotonicMs;
}

/**
 * When to renew a certificate that is good for `leftMs` more: between two fifths and a half of it, so that the authority
 * may be away for half a lifetime. The first one of a process may come as early as a twentieth: sidecars that started
 * together are spread over as long as it takes each to come back on average, and stay so.
 */
export function renewalDelayMs(leftMs: number, isFirst: boolean, random: Random): number {
  const earliest = isFirst ? 0.05 : 0.4;
  return Math.floor(leftMs * (earliest + (0.5 - earliest) * random.float()));
}

const RETRY_FIRST_MS = 200;
/** After an outage all sidecars hold certificates again within a minute. */
const RETRY_MAX_MS = 15_000;

/** Doubling from a fifth of a second, the upper half of each step by chance: a herd must not come back in step. */
export function retryDelayMs(failures: number, random: Random): number {
  const step = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(failures - 1, 16));
  return Math.floor(step * (0.5 + 0.5 * random.float()));
}
