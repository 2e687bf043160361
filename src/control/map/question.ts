import { CardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import { VERDICTS, type Verdict } from "../../observe/flow.ts";
import type { TimeRange } from "../flows/query.ts";

// What a page may ask for, of the query of its address. Errors of all: `bad-input`.

const TEXT_LENGTH_MAX = 1_024;

export function textOf(query: URLSearchParams, name: string): string | null {
  const text = query.get(name);
  if (text !== null && text.length > TEXT_LENGTH_MAX)
    throw new CardeaError("bad-input", `${name} is longer than ${TEXT_LENGTH_MAX} characters`);
  return text === "" ? null : text;
}

export function rangeOf(query: URLSearchParams): TimeRange {
  const [fromMs, toMs] = [numberOf(query, "from"), numberOf(query, "to")];
  if (fromMs === null || toMs === null || fromMs >= toMs)
    throw new CardeaError("bad-input", "from and to are milliseconds since 1970, in that order");
  return { fromMs, toMs };
}

/** A time beyond this is no date. */
const NUMBER_MAX = 8_640_000_000_000_000;

export function numberOf(query: URLSearchParams, name: string): number | null {
  const text = textOf(query, name);
  if (text === null) return null;
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (number <= NUMBER_MAX) return number;
  throw new CardeaError("bad-input", `${name} is a whole number`);
}

export function verdictsOf(query: URLSearchParams): readonly Verdict[] {
  const words = query.getAll("verdict").slice(0, VERDICTS.length + 1);
  return words.map((word) => {
    const found = VERDICTS.find((verdict) => verdict === word);
    if (found === undefined) throw new CardeaError("bad-input", `verdict is one of ${VERDICTS.join(", ")}`);
    return found;
  });
}

export function limitOf(query: URLSearchParams): number {
  return Math.max(1, Math.min(numberOf(query, "limit") ?? 100, FLOW_LIMITS.mapAnswerFlowsMax));
}

/** A flow's id, or so much of one that nobody meets it by chance. */
export function idOf(query: URLSearchParams): string {
  const id = textOf(query, "id")?.toLowerCase() ?? "";
  if (/^[0-9a-f]{8,16}$/.test(id)) return id;
  throw new CardeaError("bad-input", "a flow's id is 16 hexadecimal digits");
}
