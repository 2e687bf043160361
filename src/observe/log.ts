import { LOG_FIELDS, type LogFields } from "../core/log-fields.ts";
import type { Logger, LogLevel } from "../core/ports.ts";
import { formatTime } from "./flow-line.ts";
import { jsonText } from "./json-text.ts";

export interface LogOptions {
  /** Where the lines go; openLineFile, or a terminal's stderr. */
  write(line: string): void;
  /** Events below it are not written. */
  readonly level: LogLevel;
  /** Which process speaks, e.g. `proxy shop/web`. */
  readonly process: string;
  wallMs(): number;
}

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** The program's own log: one JSON object a line. */
export function createLogger(options: LogOptions): Logger {
  const lowest = LEVELS.indexOf(options.level);
  const isEnabled = (level: LogLevel): boolean => LEVELS.indexOf(level) >= lowest;
  return {
    isEnabled,
    log(level, event, fields = {}) {
      if (!isEnabled(level)) return;
      const head = `{"time":"${formatTime(options.wallMs())}","level":"${level}","process":${jsonText(options.process)}`;
      options.write(`${head},"event":${jsonText(event)}${formatFields(fields)}}`);
    },
  };
}

function formatFields(fields: LogFields): string {
  let text = "";
  const unlisted: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (!Object.hasOwn(LOG_FIELDS, name)) unlisted.push(name);
    else if (value !== null) text += `,"${name}":${formatField(value)}`;
  }
  // The type forbids them; a spread object can bring one in all the same. Names are words of the program.
  return unlisted.length === 0 ? text : `${text},"unlisted":${jsonText(unlisted.join(","))}`;
}

function formatField(value: string | number | boolean): string {
  if (typeof value === "string") return jsonText(withoutSecrets(value));
  return typeof value === "boolean" || Number.isFinite(value) ? `${value}` : `"${value}"`;
}

/** The last guard, for texts that were made elsewhere: private keys, bearer tokens, JWTs and credentials in URLs. */
const SECRETS =
  /-----BEGIN[^-]*PRIVATE KEY-----[\s\S]*?(?:-----END[^-]*-----|$)|\bbearer\s+\S+|\beyJ[\w-]+\.[\w-]+\.[\w-]*|(?<=:\/\/)[^\s/@:]+:[^\s/@]+(?=@)/gi;

/** Longer texts are cut before they are searched, which costs more than linear time. */
const SEARCHED_LENGTH_MAX = 4_096;

function withoutSecrets(text: string): string {
  return text.slice(0, SEARCHED_LENGTH_MAX).replace(SECRETS, "[redacted]");
}
