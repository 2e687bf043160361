import { type MetricName, METRICS } from "./metrics.ts";
import { compareSides, type LoadResult, metricsOf } from "./rounds.ts";
import { type Comparison, medianOf, type SpreadComparison, spreadOf, verdictOf } from "./statistics.ts";

const MARKS = { better: "+", tie: "=", worse: "-", unknown: "?" } as const;

/** One table in Markdown: a row for each load and metric, ours, and each peer with the ratio of ours to it. */
export function formatTable(results: readonly LoadResult[], ours: string, peers: readonly string[]): string {
  const header = ["load", "metric", ours, ...peers.map((peer) => `${peer} (ratio)`)];
  const rows = results.flatMap((result) => formatLoad(result, ours, peers));
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  return [line(header), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

function formatLoad(result: LoadResult, ours: string, peers: readonly string[]): readonly (readonly string[])[] {
  const own = result.bySide.get(ours);
  if (own === undefined) return [[result.summary, "left out", "", ...peers.map(() => "")]];
  const comparisons = compareSides(result, ours);
  return metricsOf(own).map((metric) => [
    result.summary,
    METRICS[metric].unit,
    formatValues(
      metric,
      own.map((round) => round[metric]!),
    ),
    ...peers.map((peer) => {
      const found = comparisons.find((each) => each.peer === peer && each.metric === metric);
      return found === undefined ? "none" : formatPeer(metric, found);
    }),
  ]);
}

/** The median, and ± half the distance of lowest and highest. */
function formatValues(metric: MetricName, values: readonly number[]): string {
  const median = medianOf(values).toFixed(METRICS[metric].digits);
  return values.length === 1 ? median : `${median} ±${Math.round(spreadOf(values) * 100)} %`;
}

/** Theirs, the ratio of ours to it, its lowest and highest, and whether that is good: + = - */
function formatPeer(metric: MetricName, found: SpreadComparison): string {
  const theirs = found.theirs.toFixed(METRICS[metric].digits);
  if (found.ratio === null) return `${theirs} (none)`;
  const mark = MARKS[verdictOf(found.ratio, METRICS[metric].better)];
  const spread = found.rounds === 1 ? "" : ` ${found.ratioMin!.toFixed(2)}-${found.ratioMax!.toFixed(2)}`;
  return `${theirs} (${found.ratio.toFixed(2)}${mark}${spread})`;
}

/** What `--json FILE` holds. */
export function comparisonsOf(results: readonly LoadResult[], ours: string): readonly Comparison[] {
  return results
    .flatMap((result) => compareSides(result, ours))
    .map(({ load, peer, metric, ours: own, theirs, ratio, rounds }) => ({
      load,
      peer,
      metric,
      ours: own,
      theirs,
      ratio,
      rounds,
    }));
}
