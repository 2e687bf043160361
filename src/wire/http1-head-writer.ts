import { Buffer } from "node:buffer";
import { CardeaError } from "../core/errors.ts";
import type { Headers } from "./headers.ts";
import { consistsOf, FIELD_VALUE, TOKEN } from "./octets.ts";

export interface RequestHeadParts {
  readonly method: string;
  /** The request-target in the form that the next hop wants. */
  readonly target: string;
  /** Fields that a parser of ours has let through: they are not looked at again. */
  readonly headers: Headers;
  /** Fields that we add: checked here, so that no text of ours can smuggle a line. */
  readonly added?: Headers;
}

export interface ResponseHeadParts {
  readonly status: number;
  readonly reason: string;
  readonly headers: Headers;
  readonly added?: Headers;
}

/**
 * An HTTP/1.1 request head as one buffer of its own. Method, target and headers must come from a parsed head (or be
 * constants): checking every octet twice costs as much as scanning it (bench/micro/http1-head.ts).
 * Errors: `internal` when an added field is malformed.
 */
export function serializeRequestHead(parts: RequestHeadParts): Buffer {
  return serialize(`${parts.method} ${parts.target} HTTP/1.1\r\n`, parts.headers, parts.added);
}

/** An HTTP/1.1 response head; otherwise as `serializeRequestHead`. */
export function serializeResponseHead(parts: ResponseHeadParts): Buffer {
  return serialize(`HTTP/1.1 ${parts.status} ${parts.reason}\r\n`, parts.headers, parts.added);
}

/** One concatenation and one copy: pieces written one by one, or octet by octet, took two to three times as long. */
function serialize(startLine: string, headers: Headers, added: Headers | undefined): Buffer {
  let text = startLine;
  for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  if (added !== undefined) {
    for (let i = 0; i < added.length; i += 2) text += addedLine(added[i]!, added[i + 1]!);
  }
  return Buffer.from(`${text}\r\n`, "latin1");
}

function addedLine(name: string, value: string): string {
  if (!consistsOf(name, TOKEN) || (value !== "" && !consistsOf(value, FIELD_VALUE))) {
    throw new CardeaError("internal", "a field to be added is malformed");
  }
  return `${name}: ${value}\r\n`;
}
