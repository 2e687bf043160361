import { LIMITS } from "../core/limits.ts";
import { isAuthority } from "./authority.ts";
import type { FieldLines } from "./field-lines.ts";
import { type Headers, listElements } from "./headers.ts";
import { consistsOf, spells, TOKEN, UNDERSCORE } from "./octets.ts";

/** What the fields of a head say about its framing and its connection. */
export interface FieldFacts {
  /** Null when there is no Host. */
  host: string | null;
  /** Null when there is no Content-Length. */
  contentLength: number | null;
  isChunked: boolean;
  saysClose: boolean;
  saysKeepAlive: boolean;
  saysUpgrade: boolean;
  /** Lower-case names that Connection nominates as hop-by-hop, other than the options above. */
  nominated: string[];
  /** The Upgrade field's protocols, in lower case, joined by ", "; null when there is none. */
  upgrade: string | null;
  expect: string | null;
  /** Why the head must be refused, or null. */
  fault: string | null;
}

/** Reads the few fields that decide framing and connection; all others are passed by. */
export function readFieldFacts(bytes: Uint8Array, fields: FieldLines, headers: Headers): FieldFacts {
  const facts: FieldFacts = {
    host: null,
    contentLength: null,
    isChunked: false,
    saysClose: false,
    saysKeepAlive: false,
    saysUpgrade: false,
    nominated: NONE,
    upgrade: null,
    expect: null,
    fault: null,
  };
  const { marks, count } = fields;
  for (let i = 0; i < count && facts.fault === null; i++) {
    facts.fault = addField(facts, bytes, marks[i * 4]!, marks[i * 4 + 1]!, headers[i * 2 + 1]!);
  }
  return facts;
}

/** Whether the connection stays open behind the message. RFC 9112 section 9.3. */
export function isKeepAlive(facts: FieldFacts, isHttp11: boolean): boolean {
  return !facts.saysClose && (isHttp11 || facts.saysKeepAlive);
}

/** Shared by all heads that nominate nothing; never written to. */
const NONE: string[] = [];

/** Returns the fault, or null. The name's length decides first: most fields end there. */
function addField(facts: FieldFacts, bytes: Uint8Array, start: number, end: number, value: string): string | null {
  switch (end - start) {
    case 4:
      return spells(bytes, start, end, "host") ? addHost(facts, value) : null;
    case 6:
      return spells(bytes, start, end, "expect") ? addExpect(facts, value) : null;
    case 7:
      return spells(bytes, start, end, "upgrade") ? addUpgrade(facts, value) : null;
    case 10:
      return spells(bytes, start, end, "connection") ? addConnection(facts, value) : null;
    case 14:
      return spells(bytes, start, end, "content-length")
        ? addContentLength(facts, value)
        : faultOfLookAlike(bytes, start, end, "content_length");
    case 17:
      return spells(bytes, start, end, "transfer-encoding")
        ? addTransferEncoding(facts, value)
        : faultOfLookAlike(bytes, start, end, "transfer_encoding");
    default:
      return null;
  }
}

/** The last Host that was found valid, of any connection. */
let lastHost: string | null = null;

/** RFC 9112 section 3.2: one Host alone, and a valid one. */
function addHost(facts: FieldFacts, value: string): string | null {
  if (facts.host !== null) return "there are two Host fields";
  // A connection says the same host again and again; the comparison costs a tenth of the check.
  if (value !== lastHost && !isAuthority(value)) return "Host is not host[:port]";
  facts.host = lastHost = value;
  return null;
}

function addExpect(facts: FieldFacts, value: string): string | null {
  facts.expect = facts.expect === null ? value.toLowerCase() : `${facts.expect}, ${value.toLowerCase()}`;
  return null;
}

