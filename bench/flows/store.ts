import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { collectLogs } from "../../src/control/flows/collect.ts";
import { FlowStore } from "../../src/control/flows/store.ts";
import { openDatabaseFiles } from "../../src/io/database-files.ts";
import { openDatabase } from "../../src/io/sqlite.ts";
import { batchRequest } from "./batch-request.ts";
import { sampleFlows } from "./sample-flows.ts";

// The flow store by itself: how many flows it takes in a second of one core's time (stored alone, and read from OTLP as
// well), what they take on the disk with all indexes, and how long the map's questions take. Run:
// node bench/flows/store.ts [FLOWS] [SERVICES]. Nothing fails here.

const FLOWS = Number(process.argv[2] ?? 200_000);
const SERVICES = Number(process.argv[3] ?? 500);
const BATCH = 1_000;
/** The flows are spread over a day. */
const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2026, 10, 22);

const directory = mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), "cardea-flows-"));
let nowMs = START_MS;
const store = new FlowStore({
  files: openDatabaseFiles(directory, ".db"),
  retentionMs: 8 * DAY_MS,
  bytesMax: 1e11,
  nowMs: () => nowMs,
  log: (level, event) => process.stderr.write(`${level} ${event}\n`),
});

const make = sampleFlows({ services: SERVICES, callsPerService: 3 });
let spentStoring = 0;
let spentReading = 0;
for (let done = 0; done < FLOWS; done += BATCH) {
  const flows = Array.from({ length: BATCH }, (_, i) => make(done + i, START_MS + ((done + i) / FLOWS) * DAY_MS));
  nowMs = flows.at(-1)!.timeMs;
  spentStoring += cpuMs(() => {
    for (const flow of flows) store.append(flow);
    store.commit();
    if (done % 100_000 === 0) store.tend();
  });
  // The other half of the work, in so far as it can be told apart: reading what a sidecar sent.
  if (done % (10 * BATCH) !== 0) continue;
  const request = batchRequest(flows);
  spentReading += 10 * cpuMs(() => collectLogs(request, null, { onFlow: () => {}, onLoss: () => {} }));
}
spentStoring += cpuMs(() => store.tend());

report(`flows                              ${FLOWS}, of ${SERVICES} services`);
report(`stored in a second of processor    ${rate(spentStoring)}`);
report(`read from OTLP and stored          ${rate(spentStoring + spentReading)}`);
const end = START_MS + DAY_MS;
for (const [name, fromMs] of [
  ["the last five minutes", end - 300_000],
  ["the last hour", end - 3_600_000],
  ["a quarter of the day, askew", end - DAY_MS / 2 - 12_345_678],
  ["the whole day", START_MS],
] as const) {
  const toMs = name.includes("askew") ? fromMs + DAY_MS / 4 : end;
  const query = { fromMs, toMs, namespaces: "all" } as const;
  const { edges } = store.edges(query);
  report(`map: ${name.padEnd(30)}${best(() => store.edges(query))} ms, ${edges.length} sums`);
}
const names = ["service-3.team-3"];
report(
  `newest 100 of one service          ${best(() => store.flows({ filter: { names }, namespaces: "all", limit: 100 }))} ms`,
);
const verdicts = ["denied"] as const;
report(
  `newest 100 denials                 ${best(() => store.flows({ filter: { verdicts }, namespaces: "all", limit: 100 }))} ms`,
);
const [denial] = store.flows({ filter: { verdicts }, namespaces: "all", limit: 1 }).flows;
report(`a denial by its id                 ${best(() => store.find(denial!.id, "all"))} ms`);
store.close();
report(`bytes a flow on the disk, closed   ${(bytesOnDisk() / FLOWS).toFixed(1)}`);
for (const line of tableSizes()) report(line);
rmSync(directory, { recursive: true });

function rate(ms: number): string {
  return `${Math.round((FLOWS / ms) * 1_000)} (${((ms / FLOWS) * 1_000).toFixed(1)} µs each)`;
}

function cpuMs(work: () => void): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}

function best(work: () => void): string {
  return Math.min(...Array.from({ length: 5 }, () => cpuMs(work))).toFixed(1);
}

function report(line: string): void {
  process.stdout.write(`${line}\n`);
}

function bytesOnDisk(): number {
  const files = openDatabaseFiles(directory, ".db");
  return files.list().reduce((sum, name) => sum + files.bytesOf(name), 0);
}

/** What takes the room, of the first file. */
function tableSizes(): readonly string[] {
  const [name] = openDatabaseFiles(directory, ".db").list();
  const database = openDatabase(join(directory, name!));
  const [[flows]] = database.prepare("SELECT count(*) FROM flows").rows() as [[number]];
  const sizes = database.prepare("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC").rows();
  database.close();
  return sizes
    .slice(0, 8)
    .map(([table, bytes]) => `  ${String(table).padEnd(33)}${((bytes as number) / flows).toFixed(1)}`);
}
