import { type MetricName, METRICS } from "./metrics.ts";
import { compareSides, type LoadResult } from "./rounds.ts";
import { medianOf, type SpreadComparison, TIE_FRACTION } from "./statistics.ts";

/** What we want a ratio to be at most, and what we would like it to be. */
export interface RatioBar {
  readonly loads: readonly string[];
  readonly peers: readonly string[];
  readonly metrics: readonly MetricName[];
  readonly bar: number;
  readonly goal: number;
}

/** What is wanted of a number of our own. */
export interface OwnBar {
  readonly what: string;
  readonly metric: MetricName;
  /** Over all loads but these, or over this one alone. */
  readonly loads: { readonly only: string } | { readonly without: readonly string[] };
  readonly bar: number;
  readonly goal: number;
}

export type Verdict = "goal met" | "met" | "tie" | "missed" | "not measured";

/** One line of the table of what was wanted and what came of it. */
export interface BarLine {
  readonly what: string;
  readonly against: string;
  readonly metric: MetricName;
  readonly bar: number;
  readonly goal: number;
  readonly measured: number | null;
  readonly spread: string;
  readonly verdict: Verdict;
}

const GET = ["get-50", "get-200"];

export const RATIO_BARS: readonly RatioBar[] = [
  { loads: GET, peers: ["envoy"], metrics: ["cpuUsPerRequest"], bar: 0.5, goal: 0.3 },
  { loads: GET, peers: ["nginx"], metrics: ["cpuUsPerRequest"], bar: 0.95, goal: 0.7 },
  { loads: GET, peers: ["haproxy-h1"], metrics: ["cpuUsPerRequest"], bar: 0.85, goal: 0.6 },
  { loads: GET, peers: ["haproxy-h2"], metrics: ["cpuUsPerRequest"], bar: 1.5, goal: 1 },
  {
    loads: ["get-1", "rate-1000", "rate-4000"],
    peers: ["envoy"],
    metrics: ["cpuUsPerRequest", "p50Ms"],
    bar: 1,
    goal: 0.7,
  },
  { loads: ["grpc-unary"], peers: ["envoy"], metrics: ["cpuUsPerRequest"], bar: 0.6, goal: 0.4 },
  { loads: ["tcp-down", "tcp-up"], peers: ["haproxy-h1", "envoy"], metrics: ["cpuMsPerGiB"], bar: 0.95, goal: 0.75 },
  {
    loads: ["handshakes"],
    peers: ["haproxy-h1", "nginx", "envoy"],
    metrics: ["cpuUsPerHandshake"],
    bar: 1,
    goal: 0.8,
  },
  { loads: ["loss-0.1", "loss-1"], peers: ["envoy"], metrics: ["p99Ms"], bar: 1, goal: 0.8 },
];

export const OWN_BARS: readonly OwnBar[] = [
  { what: "RSS of a sidecar, idle", metric: "rssMiB", loads: { only: "idle" }, bar: 75, goal: 60 },
  {
    what: "RSS of a sidecar after a load, the highest",
    metric: "rssMiB",
    loads: { without: ["idle", "idle-1000"] },
    bar: 100,
    goal: 80,
  },
  { what: "from exec to listening", metric: "listeningMs", loads: { only: "start" }, bar: 150, goal: 150 },
];

/** Every wanted number beside what was measured. */
export function judge(results: readonly LoadResult[], ours: string): readonly BarLine[] {
  const compared = results.flatMap((result) => compareSides(result, ours));
  const ratios = RATIO_BARS.flatMap((wanted) =>
    wanted.loads.flatMap((load) =>
      wanted.peers.flatMap((peer) =>
        wanted.metrics.map((metric) =>
          judgeRatio(
            { load, metric, wanted },
            peer,
            compared.find((each) => each.load === load && each.peer === peer && each.metric === metric),
          ),
        ),
      ),
    ),
  );
  return [...ratios, ...OWN_BARS.map((wanted) => judgeOwn(wanted, results, ours))];
}

function judgeRatio(
  { load, metric, wanted }: { readonly load: string; readonly metric: MetricName; readonly wanted: RatioBar },
  peer: string,
  found: SpreadComparison | undefined,
): BarLine {
  const { bar, goal } = wanted;
  const measured = found?.ratio ?? null;
  const spread = found?.ratio == null ? "" : `${found.ratioMin!.toFixed(2)}-${found.ratioMax!.toFixed(2)}`;
  return {
    what: load,
    against: peer,
    metric,
    bar,
    goal,
    measured,
    spread,
    verdict: verdictOf(measured, { bar, goal }, true),
  };
}

function judgeOwn({ what, metric, loads, bar, goal }: OwnBar, results: readonly LoadResult[], ours: string): BarLine {
  const values = results
    .filter(({ load }) => ("only" in loads ? load === loads.only : !loads.without.includes(load)))
    .map(({ bySide }) => (bySide.get(ours) ?? []).map((round) => round[metric]).filter((value) => value !== undefined))
    .filter((rounds) => rounds.length > 0)
    .map(medianOf);
  const measured = values.length === 0 ? null : Math.max(...values);
  return {
    what,
    against: "",
    metric,
    bar,
    goal,
    measured,
    spread: "",
    verdict: verdictOf(measured, { bar, goal }, false),
  };
}

/** A ratio near one that should be at most one is no miss that could be told from none. */
function verdictOf(measured: number | null, { bar, goal }: { bar: number; goal: number }, isRatio: boolean): Verdict {
  if (measured === null || !Number.isFinite(measured)) return "not measured";
  if (measured <= goal) return "goal met";
  if (measured <= bar) return "met";
  return isRatio && bar === 1 && measured - 1 < TIE_FRACTION ? "tie" : "missed";
}

/** The table in Markdown. */
export function formatBar(lines: readonly BarLine[]): string {
  const rows = lines.map(({ what, against, metric, bar, goal, measured, spread, verdict }) => {
    const digits = against === "" ? 0 : 2;
    const shown = measured === null ? "" : `${measured.toFixed(digits)}${spread === "" ? "" : ` (${spread})`}`;
    return `| ${what} | ${against} | ${METRICS[metric].unit} | ${bar} | ${goal} | ${shown} | ${verdict} |`;
  });
  const header = "| load | against | metric | at most | goal | measured | |\n|---|---|---|---|---|---|---|";
  return [header, ...rows].join("\n");
}
