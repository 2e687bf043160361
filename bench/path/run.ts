import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CompareArguments,
  parseBenchArguments,
  type SoakArguments,
  type TelemetryArguments,
  USAGE,
} from "./arguments.ts";
import { formatBar, judge } from "./bar.ts";
import { endAll } from "./child.ts";
import { compareAll } from "./compare.ts";
import { LOADS, LOSS_LOADS } from "./loads.ts";
import { runLossLoads } from "./loss.ts";
import { describeLoadAverage, describeMachine } from "./machine.ts";
import { describeNoise } from "./noise.ts";
import { buildOurs, OURS, OURS_DOES } from "./ours.ts";
import { PEERS } from "./peers.ts";
import { fetchPackaged, findProgram } from "./programs.ts";
import { chooseRounds, type TurnTime } from "./quick-budget.ts";
import { writeReadmeSection } from "./readme.ts";
import { comparisonsOf, formatTable } from "./report.ts";
import { type LoadResult, START_LOAD } from "./rounds.ts";
import type { RunningSide } from "./side.ts";
import { describeSoak, type SoakResult, soak } from "./soak.ts";
import { formatTelemetry, measureTelemetry } from "./telemetry.ts";

// Sidecar pairs beside each other, or ours alone for long: `npm run bench`. See bench/README.md.

const report = (line: string): void => void process.stderr.write(`${line}\n`);

/** wrk is found like the peers, and nothing can be measured without it. */
async function findWrk(): Promise<void> {
  const wrk = await findProgram({
    name: "wrk",
    variable: "WRK",
    versionWords: ["-v"],
    versionPattern: /wrk (\S+)/,
    fetch: () => fetchPackaged("wrk", ["wrk"]),
  });
  if ("absent" in wrk) throw new Error(`the bench needs wrk: ${wrk.absent}`);
  process.env["WRK"] = wrk.program;
}

async function compare(wanted: CompareArguments, directory: string): Promise<void> {
  const before = describeLoadAverage();
  const beganMs = performance.now();
  const { results, sides, turnTime } = await compareAll(wanted, directory, report);
  const all = [...results, ...(await runLoss({ ...wanted, turnTime }, directory, sides))];
  const versions = sides.map(({ name, version }) => `${name} ${version}`);
  const peers = sides.map(({ name }) => name).filter((name) => name !== OURS);
  const how = [
    `${new Date().toISOString().slice(0, 10)}, ${wanted.rounds} rounds of ${wanted.secondsPerRound} s${wanted.isQuick ? ` (--quick)` : ""}, ${describeMachine()};`,
    `${before} before, ${describeLoadAverage()} after; a fixed piece of work took`,
    `${describeNoise(all.flatMap(({ noiseMs }) => noiseMs))}.`,
    `${versions.join("; ")}. On in ours: ${OURS_DOES}.`,
  ].join("\n");
  const bar = judge(all, OURS);
  const text = `${how}\n\n${formatTable(all, OURS, peers)}\n\nWhat is wanted, and what came of it:\n\n${formatBar(bar)}`;
  process.stdout.write(`${text}\n`);
  report(`it took ${((performance.now() - beganMs) / 1_000).toFixed(0)} s`);
  if (wanted.jsonFile !== null) writeJson(wanted.jsonFile, comparisonsOf(all, OURS));
  if (wanted.isForReadme) writeReadmeSection("table", text);
}

async function runLoss(
  wanted: CompareArguments & { readonly turnTime: TurnTime },
  directory: string,
  sides: readonly RunningSide[],
): Promise<readonly LoadResult[]> {
  const names = LOSS_LOADS.map(({ name }) => name).filter((name) => wanted.loads.includes(name));
  if (names.length === 0) return [];
  const loads = LOSS_LOADS.filter(({ name }) => names.includes(name));
  const rounds = chooseRounds(loads, sides, wanted);
  const results = await runLossLoads({ ...wanted, rounds }, directory);
  if (!("absent" in results)) return results;
  report(`${names.join(", ")}: skipped: ${results.absent}`);
  return [];
}

async function soakOurs(wanted: SoakArguments, directory: string): Promise<void> {
  const result: SoakResult = await soak(wanted.minutes, directory, report);
  const text = `${new Date().toISOString().slice(0, 10)}, ${describeMachine()}, ${describeLoadAverage()} after.\n\n${describeSoak(result)}`;
  process.stdout.write(`${text}\n`);
  if (wanted.jsonFile !== null) writeJson(wanted.jsonFile, result);
  if (wanted.isForReadme) writeReadmeSection("soak", text);
  if (result.failed > 0) process.exitCode = 1;
}

async function compareTelemetry(wanted: TelemetryArguments, directory: string): Promise<void> {
  const { rounds, secondsPerRound: seconds } = wanted;
  const costs = await measureTelemetry({ rounds, seconds, connections: 50, directory, report });
  const about = `${new Date().toISOString().slice(0, 10)}, GET 1 KiB, 50 connections, ${rounds} rounds of ${seconds} s, ${describeMachine()}, ${describeLoadAverage()} after.`;
  const text = `${about}\n\n${formatTelemetry(costs)}`;
  process.stdout.write(`${text}\n`);
  if (wanted.jsonFile !== null) writeJson(wanted.jsonFile, costs);
  if (wanted.isForReadme) writeReadmeSection("telemetry", text);
}

function writeJson(file: string, value: unknown): void {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}

async function main(): Promise<void> {
  const known = {
    loads: [START_LOAD, ...LOADS, ...LOSS_LOADS].map(({ name }) => name),
    peers: PEERS.map(({ name }) => name),
  };
  const wanted = parseBenchArguments(process.argv.slice(2), known);
  await findWrk();
  report("building");
  buildOurs();
  const directory = mkdtempSync(join(tmpdir(), "cardea-bench-"));
  // Keys lie in there: they go however the bench ends.
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  if (wanted.task === "soak") await soakOurs(wanted, directory);
  else if (wanted.task === "telemetry") await compareTelemetry(wanted, directory);
  else await compare(wanted, directory);
}

process.once("SIGINT", () => void endAll().then(() => process.exit(130)));
process.once("SIGTERM", () => void endAll().then(() => process.exit(143)));
try {
  await main();
} catch (error) {
  report(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  process.exitCode = 2;
}
