import { performance } from "node:perf_hooks";

/** What the process exposes of itself; the shape is observe/gauges.ts' ProcessFacts, less the program's version. */
export function readProcessFacts(): {
  nodeVersion: string;
  startedMs: number;
  cpuSec: number;
  eventLoopActiveSec: number;
  residentBytes: number;
  heapUsedBytes: number;
} {
  const cpu = process.cpuUsage();
  const memory = process.memoryUsage();
  return {
    nodeVersion: process.version,
    startedMs: performance.timeOrigin,
    cpuSec: (cpu.user + cpu.system) / 1_000_000,
    eventLoopActiveSec: performance.eventLoopUtilization().active / 1_000,
    residentBytes: memory.rss,
    heapUsedBytes: memory.heapUsed,
  };
}
