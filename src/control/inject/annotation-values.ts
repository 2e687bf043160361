import { closestWord } from "../../core/closest-word.ts";
import { parseCidr } from "../../core/cidr.ts";
import { parseDuration } from "../../core/duration.ts";
import { formatPortRanges, parsePortRanges } from "../../core/port-range.ts";
import type { LogLevel } from "../../core/ports.ts";
import { parseQuantity } from "./quantity.ts";

/** A kind of value: its text → T; throws an Error that says what was expected. */
export interface ValueKind<T> {
  /** For the reference. */
  readonly form: string;
  parse(text: string): T;
}

/** What `*` stands for where ports or ranges are listed. */
export type AllOr<T> = "all" | T;

/** Canonical text: ranges as `25,9000-9010`. Text, since that is what the redirect and the sidecar are told. */
export const PORT_LIST: ValueKind<string> = {
  form: "ports and ranges: `25,9000-9010`",
  parse: (text) => formatPortRanges(parsePortRanges(text)),
};

export const PORT_LIST_OR_ALL: ValueKind<AllOr<string>> = {
  form: "`*`, or ports and ranges",
  parse: (text) => (text.trim() === "*" ? "all" : PORT_LIST.parse(text)),
};

const CIDRS_MAX = 256;

export const CIDR_LIST: ValueKind<string> = {
  form: "address ranges: `10.0.0.0/8,2001:db8::/32`",
  parse(text) {
    if (text.trim() === "") return "";
    const words = text.split(",").map((word) => word.trim());
    if (words.length > CIDRS_MAX) throw new Error(`expected at most ${CIDRS_MAX} ranges, found ${words.length}`);
    return words.map((word) => parseCidr(word).text).join(",");
  },
};

export const CIDR_LIST_OR_ALL: ValueKind<AllOr<string>> = {
  form: "`*`, or address ranges",
  parse: (text) => (text.trim() === "*" ? "all" : CIDR_LIST.parse(text)),
};

export const QUANTITY: ValueKind<string> = {
  form: "a quantity: `100m`, `128Mi`",
  parse(text) {
    parseQuantity(text.trim());
    return text.trim();
  },
};

export const SWITCH: ValueKind<boolean> = {
  form: "`true` or `false`",
  parse(text) {
    if (text === "true") return true;
    if (text === "false") return false;
    throw new Error(expected(["true", "false"], text));
  },
};

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

export const LOG_LEVEL: ValueKind<LogLevel> = {
  form: "`debug`, `info`, `warn` or `error`",
  parse: (text) => oneOfWords(LEVELS, text),
};

/** Envoy's and Linkerd's words for what we have fewer of. */
const FOREIGN_LEVELS: Readonly<Record<string, LogLevel>> = {
  trace: "debug",
  warning: "warn",
  critical: "error",
  off: "error",
};

/** Linkerd's may name modules, too (`warn,linkerd=info`); the level that stands alone is meant for all of them. */
export const FOREIGN_LOG_LEVEL: ValueKind<LogLevel> = {
  form: "a level of Envoy's or Linkerd's",
  parse(text) {
    const word = text.split(",").find((part) => !/[=:]/.test(part)) ?? text;
    return FOREIGN_LEVELS[word] ?? oneOfWords(LEVELS, word);
  },
};

/** Whole seconds, at least one. */
export const SECONDS: ValueKind<number> = {
  form: "a duration: `30s`, `1m30s`",
  parse(text) {
    const seconds = parseDuration(text.trim()) / 1_000;
    if (Number.isInteger(seconds) && seconds >= 1 && seconds <= 600) return seconds;
    throw new Error(`expected whole seconds from 1s to 10m, found ${JSON.stringify(text)}`);
  },
};

export function wholeNumber(min: number, max: number): ValueKind<number> {
  return {
    form: `a whole number from ${min} to ${max}`,
    parse(text) {
      const number = Number(text);
      if (/^\d{1,6}$/.test(text) && number >= min && number <= max) return number;
      throw new Error(`expected a whole number from ${min} to ${max}, found ${JSON.stringify(text)}`);
    },
  };
}

function oneOfWords<T extends string>(words: readonly T[], text: string): T {
  const word = words.find((each) => each === text);
  if (word !== undefined) return word;
  throw new Error(expected(words, text));
}

/** What was expected, with the word that was probably meant. */
export function expected(words: readonly string[], text: string): string {
  const closest = closestWord(text, words);
  const hint = closest === null ? "" : `; did you mean ${closest}?`;
  return `expected ${words.slice(0, -1).join(", ")} or ${words.at(-1)}, found ${JSON.stringify(text.slice(0, 60))}${hint}`;
}
