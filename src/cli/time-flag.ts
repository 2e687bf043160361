import { CardeaError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import { systemClock } from "../io/clock.ts";
import type { AuthorizationPolicy } from "../policy/document.ts";
import { policiesAt } from "../policy/grant-times.ts";
import type { ParsedArgs } from "./command.ts";

/** The policies at the time of the flag `--at`; without it as if every grant held, whenever it is asked. */
export function documentsAt(
  documents: readonly AuthorizationPolicy[],
  args: ParsedArgs,
): readonly AuthorizationPolicy[] {
  const at = args.flag("at");
  return at === undefined ? documents : policiesAt(documents, readTime(at, systemClock, "at"));
}

/** Milliseconds since the Unix epoch: of the flag, in the form of RFC 3339, else now. Errors: `bad-input`. */
export function readTime(text: string | undefined, clock: Pick<Clock, "wallMs">, flag = "time"): number {
  if (text === undefined) return clock.wallMs();
  const isDate = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/.test(text);
  const timeMs = isDate ? Date.parse(text.toUpperCase()) : Number.NaN;
  if (!Number.isNaN(timeMs)) return timeMs;
  throw new CardeaError(
    "bad-input",
    `--${flag}: expected a time like 2026-01-31T12:00:00Z, found ${JSON.stringify(text)}`,
  );
}
