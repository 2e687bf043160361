import { percentileOf } from "../statistics.ts";
import { PacedRequests } from "./paced-requests.ts";

// GETs at a fixed rate, with others of large bodies beside them or not. The latencies are of the first alone, failures of
// both. Words: port path rate seconds [largePath largeRate]. Prints one JSON line.

const GRACE_MS = 2_000;
const [port, rate, seconds] = [2, 4, 5].map((i) => Number(process.argv[i])) as [number, number, number];
const [path, largePath] = [process.argv[3]!, process.argv[6]];
const largeRate = Number(process.argv[7] ?? 0);

const beganMs = performance.now();
const small = new PacedRequests({ port, path, rate, seconds }, beganMs);
const large = largePath === undefined ? [] : [{ port, path: largePath, rate: largeRate, seconds }];
const all = [small, ...large.map((pace) => new PacedRequests(pace, beganMs))];

// The timer ticks once a millisecond.
const timer = setInterval(() => {
  const nowMs = performance.now();
  for (const each of all) each.askDue(nowMs);
  const isOver = all.every((each) => each.isOver());
  if (!isOver && nowMs < beganMs + seconds * 1_000 + GRACE_MS) return;
  clearInterval(timer);
  const numbers = {
    requests: all.reduce((sum, each) => sum + each.latenciesMs.length, 0),
    failed: all.reduce((sum, each) => sum + each.failed(), 0),
    durationUs: (nowMs - beganMs) * 1_000,
    p50Us: percentileOf(small.latenciesMs, 0.5) * 1_000,
    p99Us: percentileOf(small.latenciesMs, 0.99) * 1_000,
  };
  process.stdout.write(`${JSON.stringify(numbers)}\n`, () => process.exit(0));
}, 1);
