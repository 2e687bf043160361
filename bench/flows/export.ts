import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLatest } from "../../src/core/latest.ts";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import { systemClock } from "../../src/io/clock.ts";
import { openLineFile } from "../../src/io/line-file.ts";
import { createSystemRandom } from "../../src/io/random.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { encodeFlowLine } from "../../src/observe/flow-line.ts";
import type { FlowRecord } from "../../src/observe/flow.ts";
import { trustBundlesOf } from "../../src/pki/bundle.ts";
import { encodePem } from "../../src/pki/pem.ts";
import { openCollectorCalls } from "../../src/proxy/flow-export/collector-calls.ts";
import { FlowExporter } from "../../src/proxy/flow-export/exporter.ts";
import { sampleFlow } from "../../test/support/sample-flow.ts";
import { createTestAuthority } from "../../test/support/test-authority.ts";
import type { SinkSetting } from "./sink.ts";

// What a flow record costs the sidecar that tells of it, all threads of the process: nothing done with it, a line of the
// flow file, a record to the collector over mutual TLS. Run: node bench/flows/export.ts [RECORDS_PER_SEC]. Nothing fails
// here.

const RATE = Number(process.argv[2] ?? 20_000);
const ROUNDS = 9;
const TURN_MS = 1_000;
const TICK_MS = 2;
/** The caller's sidecar has a connection, and so a peer, for each of its app's. */
const CONNECTIONS = 50;

const authority = createTestAuthority();
const own = authority.issue("spiffe://cluster.local/ns/shop/sa/web");
const control = parseSpiffeId("spiffe://cluster.local/ns/cardea-system/sa/cardea-control");
const sink = fork(join(import.meta.dirname, "sink.ts"));
const setting: SinkSetting = {
  material: authority.issue(control).material,
  rootPem: encodePem("CERTIFICATE", own.rootsDer[0]!),
};
sink.send(setting);
const [port] = (await once(sink, "message")) as [number];

const directory = mkdtempSync(join(tmpdir(), "cardea-export-"));
const lines = openLineFile({ path: join(directory, "flows.jsonl") });
const random = createSystemRandom();
const logger = { log: (_level: string, event: string) => process.stderr.write(`${event}\n`), isEnabled: () => true };
const calls = openCollectorCalls({
  control: { address: { host: "127.0.0.1", port }, spiffeId: control },
  identity: createLatest(own),
  bundles: trustBundlesOf(authority.bundle),
  network: createSocketNetwork(),
  clock: systemClock,
});
const exporter = new FlowExporter({
  calls,
  spill: null,
  resource: { "service.name": "web", "service.namespace": "shop" },
  version: "1",
  sampleOneIn: 1,
  clock: systemClock,
  random,
  logger,
});

const first = sampleFlow({ verdict: "allowed", reason: "allow-rule-matched", status: 200 });
const sources = Array.from({ length: CONNECTIONS }, (_, i) => ({ ...first.source, port: 40_000 + i }));
let made = 0;

function nextFlow(): FlowRecord {
  const index = made++;
  return {
    ...first,
    timeMs: Date.now(),
    id: (0x9f1c2a7be03d4455n + BigInt(index)).toString(16),
    source: sources[index % CONNECTIONS]!,
    path: `/orders/${index % 1_000}/items`,
    durationMs: 0.4 + (index % 700) / 1_000,
  };
}

const ways: readonly { readonly name: string; take: (flow: FlowRecord) => void }[] = [
  { name: "nothing", take: () => {} },
  {
    name: "a line of the flow file",
    take: (flow) => {
      const { bytes, length } = encodeFlowLine(flow);
      lines.writeBytes(bytes, length);
    },
  },
  { name: "a record to the collector", take: (flow) => exporter.record(flow) },
];

// Code is compiled as it runs: not at the first records' cost.
for (const { take } of ways) for (let i = 0; i < 3; i++) await spend(take);
const spent = new Map(ways.map(({ name }) => [name, [] as number[]]));
for (let round = 0; round < ROUNDS; round++)
  for (const { name, take } of ways) spent.get(name)!.push(await spend(take));
const base = medianOf(spent.get("nothing")!);
for (const [name, micros] of spent)
  process.stdout.write(
    `${name.padEnd(30)}${(medianOf(micros) - base).toFixed(2)} µs beyond nothing (best ${(Math.min(...micros) - base).toFixed(2)})\n`,
  );
process.stdout.write(`sent ${exporter.counts.exported}, dropped ${JSON.stringify(exporter.counts.dropped)}\n`);
await exporter.close();
await lines.close();
rmSync(directory, { recursive: true });
sink.kill();

/** Processor time a record, while so many come in a second, a few at a time as a turn of the event loop has them. */
async function spend(take: (flow: FlowRecord) => void): Promise<number> {
  const before = process.cpuUsage();
  const beganMs = performance.now();
  let done = 0;
  for (let passedMs = 0; passedMs < TURN_MS; passedMs = performance.now() - beganMs) {
    for (; done < (passedMs / 1_000) * RATE; done++) take(nextFlow());
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  // What is on its way belongs to this turn.
  await new Promise((resolve) => setTimeout(resolve, 400));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / done;
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
