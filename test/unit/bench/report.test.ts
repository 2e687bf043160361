import { expect, test } from "vitest";
import { describeNoise } from "../../../bench/path/noise.ts";
import { comparisonsOf, formatTable } from "../../../bench/path/report.ts";
import type { LoadResult } from "../../../bench/path/rounds.ts";

const RESULT: LoadResult = {
  load: "get-1",
  summary: "GET, one connection",
  bySide: new Map([
    ["ours", [{ cpuUsPerRequest: 50 }, { cpuUsPerRequest: 60 }]],
    ["envoy", [{ cpuUsPerRequest: 100 }, { cpuUsPerRequest: 100 }]],
  ]),
  noiseMs: [],
};

test("a row has our median with its spread, theirs, and the ratio with its rounds; a peer that has no part is none", () => {
  const rows = formatTable([RESULT], "ours", ["envoy", "nginx"]).split("\n");
  expect(rows).toHaveLength(3);
  expect(rows[2]!.split("|").map((cell) => cell.trim())).toEqual([
    "",
    "GET, one connection",
    "µs CPU a request",
    "55.0 ±9 %",
    "100.0 (0.55+ 0.50-0.60)",
    "none",
    "",
  ]);
});

test("a load that we failed is a row that says so, and no comparison", () => {
  const failed = { ...RESULT, bySide: new Map([["envoy", RESULT.bySide.get("envoy")!]]) };
  expect(formatTable([failed], "ours", ["envoy"])).toContain("left out");
  expect(comparisonsOf([failed], "ours")).toEqual([]);
});

test("the file holds the seven fields and no others", () => {
  expect(comparisonsOf([RESULT], "ours")).toEqual([
    { load: "get-1", peer: "envoy", metric: "cpuUsPerRequest", ours: 55, theirs: 100, ratio: 0.55, rounds: 2 },
  ]);
});

test("the noise is told by its middle and its ends", () => {
  expect(describeNoise([20, 31, 19])).toBe("20.0 ms (19.0 to 31.0 in 3 rounds)");
  expect(describeNoise([])).toBe("not measured");
});
