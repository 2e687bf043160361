import { expect, test } from "vitest";
import {
  parseProcessStat,
  parseRssMiB,
  type ProcessStat,
  readAgeMs,
  readCpuMs,
  readRssMiB,
  selectTrees,
} from "../../../bench/path/process-times.ts";

/** Fields 3 to 24 of /proc/<pid>/stat: state, parent, …, utime 14, stime 15, cutime 16, cstime 17, …, starttime 22. */
const FIELDS = "S 41 42 42 0 -1 4194560 900 800 7 6 120 30 4 5 20 0 11 0 98765 1000000 500";

test.each(["(node)", "(MainThread)", "(a b)", "(tricky) S 1 2)", "(()", "())"])(
  "the name %s does not shift the fields of a process",
  (name) => {
    expect(parseProcessStat(`42 ${name} ${FIELDS}\n`)).toEqual({
      pid: 42,
      parentPid: 41,
      cpuTicks: 120 + 30 + 4 + 5,
      startTicks: 98_765,
    });
  },
);

function stat(pid: number, parentPid: number): ProcessStat {
  return { pid, parentPid, cpuTicks: 0, startTicks: 0 };
}

test("a tree holds grandchildren, in whatever order they are listed, and nobody else's children", () => {
  const all = [stat(30, 20), stat(20, 10), stat(10, 1), stat(11, 1), stat(21, 11), stat(1, 0)];
  const pidsOf = (roots: readonly number[]): number[] => selectTrees(all, roots).map(({ pid }) => pid);
  expect(pidsOf([10])).toEqual([30, 20, 10]);
  expect(pidsOf([11, 20])).toEqual([30, 20, 11, 21]);
  expect(pidsOf([99])).toEqual([]);
});

test("a process in two of the trees counts once", () => {
  expect(selectTrees([stat(10, 1), stat(20, 10)], [10, 20])).toHaveLength(2);
});

test("resident memory is read in MiB, and a process that has ended has none", () => {
  expect(parseRssMiB("Name:\tnode\nVmHWM:\t  99999 kB\nVmRSS:\t   51200 kB\nThreads:\t7\n")).toBe(50);
  expect(parseRssMiB("")).toBe(0);
  expect(parseRssMiB("Name:\tkthreadd\nState:\tS\n")).toBe(0);
});

test.runIf(process.platform === "linux")(
  "this very process has spent time and memory, and is not older than it is",
  () => {
    expect(readCpuMs([process.pid])).toBeGreaterThan(0);
    expect(readRssMiB([process.pid])).toBeGreaterThan(10);
    expect(readAgeMs([process.pid])).toBeGreaterThanOrEqual(0);
  },
);

test.runIf(process.platform === "linux")("a process that has ended is an error, not a side that costs nothing", () => {
  // Beyond the kernel's largest process number.
  expect(() => readCpuMs([process.pid, 99_999_999])).toThrow("measured processes have ended: 99999999");
});
