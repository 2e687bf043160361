import { type Load, type Measured, type MetricName, METRICS, STILL_LOADS } from "./loads.ts";
import { readCpuMs, readRssMiB } from "./process-times.ts";
import type { RunningSide } from "./side.ts";
import { compareRounds, type SpreadComparison } from "./statistics.ts";

/** All rounds of one load: of each side that took part, what each round came to. */
export interface LoadResult {
  readonly load: string;
  readonly summary: string;
  readonly bySide: ReadonlyMap<string, readonly Measured[]>;
}

/** Before anything is asked of the sides. */
export function measureIdle(sides: readonly RunningSide[]): readonly LoadResult[] {
  const still = (name: keyof typeof STILL_LOADS, measure: (side: RunningSide) => Measured): LoadResult => ({
    load: name,
    summary: STILL_LOADS[name],
    bySide: new Map(sides.map((side) => [side.name, [measure(side)]])),
  });
  return [
    still("start", (side) => ({ readyMs: side.readyMs })),
    still("idle", (side) => ({ rssMiB: readSidecarRssMiB(side, "http") })),
  ];
}

/**
 * Gives a load to one side after the other, round by round, each round beginning with another side: what the machine
 * does meanwhile hits all alike. A side that fails requests is out: its numbers would be of other work.
 */
export async function runLoad(
  load: Load,
  sides: readonly RunningSide[],
  options: { readonly rounds: number; readonly secondsPerRound: number; readonly report: (line: string) => void },
): Promise<LoadResult> {
  const taking = sides.filter((side) => takesPart(load, side));
  const bySide = new Map<string, Measured[]>(taking.map((side) => [side.name, []]));
  for (let round = 0; round < options.rounds; round++) {
    for (let i = 0; i < taking.length; i++) {
      const side = taking[(i + round) % taking.length]!;
      const measured = bySide.get(side.name);
      if (measured === undefined) continue;
      const result = await runRound(load, side, options.secondsPerRound);
      if (typeof result !== "string") {
        measured.push(result);
        continue;
      }
      options.report(`${load.name}: ${side.name} is left out: ${result}`);
      bySide.delete(side.name);
    }
  }
  return { load: load.name, summary: load.summary, bySide };
}

/** Whether the side can do this kind of load at all. */
export function takesPart(load: Load, side: RunningSide): boolean {
  return load.kind === "http" || side.tcpPort !== null;
}

async function runRound(load: Load, side: RunningSide, seconds: number): Promise<Measured | string> {
  const pids = side.pids(load.kind);
  const beforeMs = readCpuMs(pids);
  const counted = await load.drive(side, seconds);
  const cpuMs = readCpuMs(pids) - beforeMs;
  if (counted.failed > 0) return `${counted.failed} failed of ${counted.requests ?? "its connections"}`;
  if ((counted.requests ?? counted.bytes) === 0) return "nothing came through";
  return { ...load.metrics(counted, cpuMs), rssMiB: readSidecarRssMiB(side, load.kind) };
}

/** Half of the pair's. */
function readSidecarRssMiB(side: RunningSide, kind: "http" | "tcp"): number {
  const pids = side.pids(kind);
  return readRssMiB(pids) / pids.length;
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
