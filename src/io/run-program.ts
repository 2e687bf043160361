import { execFile } from "node:child_process";

interface ProgramRun {
  readonly program: string;
  readonly args: readonly string[];
  /** What it reads; null: nothing. */
  readonly input: string | null;
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

interface ProgramEnd {
  /** -1: it was ended by a signal, its time being over for one. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const OUTPUT_BYTES_MAX = 16 * 1_048_576;

/** Runs a program to its end; null when there is none of that name. Never rejects: how it went is the result. */
export function runProgram({ program, args, input, env, timeoutMs }: ProgramRun): Promise<ProgramEnd | null> {
  return new Promise((resolve) => {
    const options = { env: { ...env }, timeout: timeoutMs, maxBuffer: OUTPUT_BYTES_MAX };
    const child = execFile(program, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve({ code: 0, stdout, stderr });
      else if (error.code === "ENOENT") resolve(null);
      else resolve({ code: typeof error.code === "number" ? error.code : -1, stdout, stderr: stderr || error.message });
    });
    // One that ends early does not read to the end; its exit code tells.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input ?? "");
  });
}
