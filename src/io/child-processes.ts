import { type ChildProcess as NodeChild, execFile, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { CardeaError } from "../core/errors.ts";

/**
 * A process that cannot be mistaken for another one: process ids are used again, so the time at which the process
 * began, in the platform's own form, belongs to its name.
 */
export interface ProcessName {
  readonly pid: number;
  readonly startTime: string;
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: string | null;
}

export type EndSignal = "SIGTERM" | "SIGINT" | "SIGKILL";

export interface ChildProcess {
  readonly name: ProcessName;
  /** Resolves when the process is gone; never rejects. */
  readonly exited: Promise<ChildExit>;
  /** Sends a signal to the child, or to its whole group when it has one; a child that is gone is no error. */
  signal(signal: EndSignal): void;
}

export interface ChildOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment: nothing is inherited by accident. */
  readonly env: Readonly<Record<string, string>>;
  /**
   * A log file that the child itself appends to, stdout and stderr alike, so that it writes on when its parent is
   * gone; "inherit" shares our terminal.
   */
  readonly output: { readonly file: string } | "inherit";
  /** A group and session of its own: a ^C at the terminal does not reach it, and a signal reaches all that it began. */
  readonly isOwnGroup: boolean;
}

/** Starts a process. Errors: `bad-input` when the program is not there or may not be run. */
export async function startChild(options: ChildOptions): Promise<ChildProcess> {
  const log = options.output === "inherit" ? null : openSync(options.output.file, "a", 0o600);
  try {
    const child = spawn(options.program, [...options.args], {
      cwd: options.cwd,
      env: { ...options.env },
      stdio: log === null ? "inherit" : ["ignore", log, log],
      detached: options.isOwnGroup,
    });
    const exited = new Promise<ChildExit>((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }));
    });
    await spawned(child, options.program);
    const name = { pid: child.pid!, startTime: (await readStartTime(child.pid!)) ?? "" };
    const target = options.isOwnGroup ? -name.pid : name.pid;
    return { name, exited, signal: (signal) => void sendSignal(target, signal) };
  } finally {
    if (log !== null) closeSync(log);
  }
}

function spawned(child: NodeChild, program: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error: NodeJS.ErrnoException) => {
      const reason = error.code === "ENOENT" ? "no such program" : error.message;
      reject(new CardeaError("bad-input", `${program} cannot be started: ${reason}`, error));
    });
  });
}

/** Whether this very process still runs. */
export async function isRunning(name: ProcessName): Promise<boolean> {
  return (await readStartTime(name.pid)) === name.startTime;
}

/** Our own name, for others to find. */
export async function readOwnName(): Promise<ProcessName> {
  return { pid: process.pid, startTime: (await readStartTime(process.pid)) ?? "" };
}

/** Sends a signal to a process that is not our child, with its group where it leads one; false when it is gone. */
export async function signalProcess(name: ProcessName, signal: EndSignal): Promise<boolean> {
  if (!(await isRunning(name))) return false;
  return sendSignal(-name.pid, signal) || sendSignal(name.pid, signal);
}

function sendSignal(target: number, signal: EndSignal): boolean {
  try {
    process.kill(target, signal);
    return true;
  } catch {
    // ESRCH: it has ended in the meantime, which is what was wanted.
    return false;
  }
}

/** When a process began, or null when it is gone (a zombie is gone: nobody has collected its exit code yet). */
async function readStartTime(pid: number): Promise<string | null> {
  return process.platform === "linux" ? readProcStart(pid) : readPsStart(pid);
}

/** proc(5): field 3 is the state, field 22 the start time in clock ticks after boot. */
function readProcStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in field 2 may hold blanks and brackets; what follows its last bracket is regular.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

function readPsStart(pid: number): Promise<string | null> {
  return new Promise((resolve) => {
    execFile("ps", ["-o", "stat=,lstart=", "-p", String(pid)], (error, stdout) => {
      const text = stdout.trim();
      resolve(error !== null || text === "" || text.startsWith("Z") ? null : text.replace(/^\S+\s+/, ""));
    });
  });
}
