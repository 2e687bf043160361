import { LIMITS } from "../../src/core/limits.ts";
import { renewalDelayMs } from "../../src/proxy/identity/schedule.ts";
import type { ScaleArguments } from "./arguments.ts";

/** How evenly renewals are spread over a day when all sidecars got their first certificate within a minute. */
export interface RenewalsResult {
  readonly sidecars: number;
  /** Renewals a second over all the time. */
  readonly mean: number;
  /** The worst second of each hour, as a multiple of the mean. */
  readonly worstOfHour: readonly number[];
}

const HOURS = 12;
const START_MS = 60_000;

/** The sidecar's own rule, over a simulated half day; chance by a generator with a fixed seed. */
export function simulateRenewals({ sidecars }: Pick<ScaleArguments, "sidecars">): RenewalsResult {
  const random = { bytes: (count: number) => Buffer.alloc(count), float: seeded(1) };
  const seconds = new Float64Array(HOURS * 3_600);
  let total = 0;
  for (let sidecar = 0; sidecar < sidecars; sidecar += 1) {
    let atMs = START_MS * random.float();
    for (let isFirst = true; ; isFirst = false) {
      atMs += renewalDelayMs(LIMITS.svidTtlMs, isFirst, random);
      const second = Math.floor(atMs / 1_000);
      if (second >= seconds.length) break;
      seconds[second] = seconds[second]! + 1;
      total += 1;
    }
  }
  const mean = total / seconds.length;
  const hours = Array.from({ length: HOURS }, (_, hour) => seconds.subarray(hour * 3_600, (hour + 1) * 3_600));
  return { sidecars, mean, worstOfHour: hours.map((hour) => Math.max(...hour) / mean) };
}

/** Mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
