/** What a command tells the caller: 0 good; 1 it ran and found something; 2 bad usage or input; 3 unreachable. */
export type ExitCode = 0 | 1 | 2 | 3;

/** One command of the table in commands.ts. Help, argument parsing and the generated reference read it. */
export interface Command {
  /** The words on the command line, e.g. `policy check`. */
  readonly name: string;
  /** One line, without a full stop. */
  readonly summary: string;
  /** e.g. `cardea policy check PATH...` */
  readonly usage: string;
  /** A command line that can be copied as it is. */
  readonly example: string;
  readonly flags: readonly Flag[];
  /** How many arguments the command takes; checked before `run`. Left out: any number. */
  readonly positional?: { readonly min: number; readonly max: number };
  /**
   * Answers an ExitCode; `cardea run` alone passes on what its child exited with. Errors: a thrown CardeaError becomes
   * one line on stderr and the exit code of its code (exit-code.ts).
   */
  run(args: ParsedArgs, terminal: Terminal): Promise<number>;
}

export interface Flag {
  /** Without the dashes. */
  readonly name: string;
  /** One letter, without the dash. */
  readonly short?: string;
  /** What the value is called in the help, or null for a switch. */
  readonly value: string | null;
  /** May be given more than once. */
  readonly repeat?: true;
  readonly summary: string;
  /** The value when the flag is not given. */
  readonly default?: string;
}

export interface ParsedArgs {
  readonly positional: readonly string[];
  /** What stands after `--`. */
  readonly passthrough: readonly string[];
  /** The flag's (last) value, its default, or undefined. Asking for a flag that is not declared is a bug. */
  flag(name: string): string | undefined;
  /** All values of a repeated flag, in order. */
  flags(name: string): readonly string[];
  /** Whether the flag stood on the command line. */
  isSet(name: string): boolean;
}

/** All that a command sees of the process around it. */
export interface Terminal {
  /** Writes one line, the line feed is added. */
  stdout(line: string): void;
  stderr(line: string): void;
  /** Whether stdout is a terminal. */
  readonly isTty: boolean;
  /** Columns of the terminal; 80 when there is none. */
  readonly width: number;
  /** Whether colour is wanted on stdout (NO_COLOR, FORCE_COLOR, and isTty). */
  readonly colour: boolean;
  /** Lines of standard input, without their ends. */
  stdin(): AsyncIterable<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** A hang-up counts as SIGTERM; a ^C that arrives twice (npm passes it on) counts once. */
  onSignal(handler: (signal: "SIGINT" | "SIGTERM") => void): void;
  /** SIGUSR2, which ends a process that does not ask for it. */
  onUserSignal(handler: () => void): void;
}
