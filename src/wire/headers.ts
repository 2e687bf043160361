import { LIMITS } from "../core/limits.ts";
import type { FieldLines } from "./field-lines.ts";

/** Field lines in order, flat: name, value, name, value. Names as received. */
export type Headers = readonly string[];

/** Every value of a field in order; a list field's elements may be spread over them. RFC 9110 section 5.3. */
export function headerValues(headers: Headers, lowerName: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < headers.length; i += 2) if (isName(headers[i]!, lowerName)) values.push(headers[i + 1]!);
  return values;
}

/** The fields of a scanned section, cut out of `text`, which holds the same octets at the same offsets. */
export function sliceHeaders(text: string, fields: FieldLines): string[] {
  const { marks, count } = fields;
  const headers: string[] = [];
  for (let mark = 0; mark < count * 4; mark += 4) {
    headers.push(text.substring(marks[mark]!, marks[mark + 1]), text.substring(marks[mark + 2]!, marks[mark + 3]));
  }
  return headers;
}

/**
 * A list value's elements in lower case, without their surrounding whitespace; empty elements are left out. Null when
 * there are more of them than a head may have fields: nobody means that. RFC 9110 section 5.6.1.
 */
export function listElements(value: string): string[] | null {
  const parts = value.split(",", LIMITS.headerCountMax + 1);
  if (parts.length > LIMITS.headerCountMax) return null;
  return parts.map((part) => trimWhitespace(part).toLowerCase()).filter((element) => element !== "");
}

/** Whether `name` is `lowerName`, whatever its case. Length and first letter decide nearly always: folding is dear. */
export function isName(name: string, lowerName: string): boolean {
  if (name.length !== lowerName.length || ((name.charCodeAt(0) ^ lowerName.charCodeAt(0)) & ~0x20) !== 0) return false;
  return name === lowerName || name.toLowerCase() === lowerName;
}

/** SP and HTAB alone: `trim` would also take no-break spaces, which are obs-text. RFC 9110 section 5.6.3. */
function trimWhitespace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isWhitespace(text.charCodeAt(start))) start++;
  while (end > start && isWhitespace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isWhitespace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
