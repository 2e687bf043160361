import { expect, test } from "vitest";
import { compareRounds, medianOf, percentileOf, spreadOf, verdictOf } from "../../../bench/path/statistics.ts";

test.each([
  [[], Number.NaN],
  [[3], 3],
  [[9, 1, 5], 5],
  [[4, 1, 3, 2], 2.5],
  // As numbers, not as texts.
  [[10, 9, 100], 10],
])("the median of %j is %j", (values, median) => {
  expect(medianOf(values)).toBe(median);
});

test("a median leaves the rounds in their order", () => {
  const rounds = [3, 1, 2];
  medianOf(rounds);
  expect(rounds).toEqual([3, 1, 2]);
});

const HUNDRED = Array.from({ length: 100 }, (_, i) => 100 - i);

test.each([
  [HUNDRED, 0.5, 50],
  [HUNDRED, 0.99, 99],
  [HUNDRED, 1, 100],
  [HUNDRED, 0, 1],
  [[7], 0.99, 7],
  [[], 0.5, Number.NaN],
])("a percentile is a value that was measured", (values, fraction, expected) => {
  expect(percentileOf(values, fraction)).toBe(expected);
});

test("the spread is half of what lies between the rounds, as a part of the median", () => {
  expect(spreadOf([90, 100, 110])).toBeCloseTo(0.1);
  expect(spreadOf([5])).toBe(0);
  expect(spreadOf([0, 0])).toBe(0);
});

const NAMES = { load: "get-1", peer: "nginx", metric: "p50Ms" };

test("the ratio is the median of the rounds' ratios, not the ratio of the medians", () => {
  // In the third round something else ran on the machine, and both took ten times as long.
  const compared = compareRounds(NAMES, [10, 22, 300], [10, 20, 100]);
  expect(compared).toMatchObject({ ours: 22, theirs: 20, rounds: 3, ratioMin: 1, ratioMax: 3 });
  expect(compared.ratio).toBeCloseTo(1.1);
});

test("a round that only one side has is not compared", () => {
  expect(compareRounds(NAMES, [10, 20, 999], [10, 10])).toMatchObject({ ours: 15, theirs: 10, ratio: 1.5, rounds: 2 });
});

test("nothing is divided by zero", () => {
  expect(compareRounds(NAMES, [10], [0])).toMatchObject({ ratio: null, ratioMin: null, ratioMax: null, rounds: 1 });
});

test.each([
  [0.89, "lower", "better"],
  [0.91, "lower", "tie"],
  [1.09, "lower", "tie"],
  [1.11, "lower", "worse"],
  [0.89, "higher", "worse"],
  [1.11, "higher", "better"],
  [1, "higher", "tie"],
  [null, "lower", "unknown"],
  [Number.NaN, "lower", "unknown"],
] as const)("a ratio of %j where %s is better is called %s", (ratio, better, verdict) => {
  expect(verdictOf(ratio, better)).toBe(verdict);
});
