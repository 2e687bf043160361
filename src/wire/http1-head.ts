import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { type FieldFacts, readFieldFacts } from "./field-facts.ts";
import { FieldLines, TOO_MANY_FIELDS } from "./field-lines.ts";
import { readRequestTarget, type TargetForm } from "./request-target.ts";
import { RequestLine, StatusLine } from "./start-line.ts";

export { type Headers, headerValue, headerValues, hasToken } from "./headers.ts";
export { serializeRequestHead, serializeResponseHead } from "./http1-head-writer.ts";

/** How a message's body ends. `until-close` is for responses alone. RFC 9112 section 6.3. */
export type BodyFraming =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "until-close" };

export interface RequestHead {
  readonly method: string;
  /** The request-target as received. */
  readonly target: string;
  readonly targetForm: TargetForm;
  readonly minorVersion: 0 | 1;
  /** Flat name, value list, names as received. The caller may change it. */
  readonly headers: string[];
  /**
   * The authority in force, as received: absolute-form and authority-form override Host (RFC 9112 section 3.2.2), so
   * forward this one. Null for HTTP/1.0 without Host.
   */
  readonly host: string | null;
  /** Raw path and query, to normalise, match and forward: `*` for OPTIONS *, empty for CONNECT. */
  readonly path: string;
  readonly framing: BodyFraming;
  readonly isKeepAlive: boolean;
  /** What Upgrade asks for, in lower case, when Connection says upgrade; several are joined by ", ". */
  readonly upgrade: string | null;
  /** Expect: 100-continue, by an HTTP/1.1 client that has a body to send. */
  readonly expectsContinue: boolean;
  /** Lower-case names that Connection nominates, to be stripped besides the fixed list (hop-by-hop.ts). */
  readonly nominated: readonly string[];
}

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly minorVersion: 0 | 1;
  /** Flat name, value list, names as received. The caller may change it. */
  readonly headers: string[];
  readonly framing: BodyFraming;
  readonly isKeepAlive: boolean;
  /** The protocol that a 101 switches to, in lower case. */
  readonly upgrade: string | null;
  readonly nominated: readonly string[];
}

/** `bytes` is the head's length in octets; what follows it in the buffer is body or the next message. */
export type HeadResult<T> =
  | { readonly at: "incomplete" }
  | { readonly at: "head"; readonly head: T; readonly bytes: number }
  | { readonly at: "refused"; readonly error: CardeaError };

/**
 * A request head at the buffer's beginning. Never throws and keeps nothing of the buffer. For input that may come in
 * pieces use http1-head-reader.ts, which looks at each octet once.
 * Refuses with `bad-request`, `head-too-large`, `version-not-supported`, `expectation-failed`. RFC 9112 sections 3, 5.
 */
export function parseRequestHead(buffer: Buffer): HeadResult<RequestHead> {
  requestScan.reset();
  return requestScan.scan(buffer, buffer.length);
}

/**
 * A response head at the buffer's beginning, in answer to `forMethod`, which decides whether there is a body.
 * Never throws and keeps nothing of the buffer. Refuses with `upstream-protocol-error`. RFC 9112 sections 4, 6.3.
 */
export function parseResponseHead(buffer: Buffer, forMethod: string): HeadResult<ResponseHead> {
  responseScan.reset();
  return responseScan.scan(buffer, buffer.length, forMethod);
}

/** A request head under way. The octets scanned so far must stay at the same offsets. */
export class RequestScan {
  readonly #line = new RequestLine();
  readonly #fields = new FieldLines(LIMITS.headerCountMax);
  #isInFields = false;

  reset(): void {
    this.#line.reset();
    this.#isInFields = false;
  }

