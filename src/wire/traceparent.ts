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

export const SAMPLED_FLAG = 1;
/** Of a trace id of which at least seven octets on the right were left to chance. Level 2, section 3.2.2.5. */
export const RANDOM_FLAG = 2;
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
