import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PROGRAM = fileURLToPath(new URL("../../bin/cardea.js", import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CardeaOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly stdin?: string;
  /** A program, with its first words, that runs it in its own place. */
  readonly through?: readonly string[];
}

/** Runs a command of ours to its end. */
export async function cardea(words: readonly string[], options: CardeaOptions = {}): Promise<Finished> {
  const running = startCardea(words, options);
  running.child.stdin!.end(options.stdin ?? "");
  return running.finished;
}

export interface RunningCardea {
  readonly child: ChildProcess;
  /** Lines of stdout as they come; ends with the process. */
  readonly lines: AsyncIterableIterator<string>;
  readonly finished: Promise<Finished>;
}

/** Starts a command of ours, as a user would from the shell: bin/cardea.js on the runtime of this test. */
export function startCardea(words: readonly string[], options: CardeaOptions = {}): RunningCardea {
  const [program, ...args] = [...(options.through ?? []), process.execPath, PROGRAM, ...words];
  const child = spawn(program!, args, {
    cwd: options.cwd ?? ROOT,
    env: { ...process.env, NO_COLOR: "1", CARDEA_STATE: undefined, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (piece: Buffer) => stdout.push(piece));
  child.stderr.on("data", (piece: Buffer) => stderr.push(piece));
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout: textOf(stdout), stderr: textOf(stderr) }));
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, lines, finished };
}

function textOf(pieces: readonly Buffer[]): string {
  return Buffer.concat(pieces).toString("utf8");
}
