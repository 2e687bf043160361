import { CardeaError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";

/** Milliseconds since the Unix epoch: of the flag `--time`, in the form of RFC 3339, else now. Errors: `bad-input`. */
export function readTime(text: string | undefined, clock: Pick<Clock, "wallMs">): number {
  if (text === undefined) return clock.wallMs();
  const isDate = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/.test(text);
  const timeMs = isDate ? Date.parse(text.toUpperCase()) : Number.NaN;
  if (!Number.isNaN(timeMs)) return timeMs;
  throw new CardeaError(
    "bad-input",
    `--time: expected a time like 2026-01-31T12:00:00Z, found ${JSON.stringify(text)}`,
  );
}
