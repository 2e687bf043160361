/** One program to run; `input` is what it reads. */
export interface Step {
  readonly program: string;
  readonly args: readonly string[];
  readonly input: string | null;
}

export interface StepResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What of the machine the redirect works with. */
export interface RedirectHost {
  /** Null: there is no such program. */
  run(step: Step): Promise<StepResult | null>;
  /** Null: there is no such file. */
  read(path: string): Promise<string | null>;
}

export function step(program: string, args: readonly string[], input: string | null = null): Step {
  return { program, args, input };
}

/** As a shell would have it. */
export function formatStep({ program, args, input }: Step): string {
  const command = [program, ...args].join(" ");
  return input === null ? command : `${command} <<'END'\n${input}END`;
}
