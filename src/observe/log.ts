import type { Logger, LogLevel } from "../core/ports.ts";
import { formatTime } from "./flow-line.ts";
import { jsonText } from "./json-text.ts";

/**
 * Every field that a line of the program's own log may have, beside time, level, process and event. What is not
 * listed is not written: a new field is a decision, so that no key, token, body or query gets in by accident.
 */
export const LOG_FIELDS = {
  address: "An IP address and port of ours or of a peer.",
  attestation: "How a caller of the authority proved who it is.",
  before: "The revision that was in force until now.",
  code: "An error's code (docs/reference/errors.md).",
  column: "A place in a file, from 1.",
  count: "How many of what the event is about.",
  durationMs: "How long it took.",
  error: "An error's message.",
  failures: "How often in a row it has failed.",
  fault: "One fault of a document, as file:line:column: field: message.",
  field: "The document's field that a fault is about.",
  file: "A file's path.",
  id: "A flow record's id.",
  line: "A place in a file, from 1.",
  message: "What is wrong, in words for people.",
  notAfter: "When a certificate ends.",
  pid: "A process.",
  policies: "How many policies.",
  port: "A port of ours.",
  reason: "Why.",
  renewInMs: "When the certificate will be renewed.",
  retryInMs: "When it will be tried again.",
  revision: "A policy set's revision.",
  serial: "A certificate's serial number.",
  service: "A service's host name.",
  services: "How many services.",
  spiffeId: "A workload's identity.",
  trustDomain: "A trust domain.",
  typeUrl: "A type of discovery resources.",
  version: "The program's version.",
  workload: "A workload's name.",
  workloads: "How many workloads.",
} as const;

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

type FieldValue = string | number | boolean | null;

function formatFields(fields: Readonly<Record<string, FieldValue>>): string {
  let text = "";
  const unlisted: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (!Object.hasOwn(LOG_FIELDS, name)) unlisted.push(name);
    else if (value !== null) text += `,"${name}":${formatField(value)}`;
  }
  // Their names are words of the program; whoever added one sees that it is missing from the table.
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
