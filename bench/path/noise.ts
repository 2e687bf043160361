import { medianOf } from "./statistics.ts";

/** Iterations of the fixed loop: some 20 ms on a core of its own. */
const ITERATIONS = 20_000_000;

/**
 * How long a fixed piece of work takes at this moment, ms. It tells how much of a core the bench itself gets, so what a
 * round beside it is worth.
 */
export function measureNoiseMs(): number {
  const beganMs = performance.now();
  let value = 1;
  for (let i = 0; i < ITERATIONS; i++) value = (Math.imul(value, 1_664_525) + 1_013_904_223) | 0;
  // The value is used, or the loop could be left out.
  return performance.now() - beganMs + (value === 0 ? Number.MIN_VALUE : 0);
}

/** `20.1 ms (19.8 to 31.0 in 96 rounds)` */
export function describeNoise(samplesMs: readonly number[]): string {
  if (samplesMs.length === 0) return "not measured";
  const [median, least, most] = [medianOf(samplesMs), Math.min(...samplesMs), Math.max(...samplesMs)];
  return `${median.toFixed(1)} ms (${least.toFixed(1)} to ${most.toFixed(1)} in ${samplesMs.length} rounds)`;
}
