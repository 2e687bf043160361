import { LIMITS } from "../core/limits.ts";

/** Printable ASCII without the quote and the backslash: what nearly every field is made of. */
const NEEDS_CARE = /[^ !#-[\]-~]/;
/**
 * What JSON.stringify lets through but a terminal, a pager or a JavaScript reader may act upon: DEL and the C1
 * controls (0x9b begins an ANSI sequence, too), format characters that reverse or hide text, and the separators
 * U+2028 and U+2029.
 */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * Any text as a JSON string with its quotes: valid JSON and valid UTF-8 whatever came in, free of characters that
 * act on a terminal, and at most `logFieldBytesMax` bytes before escaping. JSON.parse gives the same text back.
 */
export function jsonText(text: string): string {
  if (text.length <= LIMITS.logFieldBytesMax && !NEEDS_CARE.test(text)) return `"${text}"`;
  return JSON.stringify(cutText(text)).replace(INVISIBLE, escapeUnits);
}

/** Says at the end of a text that it was cut. No text read from the wire can end so: those are Latin-1. */
const CUT_MARK = /…\[\d+ bytes cut\]$/;

/** Whether a field's text was cut when it was recorded. */
export function isCutText(text: string): boolean {
  return CUT_MARK.test(text);
}

/** The text, or its beginning with a mark when it is over the limit. */
export function cutText(text: string): string {
  const max = LIMITS.logFieldBytesMax;
  // At most three UTF-8 bytes a code unit, so most texts need no counting.
  if (text.length * 3 <= max) return text;
  const bytes = Buffer.from(text, "utf8");
  if (bytes.length <= max) return text;
  let end = max;
  // Not in the middle of a character: 10xxxxxx continues one (RFC 3629 section 3).
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return `${bytes.toString("utf8", 0, end)}…[${bytes.length - end} bytes cut]`;
}

function escapeUnits(characters: string): string {
  let escaped = "";
  for (let index = 0; index < characters.length; index++) {
    escaped += `\\u${characters.charCodeAt(index).toString(16).padStart(4, "0")}`;
  }
  return escaped;
}
