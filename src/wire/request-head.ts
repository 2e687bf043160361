import { CardeaError, type ErrorCode } from "../core/errors.ts";
import { type FieldFacts, isKeepAlive, readFieldFacts } from "./field-facts.ts";
import { HeadScan } from "./head-scan.ts";
import { sliceHeaders } from "./headers.ts";
import { type BodyFraming, CHUNKED, type HeadResult, INCOMPLETE, NO_BODY, type RequestHead } from "./http1-message.ts";
import { readRequestTarget } from "./request-target.ts";
import { RequestLine } from "./request-line.ts";

export type RequestScan = HeadScan<RequestLine>;

export function createRequestScan(): RequestScan {
  return new HeadScan(new RequestLine(), { malformed: "bad-request", tooLarge: "head-too-large" });
}

/** Takes a request's scan as far as the buffer goes, which holds the head's octets from its first one. */
export function continueRequest(scan: RequestScan, buffer: Buffer, end: number): HeadResult<RequestHead> {
  const step = scan.advance(buffer, end);
  if (step === "more") return INCOMPLETE;
  return step === "done" ? buildRequestHead(scan, buffer) : { at: "refused", error: step };
}

function buildRequestHead(scan: RequestScan, buffer: Buffer): HeadResult<RequestHead> {
  const { line, fields } = scan;
  const text = buffer.toString("latin1", 0, fields.at);
  const headers = sliceHeaders(text, fields);
  const facts = readFieldFacts(buffer, fields, headers);
  if (facts.fault !== null) return refuse("bad-request", facts.fault);
  const method = text.slice(line.methodStart, line.methodEnd);
  const target = text.slice(line.targetStart, line.targetEnd);
  const parsed = readRequestTarget(method, target);
  if (parsed === null) return refuse("bad-request", "the request-target is not of a form that its method has");
  const framing = framingOf(facts);
  const fault = faultOf(line, method, facts);
  if (fault !== null) return refuse(fault === BAD_EXPECTATION ? "expectation-failed" : "bad-request", fault);
  const isHttp11 = line.minorVersion === 1;
  const head: RequestHead = {
    method,
    target,
    targetForm: parsed.form,
    minorVersion: line.minorVersion,
    headers,
    host: parsed.authority ?? facts.host,
    path: parsed.path,
    framing,
    isKeepAlive: isKeepAlive(facts, isHttp11),
    // From HTTP/1.0, both are to be ignored. RFC 9110 sections 7.8 and 10.1.1.
    upgrade: isHttp11 && facts.saysUpgrade ? facts.upgrade : null,
    expectsContinue: isHttp11 && facts.expect !== null && hasContent(facts),
    nominated: facts.nominated,
  };
  return { at: "head", bytes: fields.at, head };
}

function framingOf(facts: FieldFacts): BodyFraming {
  if (facts.isChunked) return CHUNKED;
  return facts.contentLength === null ? NO_BODY : { kind: "length", bytes: facts.contentLength };
}

function faultOf(line: RequestLine, method: string, facts: FieldFacts): string | null {
  const isHttp11 = line.minorVersion === 1;
  if (isHttp11 && facts.host === null) return "there is no Host field";
  if (facts.isChunked && facts.contentLength !== null) return "there are both Content-Length and Transfer-Encoding";
  if (facts.isChunked && !isHttp11) return "HTTP/1.0 has no Transfer-Encoding";
  if (facts.expect !== null && facts.expect !== "100-continue") return BAD_EXPECTATION;
  // What follows CONNECT is tunnel; a body before it would be read as either. RFC 9110 section 9.3.6.
  if (method === "CONNECT" && hasContent(facts)) return "CONNECT has a body";
  return null;
}

function hasContent(facts: FieldFacts): boolean {
  return facts.isChunked || (facts.contentLength ?? 0) > 0;
}

const BAD_EXPECTATION = "Expect asks for something other than 100-continue";

function refuse(code: ErrorCode, message: string): HeadResult<never> {
  return { at: "refused", error: new CardeaError(code, message) };
}
