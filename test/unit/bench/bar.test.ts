import { expect, test } from "vitest";
import { type BarLine, formatBar, judge, OWN_BARS, RATIO_BARS } from "../../../bench/path/bar.ts";
import { LOADS, LOSS_LOADS } from "../../../bench/path/loads.ts";
import type { Measured } from "../../../bench/path/metrics.ts";
import { PEERS } from "../../../bench/path/peers.ts";
import { type LoadResult, START_LOAD } from "../../../bench/path/rounds.ts";

function resultOf(load: string, bySide: Readonly<Record<string, readonly Measured[]>>): LoadResult {
  return { load, summary: load, bySide: new Map(Object.entries(bySide)), noiseMs: [] };
}

function cpu(values: readonly number[]): readonly Measured[] {
  return values.map((cpuUsPerRequest) => ({ cpuUsPerRequest }));
}

function rss(load: string, rssMiB: number): LoadResult {
  return resultOf(load, { ours: [{ rssMiB }] });
}

/** The line on the processor time of 50 connections, ours against Envoy's, as the rounds come to. */
function lineFor(ours: readonly number[], theirs: readonly number[]): BarLine {
  const lines = judge([resultOf("get-50", { ours: cpu(ours), envoy: cpu(theirs) })], "ours");
  return lines.find(({ what, against }) => what === "get-50" && against === "envoy")!;
}

test.each([
  [60, "missed"],
  [51, "missed"],
  [50, "met"],
  [31, "met"],
  [30, "goal met"],
])("%i to a hundred, where half is wanted and 0.3 is the goal, is %s", (ours, verdict) => {
  expect(lineFor([ours, ours, ours], [100, 100, 100])).toMatchObject({ bar: 0.5, goal: 0.3, verdict });
});

test.each([
  [90, "met"],
  [109, "tie"],
  [111, "missed"],
])("%i to a hundred, where no more is wanted, is %s", (p50Ms, verdict) => {
  const lines = judge([resultOf("get-1", { ours: [{ p50Ms }], envoy: [{ p50Ms: 100 }] })], "ours");
  expect(lines.find(({ what, metric }) => what === "get-1" && metric === "p50Ms")).toMatchObject({ verdict });
});

test("what was not measured is neither met nor missed", () => {
  const lines = judge([], "ours");
  expect(lines.length).toBeGreaterThan(20);
  expect(new Set(lines.map(({ verdict }) => verdict))).toEqual(new Set(["not measured"]));
  const lonely = judge([resultOf("get-50", { envoy: [{ cpuUsPerRequest: 1 }] })], "ours");
  expect(new Set(lonely.map(({ verdict }) => verdict))).toEqual(new Set(["not measured"]));
});

test("memory after a load is the worst load's, and that at rest does not count for it", () => {
  const lines = judge([rss("idle", 70), rss("get-1", 90), rss("get-50", 101), rss("idle-1000", 300)], "ours");
  expect(lines.filter(({ metric }) => metric === "rssMiB")).toMatchObject([
    { measured: 70, bar: 75, verdict: "met" },
    { measured: 101, bar: 100, verdict: "missed" },
  ]);
});

test("the table shows the ratio with its rounds, and the verdict", () => {
  const text = formatBar([lineFor([60, 50, 40], [100, 100, 100])]);
  expect(text).toContain("| get-50 | envoy | µs CPU a request | 0.5 | 0.3 | 0.50 (0.40-0.60) | met |");
});

test("the bar names loads and peers that there are, and a quick run compares with them", () => {
  const loads = [START_LOAD, ...LOADS, ...LOSS_LOADS];
  const peers = PEERS.map(({ name }) => name);
  for (const wanted of RATIO_BARS) {
    for (const name of wanted.loads) {
      const load = loads.find((each) => each.name === name);
      expect(load?.quickPeers).toEqual(expect.arrayContaining([...wanted.peers]));
    }
    expect(peers).toEqual(expect.arrayContaining([...wanted.peers]));
  }
  expect(OWN_BARS.map(({ metric }) => metric)).toEqual(["rssMiB", "rssMiB", "listeningMs"]);
});
