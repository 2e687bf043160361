import { HexIds } from "../core/hex-ids.ts";
import type { Random } from "../core/ports.ts";
import { headerValues, isName } from "./headers.ts";

// Which trace a message belongs to, in W3C's form and in B3's: what came goes on in the form that it came in.

/** What a hop did with the trace it was handed. */
export interface Trace {
  readonly traceId: string;
  /** Our own span, which the next hop sees as its parent. */
  readonly spanId: string;
  /** Null when the trace begins here. */
  readonly parentId: string | null;
  readonly isSampled: boolean;
  /** Who decided that: whoever called, or we did. */
  readonly decidedBy: "caller" | "here";
}

/** Fresh ids as lower-case hexadecimal digits, never all zero, and what is decided of traces that begin here. */
export interface TraceIds {
  /** 32 digits. */
  traceId(): string;
  /** 16 digits. */
  spanId(): string;
  /** Whether a trace is recorded of which nobody before us has said so or not. */
  isSampled(traceId: string): boolean;
}

/** Ids of new traces and spans. Without anybody who decides, no trace that begins here is recorded. */
export function createTraceIds(random: Random, decider: Pick<TraceIds, "isSampled"> | null = null): TraceIds {
  const ids = new HexIds(random);
  return {
    traceId: () => neverZero(ids.next(32)),
    spanId: () => neverZero(ids.next(16)),
    isSampled: (traceId) => decider !== null && decider.isSampled(traceId),
  };
}

/**
 * Continues the trace that the headers carry, or begins one, and writes our span into them in place.
 *
 * The first that is valid is continued: `traceparent`, `b3`, `X-B3-…`. All of these forms that came go on, valid or not, and
 * say the same; where none came, a traceparent does. `tracestate` goes on with its traceparent, if it is valid. W3C Trace
 * Context level 2, sections 3 and 4; openzipkin/b3-propagation.
 */
export function traceThrough(headers: string[], ids: TraceIds): Trace {
  let parentAt = -1;
  let forms = 0;
  for (let i = 0; i < headers.length; i += 2) {
    const form = formOf(headers[i]!);
    if (form === 0) continue;
    if (form === W3C && parentAt < 0) parentAt = i;
    else if (form === W3C) forms |= DOUBLED;
    forms |= form;
  }
  const parent = parentAt < 0 || (forms & DOUBLED) !== 0 ? null : parseTraceparent(headers[parentAt + 1]!);
  const received = parent ?? ((forms & B3) === 0 ? null : readB3(headers));
  const trace = traceOf(received, ids);
  const flags = (trace.isSampled ? SAMPLED_FLAG : 0) | (received === null ? RANDOM_FLAG : received.flags & RANDOM_FLAG);
  const value = `00-${trace.traceId}-${trace.spanId}-0${flags}`;
  if (parent !== null) {
    headers[parentAt + 1] = value;
    if ((forms & STATE) !== 0) dropFaultyTracestate(headers);
  } else if ((forms & W3C) !== 0 || (forms & B3) === 0) writeNewTraceparent(headers, value, forms);
  else if ((forms & STATE) !== 0) removeHeader(headers, "tracestate");
  if ((forms & B3) !== 0) writeB3(headers, trace, { forms, received });
  return trace;
}

/** The same trace by another span of ours, written over the one before: of a request that is sent again. */
export function nextSpan(headers: string[], trace: Trace, spanId: string): Trace {
  for (let i = 0; i < headers.length; i += 2) {
    const value = headers[i + 1]!;
    switch (formOf(headers[i]!)) {
      case W3C:
        headers[i + 1] = value.slice(0, 36) + spanId + value.slice(52);
        break;
      case B3_SINGLE:
        headers[i + 1] = value.replace(`-${trace.spanId}`, `-${spanId}`);
        break;
      case B3_MULTI:
        if (isName(headers[i]!, "x-b3-spanid")) headers[i + 1] = spanId;
        break;
      default:
    }
  }
  return { ...trace, spanId };
}

/** What a field is to us; bits, so that several can be told at once. */
const W3C = 1;
const STATE = 2;
const B3_SINGLE = 4;
const B3_MULTI = 8;
const B3 = B3_SINGLE | B3_MULTI;
/** There is more than one traceparent. */
const DOUBLED = 16;

/** By length first: most names are told by that. */
function formOf(name: string): number {
  switch (name.length) {
    case 2:
      return isName(name, "b3") ? B3_SINGLE : 0;
    case 10:
      return isName(name, "tracestate") ? STATE : isName(name, "x-b3-flags") ? B3_MULTI : 0;
    case 11:
      return isName(name, "traceparent") ? W3C : isName(name, "x-b3-spanid") ? B3_MULTI : 0;
    case 12:
      return isName(name, "x-b3-traceid") || isName(name, "x-b3-sampled") ? B3_MULTI : 0;
    case 17:
      return isName(name, "x-b3-parentspanid") ? B3_MULTI : 0;
    default:
      return 0;
  }
}

/** What came: a traceparent, or what B3 can say as well. */
type Received = TraceParent | B3Context;

