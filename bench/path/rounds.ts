import { type Load, readSidecarRssMiB } from "./loads.ts";
import { type Measured, type MetricName, METRICS } from "./metrics.ts";
import { measureNoiseMs } from "./noise.ts";
import type { RunningSide } from "./side.ts";
import { measureStart } from "./start.ts";
import { compareRounds, type SpreadComparison } from "./statistics.ts";

/** All rounds of one load: of each side that took part, what each round came to. */
export interface LoadResult {
  readonly load: string;
  readonly summary: string;
  readonly bySide: ReadonlyMap<string, readonly Measured[]>;
  /** The fixed loop's time before each side's turn, ms. */
  readonly noiseMs: readonly number[];
}

export interface RoundOptions {
  readonly rounds: number;
  readonly secondsPerRound: number;
  readonly report: (line: string) => void;
}

/** What needs no client: starting, and being there. */
export const START_LOAD: Load = {
  name: "start",
  summary: "start of the caller's sidecar",
  carried: "any",
  quickPeers: ["envoy", "haproxy-h1", "haproxy-h2", "nginx"],
  secondsMin: 1,
  measure: (side) => measureStart(side),
};

/** Before anything is asked of the sides. */
export function measureIdle(sides: readonly RunningSide[]): LoadResult {
  return {
    load: "idle",
    summary: "idle",
    bySide: new Map(sides.map((side) => [side.name, [{ rssMiB: readSidecarRssMiB(side, carriedBy(side)) }]])),
    noiseMs: [],
  };
}

function carriedBy(side: RunningSide): "http" | "tcp" {
  return side.ports.http === null ? "tcp" : "http";
}

/**
 * Gives a load to one side after the other, round by round, each round beginning with another side: what the machine
 * does meanwhile hits all alike. A side that fails requests is out: its numbers would be of other work.
 */
export async function runLoad(load: Load, sides: readonly RunningSide[], options: RoundOptions): Promise<LoadResult> {
  const bySide = new Map<string, Measured[]>(sides.map((side) => [side.name, []]));
  const noiseMs: number[] = [];
  const seconds = Math.max(load.secondsMin, options.secondsPerRound);
  for (let round = 0; round < options.rounds; round++) {
    for (let i = 0; i < sides.length; i++) {
      const side = sides[(i + round) % sides.length]!;
      const measured = bySide.get(side.name);
      if (measured === undefined) continue;
      noiseMs.push(measureNoiseMs());
      const result = await load.measure(side, seconds);
      if (typeof result !== "string") {
        measured.push(result);
        continue;
      }
      options.report(`${load.name}: ${side.name} is left out: ${result}`);
      bySide.delete(side.name);
    }
  }
  return { load: load.name, summary: load.summary, bySide, noiseMs };
}

/** Ours beside each peer, by metric. Nothing where ours or the peer is left out. */
export function compareSides({ load, bySide }: LoadResult, ours: string): readonly SpreadComparison[] {
  const own = bySide.get(ours);
  if (own === undefined) return [];
  return [...bySide].flatMap(([peer, theirs]) =>
    peer === ours
      ? []
      : metricsOf(own).map((metric) =>
          compareRounds(
            { load, peer, metric },
            own.map((round) => round[metric]!),
            theirs.map((round) => round[metric]!),
          ),
        ),
  );
}

/** The metrics that these rounds have, in the order of the table. */
export function metricsOf(rounds: readonly Measured[]): readonly MetricName[] {
  return (Object.keys(METRICS) as MetricName[]).filter((name) => rounds[0]?.[name] !== undefined);
}
