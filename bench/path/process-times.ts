import { readdirSync, readFileSync } from "node:fs";

/** What proc(5) says of one process. Times in clock ticks. */
export interface ProcessStat {
  readonly pid: number;
  readonly parentPid: number;
  /** User and system, all threads, children that have ended and been waited for included. */
  readonly cpuTicks: number;
  /** Since boot. */
  readonly startTicks: number;
}

/** USER_HZ, which is 100 on every Linux that Node runs on. */
const TICK_MS = 10;

/** One line of /proc/<pid>/stat. The name in brackets may hold spaces and brackets, so the last bracket counts. */
export function parseProcessStat(text: string): ProcessStat {
  const fields = text
    .slice(text.lastIndexOf(")") + 2)
    .trim()
    .split(" ")
    .map(Number);
  // proc(5) counts from 1 and the state is number 3: field n is at n - 3.
  const field = (n: number): number => fields[n - 3] ?? Number.NaN;
  return {
    pid: Number.parseInt(text, 10),
    parentPid: field(4),
    cpuTicks: field(14) + field(15) + field(16) + field(17),
    startTicks: field(22),
  };
}

/** These processes and all that descend from them. */
export function selectTrees(all: readonly ProcessStat[], roots: readonly number[]): readonly ProcessStat[] {
  const wanted = new Set(roots);
  let before = 0;
  while (wanted.size > before) {
    before = wanted.size;
    for (const { pid, parentPid } of all) if (wanted.has(parentPid)) wanted.add(pid);
  }
  return all.filter(({ pid }) => wanted.has(pid));
}

/** Processor time of process trees so far. Errors: when a root has ended, since the difference would be nonsense. */
export function readCpuMs(roots: readonly number[]): number {
  return readTrees(roots).reduce((sum, { cpuTicks }) => sum + cpuTicks, 0) * TICK_MS;
}

/** Processor time of all threads of these processes, without those that have ended: finer than `readCpuMs` by far. */
export function readThreadsUs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const threads = readdirSync(`/proc/${pid}/task`).map((thread) => readProc(pid, `task/${thread}/schedstat`));
    // The first number: nanoseconds on a processor.
    return sum + threads.reduce((all, text) => all + Number.parseInt(text || "0", 10), 0) / 1_000;
  }, 0);
}

/** Resident memory of process trees, MiB; pages that processes share count for each. Errors: as `readCpuMs`. */
export function readRssMiB(roots: readonly number[]): number {
  return readTrees(roots).reduce((sum, { pid }) => sum + parseRssMiB(readProc(pid, "status")), 0);
}

/** VmRSS of /proc/<pid>/status; 0 for a process that has just ended. */
export function parseRssMiB(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
}

/** How long ago the oldest of these was started, in steps of 10 ms. */
export function readAgeMs(pids: readonly number[]): number {
  const uptimeMs = Number.parseFloat(readFileSync("/proc/uptime", "latin1")) * 1_000;
  const starts = pids.map((pid) => parseProcessStat(readProc(pid, "stat")).startTicks);
  return uptimeMs - Math.min(...starts) * TICK_MS;
}

function readTrees(roots: readonly number[]): readonly ProcessStat[] {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProc(Number(name), "stat"))
    .filter((text) => text !== "")
    .map(parseProcessStat);
  const missing = roots.filter((root) => !all.some(({ pid }) => pid === root));
  if (missing.length > 0) throw new Error(`measured processes have ended: ${missing.join(", ")}`);
  return selectTrees(all, roots);
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    // It has ended since it was listed.
    return "";
  }
}