interface B3Context {
  /** Null: it says no more than whether to record. */
  readonly ids: { readonly traceId: string; readonly parentId: string } | null;
  /** Null: that is left to us. */
  readonly isSampled: boolean | null;
  readonly isDebug: boolean;
  /** Of the trace id as it came: 16 or 32. */
  readonly digits: number;
  readonly flags: number;
}

function traceOf(received: Received | null, ids: TraceIds): Trace {
  const spanId = ids.spanId();
  if (received !== null && "parentId" in received) {
    const { traceId, parentId, flags } = received;
    return { traceId, spanId, parentId, isSampled: (flags & SAMPLED_FLAG) !== 0, decidedBy: "caller" };
  }
  const traceId = received?.ids?.traceId ?? ids.traceId();
  const said = received?.isSampled ?? null;
  return {
    traceId,
    spanId,
    parentId: received?.ids?.parentId ?? null,
    isSampled: said ?? ids.isSampled(traceId),
    decidedBy: said === null ? "here" : "caller",
  };
}

/** One field rather than many, where both came. Null: neither says anything that can be read. */
function readB3(headers: readonly string[]): B3Context | null {
  const single = headerValues(headers, "b3");
  return (single.length === 1 ? parseB3(single[0]!) : null) ?? readB3Fields(headers);
}

const B3_VALUE = /^(?:([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?|([01d]))$/i;

/** `trace-span`, `trace-span-sampled`, `trace-span-sampled-parent`, or whether it is sampled alone. */
function parseB3(value: string): B3Context | null {
  const match = B3_VALUE.exec(value);
  if (match === null) return null;
  const [, traceId, spanId, sampled, alone] = match;
  const said = (sampled ?? alone ?? "").toLowerCase();
  const isSampled = said === "" ? null : said !== "0";
  return b3Context(traceId ?? null, spanId ?? null, { isSampled, isDebug: said === "d" });
}

function readB3Fields(headers: readonly string[]): B3Context | null {
  const one = (name: string): string | null => {
    const values = headerValues(headers, name);
    return values.length === 1 ? values[0]! : null;
  };
  const isDebug = one("x-b3-flags") === "1";
  const isSampled = isDebug ? true : sampledOf(one("x-b3-sampled"));
  const [traceId, spanId] = [one("x-b3-traceid"), one("x-b3-spanid")];
  if (traceId !== null && spanId !== null && TRACE_ID.test(traceId) && SPAN_ID.test(spanId))
    return b3Context(traceId, spanId, { isSampled, isDebug });
  // Ids that nobody can read say nothing of whether they were to be recorded either.
  const saysIds = headerValues(headers, "x-b3-traceid").length + headerValues(headers, "x-b3-spanid").length > 0;
  return saysIds || isSampled === null ? null : b3Context(null, null, { isSampled, isDebug });
}

const TRACE_ID = /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i;
const SPAN_ID = /^[0-9a-f]{16}$/i;

/** `true` and `false` were said before 1 and 0 were. */
function sampledOf(value: string | null): boolean | null {
  if (value === "1" || value === "true") return true;
  return value === "0" || value === "false" ? false : null;
}

/** Null: an id is all zero. */
function b3Context(
  traceId: string | null,
  spanId: string | null,
  said: Pick<B3Context, "isSampled" | "isDebug">,
): B3Context | null {
  if (traceId === null || spanId === null) return { ids: null, ...said, digits: 32, flags: RANDOM_FLAG };
  if (isZero(traceId) || isZero(spanId)) return null;
  const ids = { traceId: traceId.toLowerCase().padStart(32, "0"), parentId: spanId.toLowerCase() };
  return { ids, ...said, digits: traceId.length, flags: 0 };
}

function isZero(digits: string): boolean {
  return /^0+$/.test(digits);
}

/** In each of its forms that came; what stood there before, readable or not, goes. */
function writeB3(
  headers: string[],
  { traceId, spanId, parentId, isSampled }: Trace,
  { forms, received }: { readonly forms: number; readonly received: Received | null },
): void {
  const b3 = received !== null && "digits" in received ? received : null;
  const id = b3?.digits === 16 ? traceId.slice(16) : traceId;
  const sampled = b3?.isDebug === true ? "d" : isSampled ? "1" : "0";
  if ((forms & B3_SINGLE) !== 0) {
    removeHeader(headers, "b3");
    headers.push("b3", `${id}-${spanId}-${sampled}${parentId === null ? "" : `-${parentId}`}`);
  }
  if ((forms & B3_MULTI) === 0) return;
  for (const name of B3_FIELDS) removeHeader(headers, name);
  headers.push("x-b3-traceid", id, "x-b3-spanid", spanId);
  if (parentId !== null) headers.push("x-b3-parentspanid", parentId);
  // Debug says sampled as well, and is not to be told twice.
  if (sampled === "d") headers.push("x-b3-flags", "1");
  else headers.push("x-b3-sampled", sampled);
}

const B3_FIELDS = ["x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"] as const;

/** A traceparent that is doubled or not valid goes, and the state that belonged to it. W3C, section 4.3. */
function writeNewTraceparent(headers: string[], value: string, forms: number): void {
  if ((forms & W3C) !== 0) removeHeader(headers, "traceparent");
  if ((forms & STATE) !== 0) removeHeader(headers, "tracestate");
  headers.push("traceparent", value);
}

function dropFaultyTracestate(headers: string[]): void {
  if (!isTracestate(headerValues(headers, "tracestate"))) removeHeader(headers, "tracestate");
}

function removeHeader(headers: string[], lowerName: string): void {
  let kept = 0;
  for (let i = 0; i < headers.length; i += 2) {
    if (isName(headers[i]!, lowerName)) continue;
    headers[kept] = headers[i]!;
    headers[kept + 1] = headers[i + 1]!;
    kept += 2;
  }
  headers.length = kept;
}

/** All zero means "none", however unlikely it is to be drawn. */
function neverZero(drawn: string): string {
  for (let i = 0; i < drawn.length; i++) if (drawn.charCodeAt(i) !== DIGIT_ZERO) return drawn;
  return `${drawn.slice(1)}1`;
}

const DIGIT_ZERO = 0x30;

// W3C's form.

/** Where a message stands in its trace. W3C Trace Context section 3.2. */
export interface TraceParent {
  /** 32 lower-case hexadecimal digits, not all zero. */
  readonly traceId: string;
  /** The caller's span: 16 lower-case hexadecimal digits, not all zero. */
  readonly parentId: string;
  /** The flags that are defined: 1 sampled, 2 random trace id (level 2). */
  readonly flags: number;
}

/**
 * A traceparent field → its parts, or null when it is not valid. Section 3.2.2; versions to come: section 4. Octet by
 * octet, since each request has one: an expression took several times as long, and made a list of its groups.
 */
export function parseTraceparent(value: string): TraceParent | null {
  if (value.length < VALUE_LENGTH || !hasDashes(value)) return null;
  const version = hexValue(value, 0, 2);
  if (version < 0 || version === 0xff) return null;
  // Version 00 ends here; a later one may add fields behind another dash.
  if (value.length > VALUE_LENGTH && (version === 0 || value.charCodeAt(VALUE_LENGTH) !== DASH)) return null;
  const flags = hexValue(value, 53, 55);
  if (flags < 0 || !isId(value, 3, 35) || !isId(value, 36, 52)) return null;
  return { traceId: value.substring(3, 35), parentId: value.substring(36, 52), flags: flags & KNOWN_FLAGS };
}

/** The field in version 00. */
export function formatTraceparent(parent: TraceParent): string {
  const { traceId, parentId, flags } = parent;
  return `00-${traceId}-${parentId}-0${flags & KNOWN_FLAGS}`;
}

/**
 * Whether tracestate fields, joined, are a list of at most 32 members. A key that stands twice is its senders' matter: both are
 * passed on as they came. Level 2, section 3.3.1.
 */
export function isTracestate(values: readonly string[]): boolean {
  if (values.reduce((length, value) => length + value.length, 0) > TRACESTATE_LENGTH_MAX) return false;
  const members = values.flatMap((value) => value.split(",")).map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ""));
  const present = members.filter((member) => member !== "");
  return present.length <= TRACESTATE_MEMBERS_MAX && present.every(isTracestateMember);
}

