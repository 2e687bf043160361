import { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import { isName } from "../../wire/headers.ts";
import { isHopByHop } from "../../wire/hop-by-hop.ts";
import { isIdentityHeader } from "../headers.ts";

/** What a server wants done to a list of fields. */
export interface HeaderEdit {
  /** `ifAbsent`, `ifPresent`: set only then. */
  readonly does: "set" | "append" | "ifAbsent" | "ifPresent" | "remove";
  readonly name: string;
  readonly value: string;
}

/**
 * Whether a field is nobody's to change from outside: what routes a request, frames it, belongs to one connection, or says
 * who calls. What was authorized is what is forwarded, and who calls is what the certificate says.
 */
export function isOutOfReach(name: string): boolean {
  const lower = name.toLowerCase();
  return NOT_THEIRS.has(lower) || lower.startsWith(":") || isHopByHop(lower, []) || isIdentityHeader(lower);
}

/** Errors: `upstream-protocol-error`, for a name or value that cannot be sent. */
export function assertSendable({ name, value }: Pick<HeaderEdit, "name" | "value">): void {
  if (TOKEN.test(name) && name.length <= 256 && VALUE.test(value) && value.length <= LIMITS.extAuthzAnswerBytesMax)
    return;
  throw new CardeaError(
    "upstream-protocol-error",
    `the server names a header that cannot be sent: ${JSON.stringify(name.slice(0, 80))}`,
  );
}

/** Changes the list in place. Errors: `upstream-protocol-error`, when it becomes too long. */
export function applyEdits(headers: string[], edits: readonly HeaderEdit[]): void {
  for (const edit of edits) applyEdit(headers, edit);
  if (headers.length > LIMITS.headerCountMax * 2)
    throw new CardeaError("upstream-protocol-error", "the server adds more headers than a head may have");
}

function applyEdit(headers: string[], { does, name, value }: HeaderEdit): void {
  const isThere = headers.some((text, i) => i % 2 === 0 && isName(text, name.toLowerCase()));
  if ((does === "ifAbsent" && isThere) || (does === "ifPresent" && !isThere)) return;
  if (does !== "append" && isThere) remove(headers, name.toLowerCase());
  if (does !== "remove") headers.push(name, value);
}

function remove(headers: string[], lowerName: string): void {
  for (let i = headers.length - 2; i >= 0; i -= 2) if (isName(headers[i]!, lowerName)) headers.splice(i, 2);
}

const NOT_THEIRS: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "trailer",
  "expect",
  "te",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
  "forwarded",
]);

/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** RFC 9110 section 5.5: no control character but the tab, and nothing that is no octet. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
