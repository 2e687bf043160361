import { isatty } from "node:tty";
import { watchParent } from "../io/parent-process.ts";
import type { Terminal } from "./command.ts";

/** A terminal's ^C reaches a program under npm twice: by the terminal and by npm, which passes it on. */
const SAME_KEY_PRESS_MS = 500;

/** The process's own terminal. */
export function openTerminal(): Terminal {
  const { env, stdout, stderr, stdin } = process;
  const isTty = isatty(1);
  const signals = listenForSignals(env["npm_command"] === "exec");
  for (const stream of [stdout, stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      // Nobody reads any longer (`| head`, a terminal that was closed). That is no fault, and where somebody wants to
      // end in order it is a reason to; but not a second one beside a hang-up, which would mean to end by force.
      if (!signals.isTold && !signals.tell("SIGTERM")) process.exit(error.code === "EPIPE" ? 0 : 3);
    });
  }
  return {
    stdout: (line) => void stdout.write(`${line}\n`),
    stderr: (line) => void stderr.write(`${line}\n`),
    isTty,
    get width() {
      return stdout.columns ?? 80;
    },
    colour: wantsColour(env, isTty),
    stdin: () => {
      // Only some commands read anything, and a sidecar starts some milliseconds sooner without the module.
      const { createInterface } = process.getBuiltinModule("node:readline");
      return createInterface({ input: stdin, crlfDelay: Number.POSITIVE_INFINITY });
    },
    env,
    cwd: process.cwd(),
    onSignal: (handler) => signals.add(handler),
    onUserSignal: (handler) => void process.on("SIGUSR2", handler),
  };
}

/** https://no-color.org and https://force-color.org: an empty value counts as not set. */
function wantsColour(env: NodeJS.ProcessEnv, isTty: boolean): boolean {
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  if ((env["FORCE_COLOR"] ?? "") !== "") return env["FORCE_COLOR"] !== "0";
  return isTty && env["TERM"] !== "dumb";
}

type Handler = (signal: "SIGINT" | "SIGTERM") => void;

interface Signals {
  add(handler: Handler): void;
  readonly isTold: boolean;
  /** False when nobody wants to know. */
  tell(signal: "SIGINT" | "SIGTERM"): boolean;
}

/**
 * Signals keep their usual effect until somebody wants to know of them. Under npx a SIGTERM reaches the shell between
 * npx and us, and no further: that shell's end stands for the signal.
 */
function listenForSignals(isUnderNpx: boolean): Signals {
  const handlers: Handler[] = [];
  let lastInterruptMs = Number.NEGATIVE_INFINITY;
  let isTold = false;

  function tell(signal: "SIGINT" | "SIGTERM"): boolean {
    isTold = handlers.length > 0;
    for (const handler of handlers) handler(signal);
    return handlers.length > 0;
  }

  function interrupt(): void {
    const nowMs = performance.now();
    if (nowMs - lastInterruptMs < SAME_KEY_PRESS_MS) return;
    lastInterruptMs = nowMs;
    tell("SIGINT");
  }

  return {
    get isTold() {
      return isTold;
    },
    tell,
    add(handler) {
      if (handlers.push(handler) > 1) return;
      process.on("SIGINT", interrupt);
      process.on("SIGTERM", () => tell("SIGTERM"));
      process.on("SIGHUP", () => tell("SIGTERM"));
      if (isUnderNpx) watchParent(() => void (isTold || tell("SIGTERM")));
    },
  };
}

/** Resolves when all that was written has been handed to the system: process.exit would cut a pipe short. */
export async function flushTerminal(): Promise<void> {
  const flushed = [process.stdout, process.stderr].map(
    (stream) => new Promise<void>((resolve) => void stream.write("", () => resolve())),
  );
  await Promise.all(flushed);
}