  /** Goes on at the first octet not yet seen; `end` is where the input ends. */
  scan(buffer: Buffer, end: number): HeadResult<RequestHead> {
    const stop = Math.min(end, LIMITS.headBytesMax);
    if (!this.#isInFields) {
      const step = this.#line.scan(buffer, stop);
      if (step === "refused") return refuse(this.#line.faultCode, this.#line.fault);
      if (step === "more") return incomplete(stop);
      this.#isInFields = true;
      this.#fields.reset(this.#line.at);
    }
    const step = this.#fields.scan(buffer, stop);
    if (step === "more") return incomplete(stop);
    if (step === "refused") return refuse(codeOf(this.#fields.fault), this.#fields.fault);
    return buildRequestHead(buffer, this.#line, this.#fields);
  }
}

/** A response head under way. */
export class ResponseScan {
  readonly #line = new StatusLine();
  readonly #fields = new FieldLines(LIMITS.headerCountMax);
  #isInFields = false;

  reset(): void {
    this.#line.reset();
    this.#isInFields = false;
  }

  scan(buffer: Buffer, end: number, forMethod: string): HeadResult<ResponseHead> {
    const stop = Math.min(end, LIMITS.headBytesMax);
    if (!this.#isInFields) {
      const step = this.#line.scan(buffer, stop);
      if (step === "refused") return refuse("upstream-protocol-error", this.#line.fault);
      if (step === "more") return incompleteAnswer(stop);
      this.#isInFields = true;
      this.#fields.reset(this.#line.at);
    }
    const step = this.#fields.scan(buffer, stop);
    if (step === "more") return incompleteAnswer(stop);
    if (step === "refused") return refuse("upstream-protocol-error", this.#fields.fault);
    return buildResponseHead(buffer, this.#line, this.#fields, forMethod);
  }
}

const requestScan = new RequestScan();
const responseScan = new ResponseScan();

function buildRequestHead(buffer: Buffer, line: RequestLine, fields: FieldLines): HeadResult<RequestHead> {
  const text = buffer.toString("latin1", 0, fields.at);
  const headers = sliceHeaders(text, fields);
  const facts = readFieldFacts(buffer, fields, headers);
  if (facts.fault !== null) return refuse("bad-request", facts.fault);
  const method = text.slice(line.methodStart, line.methodEnd);
  const target = text.slice(line.targetStart, line.targetEnd);
  const parsed = readRequestTarget(method, target);
  if (parsed === null)
    return refuse("bad-request", "the request-target does not have the form that its method asks for");
  const isHttp11 = line.minorVersion === 1;
  if (isHttp11 && facts.host === null) return refuse("bad-request", "there is no Host field");
  const framing = requestFramingOf(facts);
  const fault = faultOfRequest(method, facts, framing, isHttp11);
  if (fault !== null) return refuse(fault === BAD_EXPECTATION ? "expectation-failed" : "bad-request", fault);
  return {
    at: "head",
    bytes: fields.at,
    head: {
      method,
      target,
      targetForm: parsed.form,
      minorVersion: line.minorVersion,
      headers,
      host: parsed.authority ?? facts.host,
      path: parsed.path,
      framing,
      isKeepAlive: isKeepAlive(facts, isHttp11),
      // Both are to be ignored from HTTP/1.0. RFC 9110 sections 7.8 and 10.1.1.
      upgrade: isHttp11 && facts.saysUpgrade ? facts.upgrade : null,
      expectsContinue: isHttp11 && facts.expect !== null && hasContent(framing),
      nominated: facts.nominated,
    },
  };
}

function faultOfRequest(method: string, facts: FieldFacts, framing: BodyFraming, isHttp11: boolean): string | null {
  if (facts.isChunked && facts.contentLength !== null) return BOTH_FRAMINGS;
  if (facts.isChunked && !isHttp11) return OLD_CHUNKED;
  if (facts.expect !== null && facts.expect !== "100-continue") return BAD_EXPECTATION;
  // What follows CONNECT is tunnel; a body before it would be read as either. RFC 9110 section 9.3.6.
  if (method === "CONNECT" && hasContent(framing)) return "CONNECT has a body";
  return null;
}

function requestFramingOf(facts: FieldFacts): BodyFraming {
  if (facts.isChunked) return CHUNKED;
  return facts.contentLength === null ? NO_BODY : { kind: "length", bytes: facts.contentLength };
}

function buildResponseHead(
  buffer: Buffer,
  line: StatusLine,
  fields: FieldLines,
  forMethod: string,
): HeadResult<ResponseHead> {
  const text = buffer.toString("latin1", 0, fields.at);
  const headers = sliceHeaders(text, fields);
  const facts = readFieldFacts(buffer, fields, headers);
  const isHttp11 = line.minorVersion === 1;
  const fault = facts.fault ?? faultOfResponse(line.status, facts, isHttp11);
  if (fault !== null) return refuse("upstream-protocol-error", fault);
  const framing = responseFramingOf(line.status, facts, forMethod);
  return {
    at: "head",
    bytes: fields.at,
    head: {
      status: line.status,
      reason: text.slice(line.reasonStart, line.reasonEnd),
      minorVersion: line.minorVersion,
      headers,
      framing,
      isKeepAlive: framing.kind !== "until-close" && isKeepAlive(facts, isHttp11),
      upgrade: line.status === 101 ? facts.upgrade : null,
      nominated: facts.nominated,
    },
  };
}

function faultOfResponse(status: number, facts: FieldFacts, isHttp11: boolean): string | null {
  if (facts.isChunked && facts.contentLength !== null) return BOTH_FRAMINGS;
  if (facts.isChunked && !isHttp11) return OLD_CHUNKED;
  const isBodiless = status < 200 || status === 204;
  // RFC 9110 section 8.6 and RFC 9112 section 6.1 forbid both; a length of zero is common and harmless.
  if (isBodiless && (facts.isChunked || (facts.contentLength ?? 0) > 0)) return "a 1xx or 204 says that it has a body";
  if (status === 101 && (facts.upgrade === null || !facts.saysUpgrade)) return "a 101 does not name its protocol";
  return null;
}

/** RFC 9112 section 6.3, in its order. */
function responseFramingOf(status: number, facts: FieldFacts, forMethod: string): BodyFraming {
  if (forMethod === "HEAD" || status < 200 || status === 204 || status === 304) return NO_BODY;
  if (forMethod === "CONNECT" && status < 300) return NO_BODY;
  if (facts.isChunked) return CHUNKED;
  return facts.contentLength === null ? UNTIL_CLOSE : { kind: "length", bytes: facts.contentLength };
}

/** RFC 9112 section 9.3. */
function isKeepAlive(facts: FieldFacts, isHttp11: boolean): boolean {
  return !facts.saysClose && (isHttp11 || facts.saysKeepAlive);
}

function hasContent(framing: BodyFraming): boolean {
  return framing.kind === "chunked" || (framing.kind === "length" && framing.bytes > 0);
}

function sliceHeaders(text: string, fields: FieldLines): string[] {
  const { marks, count } = fields;
  const headers: string[] = [];
  for (let mark = 0; mark < count * 4; mark += 4) {
    headers.push(text.slice(marks[mark], marks[mark + 1]), text.slice(marks[mark + 2], marks[mark + 3]));
  }
  return headers;
}

const NO_BODY: BodyFraming = Object.freeze({ kind: "none" });
const CHUNKED: BodyFraming = Object.freeze({ kind: "chunked" });
const UNTIL_CLOSE: BodyFraming = Object.freeze({ kind: "until-close" });
const INCOMPLETE = Object.freeze({ at: "incomplete" } as const);
const BOTH_FRAMINGS = "there are both Content-Length and Transfer-Encoding";
const OLD_CHUNKED = "HTTP/1.0 has no Transfer-Encoding";
const BAD_EXPECTATION = "Expect asks for something other than 100-continue";

function incomplete(scannedBytes: number): HeadResult<never> {
  return scannedBytes < LIMITS.headBytesMax ? INCOMPLETE : refuse("head-too-large", "the head is too long");
}

function incompleteAnswer(scannedBytes: number): HeadResult<never> {
  return scannedBytes < LIMITS.headBytesMax ? INCOMPLETE : refuse("upstream-protocol-error", "the head is too long");
}

function codeOf(fieldFault: string): "head-too-large" | "bad-request" {
  return fieldFault === TOO_MANY_FIELDS ? "head-too-large" : "bad-request";
}

function refuse(code: CardeaError["code"], message: string): HeadResult<never> {
  return { at: "refused", error: new CardeaError(code, message) };
}