const SAMPLED_FLAG = 1;
/** Of a trace id of which at least seven octets on the right were left to chance. Level 2, section 3.2.2.5. */
const RANDOM_FLAG = 2;
const KNOWN_FLAGS = SAMPLED_FLAG | RANDOM_FLAG;
const TRACESTATE_MEMBERS_MAX = 32;
/** Key, equals sign, value and comma at their longest, for every member. */
const TRACESTATE_LENGTH_MAX = TRACESTATE_MEMBERS_MAX * (256 + 1 + 256 + 1);

/** Of version 00: version, trace id, parent id, flags. */
const VALUE_LENGTH = 55;
const DASH = 0x2d;

function hasDashes(value: string): boolean {
  return value.charCodeAt(2) === DASH && value.charCodeAt(35) === DASH && value.charCodeAt(52) === DASH;
}

/** Of a lower-case hexadecimal digit; -1 for any other character. */
function digitValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  return code >= 0x61 && code <= 0x66 ? code - 0x57 : -1;
}

/** The number that a few digits write; -1 when they are not all lower-case hexadecimal. */
function hexValue(text: string, start: number, end: number): number {
  let number = 0;
  for (let i = start; i < end; i++) {
    const digit = digitValue(text.charCodeAt(i));
    if (digit < 0) return -1;
    number = number * 16 + digit;
  }
  return number;
}

/** Lower-case hexadecimal digits, not all zero. */
function isId(text: string, start: number, end: number): boolean {
  let union = 0;
  for (let i = start; i < end; i++) {
    const digit = digitValue(text.charCodeAt(i));
    if (digit < 0) return false;
    union |= digit;
  }
  return union !== 0;
}

/** A key, and 256 printable characters without comma and equals sign, the last not a space. */
const TRACESTATE_MEMBER = /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]$/;

function isTracestateMember(member: string): boolean {
  return TRACESTATE_MEMBER.test(member);
}
