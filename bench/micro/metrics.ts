import { formatExposition } from "../../src/observe/exposition.ts";
import { createDataPathMetrics } from "../../src/observe/metrics.ts";
import { sampleFlow } from "../../test/support/sample-flow.ts";

// What counting a request costs, and the longest that a scrape of 2,000 label sets holds up the event loop.
// Run: node bench/micro/metrics.ts. Nothing fails here, the numbers go into bench/README.md.

const ROUNDS = 9;
const REQUESTS = 500_000;

const metrics = createDataPathMetrics();
const first = sampleFlow();
const flows = Array.from({ length: 100 }, (_, index) => ({
  ...first,
  status: 200 + (index % 3),
  durationMs: index / 7,
}));

let bestMicros = Number.POSITIVE_INFINITY;
for (let round = 0; round < ROUNDS; round++) {
  const before = process.cpuUsage();
  for (let request = 0; request < REQUESTS; request++) metrics.recordRequest(flows[request % flows.length]!);
  const spent = process.cpuUsage(before);
  bestMicros = Math.min(bestMicros, (spent.user + spent.system) / REQUESTS);
}
process.stdout.write(`a request counted            ${bestMicros.toFixed(3)} µs\n`);

for (let index = 0; index < 2_000; index++) {
  metrics.recordRequest(sampleFlow({ source: { ...first.source, workload: `web-${index}` } }));
}
let longestMs = 0;
let bytes = 0;
const beganMs = performance.now();
let turnMs = beganMs;
for await (const piece of formatExposition([metrics], { format: "text", nowMs: () => 0 })) {
  bytes += Buffer.byteLength(piece);
  longestMs = Math.max(longestMs, performance.now() - turnMs);
  await new Promise((resolve) => setImmediate(resolve));
  turnMs = performance.now();
}
process.stdout.write(`2,000 label sets exposed     ${(performance.now() - beganMs).toFixed(0)} ms, ${bytes} bytes
longest hold of the loop     ${longestMs.toFixed(2)} ms\n`);
