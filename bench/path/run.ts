import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseBenchArguments, USAGE } from "./arguments.ts";
import { type Child, runToEnd, startChild } from "./child.ts";
import { assertEnforces } from "./first-answer.ts";
import { LOADS } from "./loads.ts";
import { buildOurs, openOurs } from "./ours.ts";
import { findPeer, openPeer, PEERS } from "./peers.ts";
import { comparisonsOf, formatTable } from "./report.ts";
import { type LoadResult, measureIdle, runLoad, takesPart } from "./rounds.ts";
import type { Backends, RunningSide } from "./side.ts";

// Sidecar pairs beside each other: `npm run bench`. See bench/README.md.

const OURS = "cardea";
const WARM_UP = [
  { loadName: "get-50", seconds: 5 },
  { loadName: "tcp-bulk", seconds: 1 },
];
const BACKEND_TIMEOUT_MS = 10_000;

type Report = (line: string) => void;
const report: Report = (line) => void process.stderr.write(`${line}\n`);

/** Starts our mesh and every peer that is there. A peer that is not, or does not start, is told and left out. */
async function openSides(
  directory: string,
  backends: Backends,
  peerNames: readonly string[],
  opened: RunningSide[],
): Promise<void> {
  const settingOf = (name: string): { directory: string; backends: Backends } => {
    mkdirSync(join(directory, name));
    return { directory: join(directory, name), backends };
  };
  opened.push(await openOurs(settingOf(OURS)));
  for (const peer of PEERS.filter(({ name }) => peerNames.includes(name))) {
    const found = findPeer(peer);
    if ("absent" in found) {
      report(`${peer.name} is skipped: ${found.absent}`);
      continue;
    }
    try {
      opened.push(await openPeer(peer, found, settingOf(peer.name)));
      if (!peer.hasTcp)
        report(`${peer.name} takes no part in TCP: its TCP side is a module that many builds leave out`);
    } catch (error) {
      report(`${peer.name} is skipped, it did not start: ${String(error)}`);
    }
  }
  for (const side of opened) await assertEnforces(side.name, side.httpPort);
}

/** The processes that stand behind all sides. */
async function openBackends(directory: string): Promise<{ readonly child: Child; readonly backends: Backends }> {
  const logFile = join(directory, "backend.log");
  const child = startChild(process.execPath, [join(import.meta.dirname, "backend.ts")], logFile);
  const untilMs = performance.now() + BACKEND_TIMEOUT_MS;
  while (!readFileSync(logFile, "utf8").includes("}\n")) {
    if (child.hasEnded() || performance.now() > untilMs) throw new Error(`no backend: ${child.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return { child, backends: JSON.parse(readFileSync(logFile, "utf8")) as Backends };
}

/** Unmeasured: code that is compiled as it runs is not at its speed at once, and connections have to be opened. */
async function warmUp(sides: readonly RunningSide[]): Promise<void> {
  for (const { loadName, seconds } of WARM_UP) {
    const load = LOADS.find(({ name }) => name === loadName)!;
    for (const side of sides.filter((each) => takesPart(load, each))) await load.drive(side, seconds);
  }
}

function loadText(): string {
  return `load average ${loadavg()
    .map((value) => value.toFixed(1))
    .join(" ")} on ${availableParallelism()} cores`;
}

async function main(): Promise<void> {
  const known = { loads: LOADS.map(({ name }) => name), peers: PEERS.map(({ name }) => name) };
  const wanted = parseBenchArguments(process.argv.slice(2), known);
  const machine = loadText();
  await runToEnd("sh", ["-c", "command -v wrk"], BACKEND_TIMEOUT_MS).catch(() => {
    throw new Error("the bench needs wrk, which most distributions have as a package of that name");
  });
  report("building");
  buildOurs();
  const directory = mkdtempSync(join(tmpdir(), "cardea-bench-"));
  const sides: RunningSide[] = [];
  let backend: Child | null = null;
  const close = async (): Promise<void> => {
    await Promise.all(sides.map((side) => side.close()));
    await backend?.close();
    rmSync(directory, { recursive: true, force: true });
  };
  const interrupt = (): void => void close().then(() => process.exit(130));
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  try {
    const opened = await openBackends(directory);
    backend = opened.child;
    await openSides(directory, opened.backends, wanted.peers, sides);
    for (const side of sides) report(`${side.name} ${side.version}`);
    const results: LoadResult[] = [...measureIdle(sides)];
    report("warming up");
    await warmUp(sides);
    for (const load of LOADS.filter(({ name }) => wanted.loads.includes(name))) {
      report(load.summary);
      results.push(await runLoad(load, sides, { ...wanted, report }));
    }
    const peers = sides.map((side) => side.name).filter((name) => name !== OURS);
    process.stdout.write(`${formatTable(results, OURS, peers)}\n`);
    report(`${wanted.rounds} rounds of ${wanted.secondsPerRound} s; ${machine} before, ${loadText()} after`);
    if (wanted.jsonFile !== null)
      writeFileSync(wanted.jsonFile, `${JSON.stringify(comparisonsOf(results, OURS), null, 2)}\n`);
  } finally {
    await close();
  }
}

try {
  await main();
} catch (error) {
  report(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  process.exitCode = 2;
}
