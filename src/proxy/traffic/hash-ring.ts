import { LIMITS } from "../../core/limits.ts";
import type { HashLookup } from "./hash-lookup.ts";
import { stableHash } from "./stable-hash.ts";

/**
 * Ketama's ring: each name stands at many points of a circle, and a key belongs to the next point. A name that leaves
 * moves its own keys alone. `names` must not be empty.
 */
export function buildHashRing(names: readonly string[], minimumSize: number): HashLookup {
  const each = pointsOfEach(names.length, minimumSize);
  const points = new Float64Array(names.length * each);
  let next = 0;
  for (const [index, name] of names.entries()) {
    // Hash and owner in one number, so that sorting the one sorts the other: 32 bits above, 20 below.
    for (let i = 0; i < each; i++) points[next++] = stableHash(`${name}_${i}`) * OWNERS + index;
  }
  points.sort();
  return (hash) => ownerOf(points[firstAtOrAfter(points, hash * OWNERS)] ?? points[0]!);
}

const OWNERS = 2 ** 20;

/** The same for all numbers of names but the smallest: were it a quotient, every name's points would change with each. */
function pointsOfEach(count: number, minimumSize: number): number {
  const wanted = 2 ** Math.ceil(Math.log2(Math.max(1, minimumSize / count)));
  return Math.max(1, Math.min(Math.max(POINTS_EACH, wanted), Math.floor(LIMITS.hashRingPointsMax / count)));
}

const POINTS_EACH = 256;

function ownerOf(point: number): number {
  return point % OWNERS;
}

function firstAtOrAfter(points: Float64Array, wanted: number): number {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (points[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
