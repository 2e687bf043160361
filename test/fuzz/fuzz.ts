import { type Check, checkChunked, checkPath, checkRequests, checkResponses } from "./invariants.ts";
import { mutate } from "./mutate.ts";
import { SeededRandom } from "./random.ts";
import { CHUNKED_SEEDS, PATH_SEEDS, REQUEST_SEEDS, RESPONSE_SEEDS } from "./seeds.ts";

interface Target {
  readonly name: string;
  readonly seeds: readonly Buffer[];
  readonly check: Check;
}

const TARGETS: readonly Target[] = [
  { name: "requests", seeds: REQUEST_SEEDS, check: checkRequests },
  { name: "requests", seeds: REQUEST_SEEDS, check: checkRequests },
  { name: "responses", seeds: RESPONSE_SEEDS, check: checkResponses },
  { name: "chunked", seeds: CHUNKED_SEEDS, check: checkChunked },
  { name: "paths", seeds: PATH_SEEDS, check: checkPath },
];

export interface Finding {
  readonly target: string;
  readonly index: number;
  readonly message: string;
  /** The smallest input found that still fails. */
  readonly input: Buffer;
}

/** Runs the input of one index; null when it is as it should be. */
export function fuzzOne(seed: number, index: number): Finding | null {
  const random = new SeededRandom(seed, index);
  const target = TARGETS[index % TARGETS.length]!;
  const input = mutate(random.pick(target.seeds), target.seeds, random);
  const message = failureOf(target, input, seed, index);
  if (message === null) return null;
  const smallest = shrink(input, (smaller) => failureOf(target, smaller, seed, index) !== null);
  return { target: target.name, index, message, input: smallest };
}

/** Splits are drawn anew from the same seed, so that a shrunken input is judged alike. */
function failureOf(target: Target, input: Buffer, seed: number, index: number): string | null {
  try {
    target.check(input, new SeededRandom(seed ^ 0x5eed, index));
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Leaves out ever smaller ranges for as long as the input still fails. */
function shrink(input: Buffer, stillFails: (smaller: Buffer) => boolean): Buffer {
  let smallest = input;
  for (let size = input.length >> 1; size >= 1; size >>= 1) {
    for (let start = 0; start < smallest.length; ) {
      const smaller = Buffer.concat([smallest.subarray(0, start), smallest.subarray(start + size)]);
      if (stillFails(smaller)) smallest = smaller;
      else start += size;
    }
  }
  return smallest;
}
