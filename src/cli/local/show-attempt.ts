import type { Terminal } from "../command.ts";
import { paint, visibleText } from "../flow-text.ts";
import { explainLine } from "../program-name.ts";
import type { AttemptReport } from "./breach-report.ts";

interface Shown {
  readonly terminal: Terminal;
  readonly isJson: boolean;
  /** Null: the state directory is found by itself. */
  readonly shownState: string | null;
}

/** One attempt of the breach: what was tried, what came of it, and the line that explains it. */
export function showAttempt(report: AttemptReport, { terminal, isJson, shownState }: Shown): void {
  const explain = report.denial === null ? null : explainLine(report.denial, terminal.env, shownState);
  if (isJson) {
    terminal.stdout(JSON.stringify({ event: "attempt", ...report, explain }));
    return;
  }
  const { colour } = terminal;
  const verdict = report.denied ? paint("denied    ", "denied", colour) : paint("NOT DENIED", "would-deny", colour);
  terminal.stdout(`${verdict} ${report.tries}: ${visibleText(report.got)}`);
  if (explain !== null) terminal.stdout(`           ${explain}`);
}
