import { LIMITS } from "../../core/limits.ts";
import type { HashLookup } from "./hash-lookup.ts";
import { stableHash } from "./stable-hash.ts";

/**
 * Google's Maglev table (NSDI 2016, section 3.4): every name takes its favourite free slots in turn, so all have nearly
 * the same number of them; looking up is one access. `names` must not be empty; the size is raised to a prime.
 */
export function buildMaglev(names: readonly string[], tableSize: number): HashLookup {
  const size = primeFrom(Math.min(Math.max(tableSize, names.length, 2), LIMITS.maglevSlotsMax));
  const table = new Int32Array(size).fill(FREE);
  const places = Float64Array.from(names, (name) => stableHash(name, OFFSET_SEED) % size);
  const skips = Float64Array.from(names, (name) => (stableHash(name, SKIP_SEED) % (size - 1)) + 1);
  for (let taken = 0, turn = 0; taken < size; taken++, turn = (turn + 1) % names.length) {
    let place = places[turn]!;
    while (table[place] !== FREE) place = (place + skips[turn]!) % size;
    table[place] = turn;
    places[turn] = (place + skips[turn]!) % size;
  }
  return (hash) => table[hash % size]!;
}

const FREE = -1;
const OFFSET_SEED = 0x6f666673;
const SKIP_SEED = 0x736b6970;

/** Only with a prime does every skip come by every slot. */
function primeFrom(from: number): number {
  let candidate = from;
  while (!isPrime(candidate)) candidate++;
  return candidate;
}

function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return true;
}
