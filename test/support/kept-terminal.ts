import { parseArgs } from "../../src/cli/args.ts";
import type { Command, Terminal } from "../../src/cli/command.ts";
import { toCardeaError } from "../../src/core/errors.ts";
import { exitCodeOf } from "../../src/cli/exit-code.ts";

export interface KeptTerminal extends Terminal {
  readonly out: string[];
  readonly err: string[];
  /** As the reader's ^C. */
  interrupt(): void;
}

/** A terminal that keeps what is written to it. */
export function keptTerminal(changes: Partial<Terminal> = {}): KeptTerminal {
  const out: string[] = [];
  const err: string[] = [];
  const handlers: ((signal: "SIGINT" | "SIGTERM") => void)[] = [];
  return {
    out,
    err,
    stdout: (line) => out.push(line),
    stderr: (line) => err.push(line),
    isTty: true,
    width: 80,
    colour: false,
    async *stdin() {},
    env: {},
    cwd: "/",
    onSignal: (handler) => handlers.push(handler),
    onUserSignal: () => {},
    interrupt: () => handlers.forEach((handler) => handler("SIGINT")),
    ...changes,
  };
}

/** Runs a command as main.ts does: failures become one line on stderr and an exit code. */
export async function runCommand(command: Command, words: readonly string[], terminal: KeptTerminal): Promise<number> {
  try {
    return await command.run(parseArgs(command, words), terminal);
  } catch (thrown) {
    const error = toCardeaError(thrown);
    terminal.stderr(error.message);
    return exitCodeOf(error.code);
  }
}
