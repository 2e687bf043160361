/** Octets that the HTTP codecs name. RFC 5234 appendix B.1. */
export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const DIGIT_ZERO = 0x30;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const EQUALS = 0x3d;
export const DQUOTE = 0x22;
export const BACKSLASH = 0x5c;
export const UNDERSCORE = 0x5f;

const DIGITS = "0123456789";
const UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER = "abcdefghijklmnopqrstuvwxyz";
const TOKEN_SYMBOLS = "!#$%&'*+-.^_`|~";

/** 1 for the octets of a token. RFC 9110 section 5.6.2. */
export const TOKEN = tableOf(DIGITS + UPPER + LOWER + TOKEN_SYMBOLS);

/**
 * 1 for the octets of a method. Tokens without lower-case letters: methods are case-sensitive and every registered
 * one is upper-case, so `get` is either a mistake or an attempt to pass a rule that names GET. nginx and Node refuse
 * it, too. RFC 9110 section 9.1.
 */
export const METHOD = tableOf(DIGITS + UPPER + TOKEN_SYMBOLS);

/**
 * 1 for the octets of a request-target: visible ASCII without `#`. The few that RFC 3986 leaves out (`"<>\^`{|}`)
 * are let through, because browsers send them in queries and nobody reads them in two ways; path.ts turns `\` over.
 */
export const TARGET = rangeTable(0x21, 0x7e, "#");

/** 1 for the octets of a field value or reason phrase: HTAB, SP, visible ASCII, obs-text. RFC 9110 section 5.5. */
export const FIELD_VALUE = fieldValueTable();

/** 1 for the octets between the quotes of a quoted-string that need no backslash. RFC 9110 section 5.6.4. */
export const QUOTED_TEXT = quotedTextTable();

/** 1 for the octets of a field name in HTTP/2: tokens in lower case. RFC 9113 section 8.2.1. */
export const LOWER_TOKEN = tableOf(DIGITS + LOWER + TOKEN_SYMBOLS);

/** The value of a hexadecimal digit, or 255. */
export const HEX_VALUE = hexTable();

export function isDigit(octet: number): boolean {
  return octet >= DIGIT_ZERO && octet <= DIGIT_ZERO + 9;
}

/** Whether the octets from `start` to `end` spell `lower` (ASCII, in lower case), whatever their case. */
export function spells(bytes: Uint8Array, start: number, end: number, lower: string): boolean {
  if (end - start !== lower.length) return false;
  for (let i = 0; i < lower.length; i++) {
    const octet = bytes[start + i]!;
    const folded = octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet;
    if (folded !== lower.charCodeAt(i)) return false;
  }
  return true;
}

/** Whether every character of `text` is in `table`; false for the empty text and for characters beyond U+00FF. */
export function consistsOf(text: string, table: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (table[text.charCodeAt(i)] !== 1) return false;
  return text.length > 0;
}

function tableOf(members: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const member of members) table[member.charCodeAt(0)] = 1;
  return table;
}

function rangeTable(first: number, last: number, without: string): Uint8Array {
  const table = new Uint8Array(256).fill(1, first, last + 1);
  for (const member of without) table[member.charCodeAt(0)] = 0;
  return table;
}

function fieldValueTable(): Uint8Array {
  const table = rangeTable(SP, 0xff, "\x7f");
  table[HTAB] = 1;
  return table;
}

function quotedTextTable(): Uint8Array {
  const table = fieldValueTable();
  table[DQUOTE] = 0;
  table[BACKSLASH] = 0;
  return table;
}

function hexTable(): Uint8Array {
  const table = new Uint8Array(256).fill(255);
  for (let value = 0; value < 16; value++) {
    const digit = value.toString(16);
    table[digit.charCodeAt(0)] = value;
    table[digit.toUpperCase().charCodeAt(0)] = value;
  }
  return table;
}