/** `protocol-name["/"version]`, comma-separated. RFC 9110 section 7.8. */
function addUpgrade(facts: FieldFacts, value: string): string | null {
  const protocols = listElements(value);
  if (protocols === null) return "Upgrade has too many elements";
  if (protocols.length === 0) return "Upgrade is empty";
  for (const protocol of protocols) {
    const parts = protocol.split("/");
    if (parts.length > 2 || !parts.every((part) => consistsOf(part, TOKEN)))
      return "Upgrade is not a list of protocols";
  }
  facts.upgrade = facts.upgrade === null ? protocols.join(", ") : `${facts.upgrade}, ${protocols.join(", ")}`;
  return null;
}

/** RFC 9110 section 7.6.1. */
function addConnection(facts: FieldFacts, value: string): string | null {
  if (value === "keep-alive") {
    facts.saysKeepAlive = true;
    return null;
  }
  const options = listElements(value);
  if (options === null) return "Connection has too many elements";
  for (const option of options) {
    const fault = addConnectionOption(facts, option);
    if (fault !== null) return fault;
  }
  return null;
}

function addConnectionOption(facts: FieldFacts, option: string): string | null {
  if (option === "keep-alive") facts.saysKeepAlive = true;
  else if (option === "close") facts.saysClose = true;
  else if (option === "upgrade") facts.saysUpgrade = true;
  else if (!consistsOf(option, TOKEN)) return "Connection is not a list of tokens";
  else if (isEndToEnd(option)) return "Connection names a field that is not hop-by-hop";
  else return nominate(facts, option);
  return null;
}

function nominate(facts: FieldFacts, name: string): string | null {
  if (facts.nominated.length === LIMITS.headerCountMax) return "Connection has too many elements";
  if (facts.nominated === NONE) facts.nominated = [name];
  else facts.nominated.push(name);
  return null;
}

/**
 * Two Content-Lengths are refused even when they are equal (RFC 9110 section 8.6 would allow to merge them): a
 * merged list is what smuggling is made of, and no client of note sends one.
 */
function addContentLength(facts: FieldFacts, value: string): string | null {
  if (facts.contentLength !== null) return "there are two Content-Length fields";
  const length = parseLength(value);
  if (length < 0) return "Content-Length is not a decimal number below 2^53";
  facts.contentLength = length;
  return null;
}

/** `chunked` once and alone: other codings between neighbours are refused, and so is a list. RFC 9112 section 6.1. */
function addTransferEncoding(facts: FieldFacts, value: string): string | null {
  if (facts.isChunked) return "there are two Transfer-Encoding fields";
  if (value.toLowerCase() !== "chunked") return "Transfer-Encoding is not chunked alone";
  facts.isChunked = true;
  return null;
}

/** CGI, WSGI and others hand `_` and `-` to the app as the same character, so this would frame the message twice. */
function faultOfLookAlike(bytes: Uint8Array, start: number, end: number, name: string): string | null {
  // content-length and transfer-encoding have their only dash at different places; look there first.
  const dash = start + name.indexOf("_");
  if (bytes[dash] !== UNDERSCORE || !spells(bytes, start, end, name)) return null;
  return "a field looks like a framing field, but for its underscore";
}

/** Digits alone, 16 at most, below 2^53; -1 otherwise. RFC 9110 section 8.6. */
export function parseLength(value: string): number {
  if (value.length === 0 || value.length > 16) return -1;
  let length = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length <= Number.MAX_SAFE_INTEGER ? length : -1;
}

/**
 * Fields that a Connection option must never remove on the way: framing, routing, credentials, and what proxies tell
 * the next one ("hop-by-hop abuse"). RFC 9110 section 7.6.1 forbids senders to nominate fields meant for all.
 */
const END_TO_END = new Set([
  "authorization",
  "cache-control",
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "cookie",
  "date",
  "expect",
  "forwarded",
  "host",
  "location",
  "max-forwards",
  "origin",
  "range",
  "set-cookie",
  "traceparent",
  "tracestate",
  "transfer-encoding",
  "via",
]);

function isEndToEnd(option: string): boolean {
  return END_TO_END.has(option) || /^x-(forwarded|real|envoy|cardea|request-id|b3)/.test(option);
}
