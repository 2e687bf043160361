import { expect, test } from "vitest";
import { EDGE_LATENCY_BOUNDS_MS, latencyQuantileMs } from "../../../../src/control/flows/query.ts";

function counts(byBucket: Readonly<Record<number, number>>): readonly number[] {
  return Array.from({ length: EDGE_LATENCY_BOUNDS_MS.length + 1 }, (_, i) => byBucket[i] ?? 0);
}

test.each([
  ["of nothing", {}, 0.5, null],
  ["within one bucket, in proportion", { 3: 10 }, 0.5, 3.5],
  ["of the first bucket", { 0: 4 }, 1, 0.5],
  ["over two buckets", { 1: 50, 4: 50 }, 0.99, 9.9],
  ["at a bucket's edge", { 1: 50, 4: 50 }, 0.5, 1],
  ["beyond the last bound is the bound", { 14: 3 }, 0.5, 10_000],
])("a quantile %s", (_name, byBucket, quantile, expected) => {
  const found = latencyQuantileMs(counts(byBucket), quantile);
  if (expected === null) expect(found).toBeNull();
  else expect(found).toBeCloseTo(expected, 6);
});
