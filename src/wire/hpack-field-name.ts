import { STATIC_COUNT, STATIC_FIELDS } from "./hpack-static-table.ts";

/**
 * How a field is written. `entered`: into the table, when its values repeat. `plain`: never worth an entry. `never`:
 * a secret, which no hop may enter, since the size of what follows would tell about it (RFC 7541 section 7.1.3).
 * `dropped`: HTTP/2 does not have it (RFC 9113 section 8.2.2), or the head says it otherwise.
 */
export type Indexing = "entered" | "plain" | "never" | "dropped";

/** What the encoder needs to know of a name, worked out once. The texts are octets as latin-1. */
export interface FieldName {
  /** In lower case. */
  readonly name: string;
  readonly indexing: Indexing;
  /** What stands before the value in a literal that is not entered, or never. RFC 7541 sections 6.2.2 and 6.2.3. */
  readonly literal: string;
  /** What stands before the value in a literal that is entered. RFC 7541 section 6.2.1. */
  readonly entering: string;
  /** Whole fields of the static table, by value. */
  readonly indexed: ReadonlyMap<string, string> | null;
}

/** Looks a name up, in whatever case. */
export function fieldNameOf(name: string): FieldName {
  return known.get(name) ?? learn(name);
}

/** An integer behind a prefix of `bits` bits, the bits above it being `pattern`. RFC 7541 section 5.1. */
export function encodeInteger(value: number, bits: number, pattern: number): string {
  const mask = (1 << bits) - 1;
  if (value < mask) return String.fromCharCode(pattern | value);
  let text = String.fromCharCode(pattern | mask);
  let rest = value - mask;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) text += String.fromCharCode((rest & 0x7f) | 0x80);
  return text + String.fromCharCode(rest);
}

/** A string without Huffman coding: it would cost more than the octets that it saves. RFC 7541 section 5.2. */
export function encodeString(text: string): string {
  return (SHORT_LENGTHS[text.length] ?? encodeInteger(text.length, 7, 0)) + text;
}

/** Names come from callers, so there is an end to how many are remembered, and to how long they may be. */
const KNOWN_MAX = 1_024;
const KNOWN_LENGTH_MAX = 64;

const SHORT_LENGTHS = Array.from({ length: 127 }, (_, length) => String.fromCharCode(length));

/** Where names first stand in the static table, and which whole fields it has. */
const staticNames = new Map<string, { readonly index: number; readonly indexed: Map<string, string> }>();

for (let index = 1; index <= STATIC_COUNT; index++) {
  const name = STATIC_FIELDS[index * 2 - 2]!;
  const value = STATIC_FIELDS[index * 2 - 1]!;
  if (!staticNames.has(name)) staticNames.set(name, { index, indexed: new Map() });
  if (value !== "") staticNames.get(name)!.indexed.set(value, encodeInteger(index, 7, 0x80));
}

/** Connection-specific fields, which HTTP/2 forbids (RFC 9113 section 8.2.2), and Host, since :authority is always sent. */
const DROPPED = [
  "connection",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
];

const SECRET = [
  "authorization",
  "cookie",
  "proxy-authenticate",
  "proxy-authorization",
  "set-cookie",
  "www-authenticate",
  "x-csrf-token",
];

/** What else is a secret by its name: whoever guesses values beside it could learn it from sizes. */
const SECRET_WORD = /token|secret|passw|api-?key|session|credential|signature|jwt/;

/** Another value each time, or nearly so: an entry would drive out one that pays. */
const VOLATILE = [
  "age",
  "b3",
  "content-length",
  "content-location",
  "content-range",
  "date",
  "etag",
  "expires",
  "forwarded",
  "grpc-message",
  "grpc-timeout",
  "idempotency-key",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "last-modified",
  "location",
  "range",
  "retry-after",
  "sec-websocket-accept",
  "sec-websocket-key",
  "server-timing",
  "traceparent",
  "tracestate",
  "uber-trace-id",
  "x-amzn-trace-id",
  "x-b3-parentspanid",
  "x-b3-spanid",
  "x-b3-traceid",
  "x-cardea-denial",
  "x-correlation-id",
  "x-envoy-upstream-service-time",
  "x-forwarded-client-cert",
  "x-forwarded-for",
  "x-request-id",
];

const known = new Map<string, FieldName>();

for (const name of staticNames.keys()) learn(name);
for (const name of [...DROPPED, ...SECRET, ...VOLATILE]) learn(name);

/** One object for all spellings of a name, so that its values are found again. */
function learn(text: string): FieldName {
  const name = text.toLowerCase();
  const made = known.get(name) ?? makeFieldName(name);
  if (known.size < KNOWN_MAX - 1 && name.length <= KNOWN_LENGTH_MAX) known.set(name, made).set(text, made);
  return made;
}

function makeFieldName(name: string): FieldName {
  const fixed = staticNames.get(name);
  const indexing = indexingOf(name);
  const index = fixed?.index ?? 0;
  const newName = index === 0 ? encodeString(name) : "";
  return {
    name,
    indexing,
    literal: encodeInteger(index, 4, indexing === "never" ? 0x10 : 0) + newName,
    entering: encodeInteger(index, 6, 0x40) + newName,
    indexed: fixed === undefined || fixed.indexed.size === 0 ? null : fixed.indexed,
  };
}

function indexingOf(name: string): Indexing {
  if (DROPPED.includes(name)) return "dropped";
  if (SECRET.includes(name) || SECRET_WORD.test(name)) return "never";
  return VOLATILE.includes(name) ? "plain" : "entered";
}
