import { DIGIT_ZERO, isDigit } from "./octets.ts";

/** `HTTP/1.1` in octets. */
export const VERSION_LENGTH = 8;

const VERSION_DIGIT = -1;

/** `HTTP/` in upper case, a digit, a dot, a digit. RFC 9112 section 2.3. */
const VERSION_PATTERN = [0x48, 0x54, 0x54, 0x50, 0x2f, VERSION_DIGIT, 0x2e, VERSION_DIGIT] as const;

/** The offset of the first octet that does not fit a version beginning at `start`, or the version's or input's end. */
export function skipVersion(bytes: Uint8Array, start: number, from: number, end: number): number {
  const stop = Math.min(end, start + VERSION_LENGTH);
  for (let at = from; at < stop; at++) {
    const expected = VERSION_PATTERN[at - start]!;
    const isRight = expected === VERSION_DIGIT ? isDigit(bytes[at]!) : bytes[at] === expected;
    if (!isRight) return at;
  }
  return stop;
}

/** HTTP/1.1 and HTTP/1.0 alone: what 1.2 would mean nobody has written down. */
export function minorVersionOf(bytes: Uint8Array, start: number): 0 | 1 | null {
  if (bytes[start + 5] !== DIGIT_ZERO + 1) return null;
  const minor = bytes[start + 7]! - DIGIT_ZERO;
  return minor === 0 || minor === 1 ? minor : null;
}
