import { connect } from "node:net";
import { TCP_ASK } from "../backends/tcp.ts";
import { percentileOf } from "../statistics.ts";

// New TCP connections, so many at a time: each asks for one byte, gets it and ends. The latency is from dialling to the
// byte. Words: port parallel seconds. Prints one JSON line.

const [port, parallel, seconds] = process.argv.slice(2).map(Number) as [number, number, number];
const PATIENCE_MS = 5_000;
const latenciesMs: number[] = [];
let failed = 0;

/** Resolves when the connection is gone on both sides. */
function dial(): Promise<void> {
  return new Promise((resolve) => {
    const askedMs = performance.now();
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    let hasAnswer = false;
    socket.setTimeout(PATIENCE_MS, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      if (!hasAnswer) failed += 1;
      resolve();
    });
    socket.on("data", () => {
      hasAnswer = true;
      latenciesMs.push(performance.now() - askedMs);
      socket.end();
    });
    socket.write(TCP_ASK.echo);
  });
}

async function keepDialling(): Promise<void> {
  while (performance.now() < beganMs + seconds * 1_000) await dial();
}

const beganMs = performance.now();
await Promise.all(Array.from({ length: parallel }, keepDialling));
const numbers = {
  requests: latenciesMs.length,
  failed,
  durationUs: (performance.now() - beganMs) * 1_000,
  p50Us: percentileOf(latenciesMs, 0.5) * 1_000,
  p99Us: percentileOf(latenciesMs, 0.99) * 1_000,
};
process.stdout.write(`${JSON.stringify(numbers)}\n`);
