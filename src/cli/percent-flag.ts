import { CardeaError } from "../core/errors.ts";

/** A flag's value as per cent, 0 to 100; null where it was not given. Errors: `bad-input`. */
export function parsePercent(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const percent = Number(text);
  if (/^\d{1,3}(\.\d+)?$/.test(text) && percent <= 100) return percent;
  throw new CardeaError("bad-input", `--${name}: expected a number from 0 to 100, found ${JSON.stringify(text)}`);
}
