import { createInterface } from "node:readline";
import { isatty } from "node:tty";
import type { Terminal } from "./command.ts";

/** A terminal's ^C reaches a program under npm twice: by the terminal and by npm, which passes it on. */
const SAME_KEY_PRESS_MS = 500;

/** The process's own terminal. */
export function openTerminal(): Terminal {
  const { env, stdout, stderr, stdin } = process;
  const isTty = isatty(1);
  // A reader that has seen enough (`| head`) is no fault; there is nobody left to tell.
  for (const stream of [stdout, stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 3));
  }
  return {
    stdout: (line) => void stdout.write(`${line}\n`),
    stderr: (line) => void stderr.write(`${line}\n`),
    isTty,
    get width() {
      return stdout.columns ?? 80;
    },
    colour: wantsColour(env, isTty),
    stdin: () => createInterface({ input: stdin, crlfDelay: Number.POSITIVE_INFINITY }),
    env,
    cwd: process.cwd(),
    onSignal: listenForSignals,
  };
}

/** https://no-color.org and https://force-color.org: an empty value counts as not set. */
function wantsColour(env: NodeJS.ProcessEnv, isTty: boolean): boolean {
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  if ((env["FORCE_COLOR"] ?? "") !== "") return env["FORCE_COLOR"] !== "0";
  return isTty && env["TERM"] !== "dumb";
}

function listenForSignals(handler: (signal: "SIGINT" | "SIGTERM") => void): void {
  let lastInterruptMs = Number.NEGATIVE_INFINITY;
  process.on("SIGINT", () => {
    const nowMs = performance.now();
    if (nowMs - lastInterruptMs < SAME_KEY_PRESS_MS) return;
    lastInterruptMs = nowMs;
    handler("SIGINT");
  });
  process.on("SIGTERM", () => handler("SIGTERM"));
  process.on("SIGHUP", () => handler("SIGTERM"));
}

/** Resolves when all that was written has been handed to the system: process.exit would cut a pipe short. */
export async function flushTerminal(): Promise<void> {
  const flushed = [process.stdout, process.stderr].map(
    (stream) => new Promise<void>((resolve) => void stream.write("", () => resolve())),
  );
  await Promise.all(flushed);
}
