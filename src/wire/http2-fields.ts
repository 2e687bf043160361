import { isAuthority } from "./authority.ts";
import { parseLength } from "./field-facts.ts";

/** What the fields of a message say that decides how it is read. */
export interface Http2FieldFacts {
  host: string | null;
  contentLength: number | null;
  expect: string | null;
  /** Why the message is malformed, or null. RFC 9113 section 8.1.1. */
  fault: string | null;
  cookieCount: number;
}

/** Reads the regular fields of a list from `start` on; octets and case were looked at by the decoder. */
export function readFieldFacts(fields: readonly string[], start: number): Http2FieldFacts {
  const facts: Http2FieldFacts = { host: null, contentLength: null, expect: null, fault: null, cookieCount: 0 };
  for (let i = start; i < fields.length && facts.fault === null; i += 2) {
    facts.fault = addField(facts, fields[i]!, fields[i + 1]!);
  }
  return facts;
}

/**
 * The regular fields as other versions of HTTP have them: crumbs of Cookie joined where the first of them stood.
 * RFC 9113 section 8.2.3.
 */
export function regularFields(fields: readonly string[], start: number, cookieCount: number): string[] {
  const regular = fields.slice(start);
  if (cookieCount < 2) return regular;
  const joined: string[] = [];
  let cookieAt = -1;
  for (let i = 0; i < regular.length; i += 2) {
    if (regular[i] !== "cookie" || cookieAt < 0) {
      if (regular[i] === "cookie") cookieAt = joined.length + 1;
      joined.push(regular[i]!, regular[i + 1]!);
    } else joined[cookieAt] = `${joined[cookieAt]}; ${regular[i + 1]}`;
  }
  return joined;
}

/** Returns the fault, or null. The name's length decides first: most fields end there. */
function addField(facts: Http2FieldFacts, name: string, value: string): string | null {
  if (name.charCodeAt(0) === COLON) return "a pseudo-header field stands behind a regular one";
  switch (name.length) {
    case 2:
      return name === "te" && value.toLowerCase() !== "trailers" ? "te is not trailers alone" : null;
    case 4:
      return name === "host" ? addHost(facts, value) : null;
    case 6:
      if (name === "cookie") facts.cookieCount++;
      else if (name === "expect") facts.expect = addElement(facts.expect, value);
      return null;
    case 7:
      return name === "upgrade" ? CONNECTION_SPECIFIC : null;
    case 10:
      return name === "connection" || name === "keep-alive" ? CONNECTION_SPECIFIC : null;
    case 14:
      if (name === "content-length") return addContentLength(facts, value);
      return name === "content_length" ? LOOK_ALIKE : null;
    case 16:
      return name === "proxy-connection" ? CONNECTION_SPECIFIC : null;
    case 17:
      if (name === "transfer-encoding") return CONNECTION_SPECIFIC;
      return name === "transfer_encoding" ? LOOK_ALIKE : null;
    default:
      return null;
  }
}

function addHost(facts: Http2FieldFacts, value: string): string | null {
  if (facts.host !== null) return "there are two host fields";
  if (!isAuthority(value)) return "host is not host[:port]";
  facts.host = value;
  return null;
}

/** Two are refused even when they are equal, as in HTTP/1.1 (field-facts.ts). */
function addContentLength(facts: Http2FieldFacts, value: string): string | null {
  if (facts.contentLength !== null) return "there are two content-length fields";
  const length = parseLength(value);
  if (length < 0) return "content-length is not a decimal number below 2^53";
  facts.contentLength = length;
  return null;
}

function addElement(list: string | null, value: string): string {
  return list === null ? value.toLowerCase() : `${list}, ${value.toLowerCase()}`;
}

const COLON = 0x3a;
/** RFC 9113 section 8.2.2. */
const CONNECTION_SPECIFIC = "there is a connection-specific field";
const LOOK_ALIKE = "a field looks like a framing field, but for its underscore";
