/** One number of one load, side by side: what the JSON file is a list of. */
export interface Comparison {
  readonly load: string;
  readonly peer: string;
  readonly metric: string;
  /** Medians over the rounds. */
  readonly ours: number;
  readonly theirs: number;
  /** Median of the rounds' own ratios, ours to theirs; null where theirs is zero. */
  readonly ratio: number | null;
  readonly rounds: number;
}

/** A comparison with how far its rounds lie apart. */
export interface SpreadComparison extends Comparison {
  readonly ratioMin: number | null;
  readonly ratioMax: number | null;
}

/** Below this the two are called equal: rounds on a busy machine differ by as much. */
export const TIE_FRACTION = 0.1;

/** The middle one; of an even count the mean of the two in the middle. NaN for none. */
export function medianOf(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The smallest value that at least this fraction of all values does not exceed (nearest rank). NaN for none. */
export function percentileOf(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(fraction * sorted.length) - 1)] ?? Number.NaN;
}

/** Half of the distance from the lowest to the highest, as a fraction of the median: the ± of a cell. */
export function spreadOf(values: readonly number[]): number {
  const median = medianOf(values);
  return median === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / 2 / median;
}

/** Round i of ours against round i of theirs, so that what the machine did at that time hits both. */
export function compareRounds(
  names: Pick<Comparison, "load" | "peer" | "metric">,
  ours: readonly number[],
  theirs: readonly number[],
): SpreadComparison {
  const rounds = Math.min(ours.length, theirs.length);
  const pairs = Array.from({ length: rounds }, (_, i) => ({ ours: ours[i]!, theirs: theirs[i]! }));
  const ratios = pairs.filter((pair) => pair.theirs !== 0).map((pair) => pair.ours / pair.theirs);
  return {
    ...names,
    ours: medianOf(pairs.map((pair) => pair.ours)),
    theirs: medianOf(pairs.map((pair) => pair.theirs)),
    ratio: ratios.length === 0 ? null : medianOf(ratios),
    ratioMin: ratios.length === 0 ? null : Math.min(...ratios),
    ratioMax: ratios.length === 0 ? null : Math.max(...ratios),
    rounds,
  };
}

/** What a ratio says; `lower` where less is better. */
export function verdictOf(ratio: number | null, better: "lower" | "higher"): "better" | "tie" | "worse" | "unknown" {
  if (ratio === null || !Number.isFinite(ratio)) return "unknown";
  if (Math.abs(ratio - 1) < TIE_FRACTION) return "tie";
  return ratio < 1 === (better === "lower") ? "better" : "worse";
}
