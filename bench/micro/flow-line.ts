import { encodeFlowLine, formatFlowLine } from "../../src/observe/flow-line.ts";
import { sampleFlow } from "../../test/support/sample-flow.ts";

// What a line of the flow log costs, beside JSON.stringify of the same record, alone and with its encoding into
// bytes (which the sink pays). Run: node bench/micro/flow-line.ts. The goal is 1 µs for the line; nothing fails here.

const ROUNDS = 9;
const LINES = 100_000;

/** Peers and TLS facts are shared, as a connection's requests share them; the rest is new each time, as on the road. */
const first = sampleFlow();
const records = Array.from({ length: 1_000 }, (_, index) => ({
  ...first,
  timeMs: first.timeMs + index * 0.37,
  id: (0x9f1c2a7be03d4455n + BigInt(index)).toString(16),
  path: `/orders/${index}/items`,
  status: index % 50 === 0 ? 404 : 200,
  durationMs: 0.4 + index / 1_000,
}));

process.stdout.write(`as bytes         ${bestMicros((record) => encodeFlowLine(record).length)} µs a line
 and as text     ${bestMicros((record) => formatFlowLine(record).length)}
JSON.stringify   ${bestMicros((record) => JSON.stringify(record).length)}
 and encoded     ${bestMicros((record) => Buffer.from(JSON.stringify(record)).length)}
bytes a line     ${Buffer.byteLength(formatFlowLine(first))}
`);

/** Processor time, best of some rounds: the others were disturbed by whatever else the machine did. */
function bestMicros(work: (record: (typeof records)[number]) => number): string {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    // The sum is used, so that nothing of the work can be optimised away.
    let sum = 0;
    for (let line = 0; line < LINES; line++) sum += work(records[line % records.length]!);
    const spent = process.cpuUsage(before);
    if (sum > 0) best = Math.min(best, (spent.user + spent.system) / LINES);
  }
  return best.toFixed(2);
}
