import { readdirSync, readFileSync } from "node:fs";

/** A process whose command line names a text, e.g. a state directory. */
export interface FoundProcess {
  readonly pid: number;
  readonly command: string;
}

/** All living processes that name the text in their command line or were started in it. Linux alone. */
export function processesOf(text: string): readonly FoundProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      const command = readProc(name, "cmdline").replaceAll("\0", " ");
      const isZombie = /^State:\s+Z/m.test(readProc(name, "status"));
      return !isZombie && command.includes(text) ? [{ pid: Number(name), command }] : [];
    });
}

/** Resident memory in MiB. */
export function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readProc(String(pid), "status"))?.[1] ?? Number.NaN) / 1024;
}

/** Processor time of all our children that have ended so far, in steps of 10 ms. proc(5): fields 16 and 17. */
export function childrenCpuMs(): number {
  const stat = readProc("self", "stat");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    // It has ended since it was listed.
    return "";
  }
}
