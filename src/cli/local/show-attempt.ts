import type { Terminal } from "../command.ts";
import { explainLine } from "../program-name.ts";
import type { AttemptReport } from "./breach-report.ts";

interface Shown {
  readonly terminal: Terminal;
  readonly isJson: boolean;
  /** Null: the state directory is found by itself. */
  readonly shownState: string | null;
}

const RED = 31;
const YELLOW = 33;

/** One attempt of the breach: what was tried, what came of it, and the line that explains it. */
export function showAttempt(report: AttemptReport, { terminal, isJson, shownState }: Shown): void {
  const explain = report.denial === null ? null : explainLine(report.denial, terminal.env, shownState);
  if (isJson) {
    terminal.stdout(JSON.stringify({ event: "attempt", ...report, explain }));
    return;
  }
  const verdict = report.denied ? paint("denied    ", RED, terminal) : paint("NOT DENIED", YELLOW, terminal);
  terminal.stdout(`${verdict} ${report.tries}: ${report.got}`);
  if (explain !== null) terminal.stdout(`           ${explain}`);
}

function paint(text: string, code: number, terminal: Terminal): string {
  return terminal.colour ? `\u001b[${code}m${text}\u001b[0m` : text;
}
