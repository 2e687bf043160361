import { CardeaError } from "../core/errors.ts";
import { type FieldFacts, isKeepAlive, readFieldFacts } from "./field-facts.ts";
import { HeadScan } from "./head-scan.ts";
import { sliceHeaders } from "./headers.ts";
import {
  type BodyFraming,
  CHUNKED,
  type HeadResult,
  INCOMPLETE,
  NO_BODY,
  type ResponseHead,
  UNTIL_CLOSE,
} from "./http1-message.ts";
import { StatusLine } from "./status-line.ts";

export type ResponseScan = HeadScan<StatusLine>;

export function createResponseScan(): ResponseScan {
  return new HeadScan(new StatusLine(), { malformed: "upstream-protocol-error", tooLarge: "upstream-protocol-error" });
}

/** As `continueRequest`, for the answer to `forMethod`. */
export function continueResponse(
  scan: ResponseScan,
  buffer: Buffer,
  end: number,
  forMethod: string,
): HeadResult<ResponseHead> {
  const step = scan.advance(buffer, end);
  if (step === "more") return INCOMPLETE;
  return step === "done" ? buildResponseHead(scan, buffer, forMethod) : { at: "refused", error: step };
}

function buildResponseHead(scan: ResponseScan, buffer: Buffer, forMethod: string): HeadResult<ResponseHead> {
  const { line, fields } = scan;
  const text = buffer.toString("latin1", 0, fields.at);
  const headers = sliceHeaders(text, fields);
  const facts = readFieldFacts(buffer, fields, headers);
  const isHttp11 = line.minorVersion === 1;
  const fault = facts.fault ?? faultOf(line.status, facts, isHttp11);
  if (fault !== null) return { at: "refused", error: new CardeaError("upstream-protocol-error", fault) };
  const framing = framingOf(line.status, facts, forMethod);
  const head: ResponseHead = {
    status: line.status,
    reason: text.slice(line.reasonStart, line.reasonEnd),
    minorVersion: line.minorVersion,
    headers,
    framing,
    isKeepAlive: framing.kind !== "until-close" && isKeepAlive(facts, isHttp11),
    upgrade: line.status === 101 ? facts.upgrade : null,
    nominated: facts.nominated,
  };
  return { at: "head", bytes: fields.at, head };
}

function faultOf(status: number, facts: FieldFacts, isHttp11: boolean): string | null {
  if (facts.isChunked && facts.contentLength !== null) return "there are both Content-Length and Transfer-Encoding";
  if (facts.isChunked && !isHttp11) return "HTTP/1.0 has no Transfer-Encoding";
  const isBodiless = status < 200 || status === 204;
  // RFC 9110 section 8.6 and RFC 9112 section 6.1 forbid both; a length of zero is common and harmless.
  if (isBodiless && (facts.isChunked || (facts.contentLength ?? 0) > 0)) return "a 1xx or 204 says that it has a body";
  if (status === 101 && (facts.upgrade === null || !facts.saysUpgrade)) return "a 101 does not name its protocol";
  return null;
}

/** Whether an answer with this status can have a body at all, whatever its fields say. RFC 9112 section 6.3, 1 and 2. */
export function canHaveBody(status: number, forMethod: string): boolean {
  if (forMethod === "HEAD" || status < 200 || status === 204 || status === 304) return false;
  return forMethod !== "CONNECT" || status >= 300;
}

/** RFC 9112 section 6.3, in its order. */
function framingOf(status: number, facts: FieldFacts, forMethod: string): BodyFraming {
  if (!canHaveBody(status, forMethod)) return NO_BODY;
  if (facts.isChunked) return CHUNKED;
  return facts.contentLength === null ? UNTIL_CLOSE : { kind: "length", bytes: facts.contentLength };
}
