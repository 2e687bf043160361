import { expect, test } from "vitest";
import { slopeOf } from "../../../bench/path/slope.ts";
import { describeSoak, summarizeMemory } from "../../../bench/path/soak.ts";

test.each([
  [[], 0],
  [[{ x: 1, y: 5 }], 0],
  // All at one time.
  [
    [
      { x: 1, y: 5 },
      { x: 1, y: 9 },
    ],
    0,
  ],
  [
    [
      { x: 0, y: 1 },
      { x: 1, y: 3 },
      { x: 2, y: 5 },
    ],
    2,
  ],
  // What goes up and comes down again is no growth.
  [
    [
      { x: 0, y: 0 },
      { x: 1, y: 9 },
      { x: 2, y: 0 },
    ],
    0,
  ],
])("the slope of %j is %d", (points, slope) => {
  expect(slopeOf(points)).toBeCloseTo(slope);
});

/** 50 MiB at once, then one MiB more each minute. */
const GROWING = Array.from({ length: 600 }, (_, second) => ({ second, rssMiB: second < 60 ? 10 : 50 + second / 60 }));

test("a sidecar that grows is told by its slope and its halves, its warm-up left out", () => {
  const memory = summarizeMemory("caller", GROWING);
  expect(memory.slopeMiBPerMinute).toBeCloseTo(1);
  expect(memory.firstHalfMiB).toBeCloseTo(50 + 194.5 / 60);
  expect(memory.secondHalfMiB).toBeCloseTo(50 + 464.5 / 60);
});

test("a soak says what failed", () => {
  const text = describeSoak({
    minutes: 10,
    requests: 1_000,
    failed: 3,
    firstFailure: "grpc-status 14",
    policiesWritten: 119,
    policyRevisionsSeen: 118,
    renewalsAsked: 59,
    certificatesSeen: { caller: 60 },
    memory: [summarizeMemory("caller", GROWING)],
  });
  expect(text).toContain("**3 failed** (grpc-status 14)");
  expect(text).toContain("| caller | 53 | 58 | 1.00 | 60 | 60 |");
});
