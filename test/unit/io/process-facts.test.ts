import { expect, test } from "vitest";
import { readProcessFacts } from "../../../src/io/process-facts.ts";

test("the process tells its own age, work and memory, in the units that it says", () => {
  const before = readProcessFacts();
  for (const began = performance.now(); performance.now() - began < 20; );
  const after = readProcessFacts();
  expect(after.nodeVersion).toBe(process.version);
  expect(after.startedMs).toBe(before.startedMs);
  expect(after.startedMs).toBeGreaterThan(Date.now() - 3_600_000);
  expect(after.startedMs).toBeLessThan(Date.now());
  expect(after.cpuSec - before.cpuSec).toBeGreaterThan(0.001);
  expect(after.cpuSec - before.cpuSec).toBeLessThan(5);
  expect(after.eventLoopActiveSec).toBeGreaterThanOrEqual(before.eventLoopActiveSec);
  expect(after.residentBytes).toBeGreaterThan(20_000_000);
  expect(after.heapUsedBytes).toBeLessThan(after.residentBytes);
});
