import { CardeaError } from "../core/errors.ts";
import type { Observation } from "../policy/analysis/suggest.ts";
import { type GrantUse, grantUses } from "../policy/analysis/unused.ts";
import type { MeshSettings } from "../policy/mesh-settings.ts";
import type { ExitCode, ParsedArgs, Terminal } from "./command.ts";
import { readGoodPolicies } from "./policy-input.ts";

const DAY_MS = 86_400_000;
const DAYS_MAX = 3_650;

/** What was seen, and how far back a grant must have been needed. */
export interface UnusedQuestion {
  readonly observations: readonly Observation[];
  readonly settings: MeshSettings;
  readonly days: string;
  readonly nowMs: number;
}

/** Prints the grants that nothing needed for so many days; 1 when there is one. Errors: `bad-input`. */
export async function reportUnused(question: UnusedQuestion, args: ParsedArgs, terminal: Terminal): Promise<ExitCode> {
  const days = Number(question.days);
  if (!/^\d{1,4}$/.test(question.days) || days < 1 || days > DAYS_MAX)
    throw new CardeaError(
      "bad-input",
      `--unused-since: expected a number of days, found ${JSON.stringify(question.days)}`,
    );
  const paths = args.flags("policies");
  if (paths.length === 0)
    throw new CardeaError("bad-input", "--unused-since needs --policies: whose grants are meant?");
  const { documents } = await readGoodPolicies(paths);
  const { observations, settings, nowMs } = question;
  const sinceMs = nowMs - days * DAY_MS;
  const uses = grantUses(documents, observations, settings);
  const unused = uses.filter(({ lastMs }) => lastMs === null || lastMs < sinceMs);
  for (const use of unused) terminal.stdout(args.isSet("json") ? JSON.stringify(jsonOf(use)) : lineOf(use));
  const firstMs = Math.min(...observations.map((seen) => seen.firstMs));
  if (firstMs > sinceMs)
    terminal.stderr(`what was read begins at ${timeOf(firstMs)}: it does not reach back ${days} days`);
  terminal.stderr(`${unused.length} of ${uses.length} grants were not used for ${days} days`);
  return unused.length > 0 ? 1 : 0;
}

function lineOf({ policy, rule, file, line, field, value, lastMs }: GrantUse): string {
  const what = field === null ? `rule ${rule} of ${policy}` : `${JSON.stringify(value)} in rule ${rule} of ${policy}`;
  const when = lastMs === null ? "nothing that was read uses it" : `last used at ${timeOf(lastMs)}`;
  return `${file}:${line ?? 1}: ${what}: ${when}`;
}

function jsonOf({ lastMs, ...use }: GrantUse): object {
  return { kind: "unused", ...use, lastUsed: lastMs === null ? null : timeOf(lastMs) };
}

/** Of no observation there is no time. */
function timeOf(ms: number): string {
  return Number.isFinite(ms) ? new Date(ms).toISOString() : "no time at all";
}
