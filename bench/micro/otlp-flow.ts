import { readLogsRequest } from "../../src/observe/otlp-flow-reader.ts";
import { FlowLogWriter } from "../../src/observe/otlp-flow.ts";
import { resourceHead } from "../../src/observe/otlp-request.ts";
import { Chunks } from "../../src/proxy/flow-export/chunks.ts";
import { type Batch, RecordQueue } from "../../src/proxy/flow-export/record-queue.ts";
import { sampleFlow } from "../../test/support/sample-flow.ts";

// What a flow's OTLP record costs: to the sidecar that writes it, and to the collector that reads it. Run:
// node bench/micro/otlp-flow.ts. Nothing fails here.

const ROUNDS = 9;
const RECORDS = 50_000;
const BATCH = 500;

/** Peers and TLS facts are shared, as a connection's requests share them; the rest is new each time, as on the road. */
const first = sampleFlow();
const records = Array.from({ length: BATCH }, (_, index) => ({
  ...first,
  timeMs: first.timeMs + index,
  id: (0x9f1c2a7be03d4455n + BigInt(index)).toString(16),
  path: `/orders/${index}/items`,
  status: index % 50 === 0 ? 404 : 200,
  durationMs: 0.4 + index / 1_000,
}));

const chunks = new Chunks();
const queue = new RecordQueue(new FlowLogWriter("grouped", "1"), chunks);
const { pieces, bytes } = written();
const request = Buffer.concat([resourceHead({}, bytes), ...pieces.map((piece) => piece.bytes)]);

let read = 0;
const handlers = { onFlow: () => read++, onRefused: () => {}, onOther: () => {} };

process.stdout.write(`write            ${bestMicros(() => writeAll())} µs a record
read             ${bestMicros(() => readLogsRequest(request, handlers))}
bytes a record   ${Math.round(request.length / BATCH)}
`);

function written(): Batch {
  for (const record of records) queue.add(record);
  return queue.take(Number.POSITIVE_INFINITY)!;
}

function writeAll(): void {
  for (const piece of written().pieces) chunks.giveBack(piece.bytes);
}

/** Processor time, best of some rounds: the others were disturbed by whatever else the machine did. */
function bestMicros(batchWork: () => void): string {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let done = 0; done < RECORDS; done += BATCH) batchWork();
    const spent = process.cpuUsage(before);
    best = Math.min(best, (spent.user + spent.system) / RECORDS);
  }
  return best.toFixed(2);
}
