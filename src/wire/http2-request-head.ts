import { CardeaError, type ErrorCode } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { isAuthority } from "./authority.ts";
import type { Headers } from "./headers.ts";
import { type BodyFraming, CHUNKED, NO_BODY, type RequestHead } from "./http1-message.ts";
import { type Http2FieldFacts, readFieldFacts, regularFields } from "./http2-fields.ts";
import { consistsOf, METHOD, TARGET, TOKEN } from "./octets.ts";
import { readRequestTarget, type RequestTarget } from "./request-target.ts";

/** A request's field list, read; what is malformed is a stream error of PROTOCOL_ERROR. RFC 9113 section 8.1.1. */
export type Http2RequestReading =
  | { readonly at: "head"; readonly head: RequestHead }
  | { readonly at: "refused"; readonly error: CardeaError };

/**
 * The field list that opens a request as the head that it would be in HTTP/1.1, so that policy and forwarding see one
 * kind of request. What would mean something else there is refused, not translated. An extended CONNECT becomes the GET
 * with `upgrade` that it stands for (RFC 8441). `isEnd`: the stream ends with it.
 * Refuses with `bad-request`, `expectation-failed`. RFC 9113 sections 8.2 and 8.3.
 */
export function readRequestHead(
  fields: readonly string[],
  isEnd: boolean,
  neverIndexed: readonly string[] | null = null,
): Http2RequestReading {
  const pseudo = readPseudoFields(fields);
  if (pseudo.fault !== null) return refuse("bad-request", pseudo.fault);
  const facts = readFieldFacts(fields, pseudo.count);
  if (facts.fault !== null) return refuse("bad-request", facts.fault);
  const target = targetOf(pseudo);
  if (typeof target === "string") return refuse("bad-request", target);
  const fault = faultOf(pseudo, facts, isEnd);
  if (fault !== null) return refuse("bad-request", fault);
  if (facts.expect !== null && facts.expect !== "100-continue") {
    return refuse("expectation-failed", "expect asks for something other than 100-continue");
  }
  const { method, protocol } = pseudo;
  const isConnect = method === "CONNECT";
  const framing = isConnect ? NO_BODY : framingOf(facts, isEnd);
  const head: RequestHead = {
    method: protocol === null ? method! : "GET",
    target: target.form === "authority" ? target.authority! : target.path,
    targetForm: target.form,
    minorVersion: 1,
    headers: regularFields(fields, pseudo.count, facts.cookieCount),
    host: pseudo.authority ?? facts.host,
    path: target.path,
    framing,
    isKeepAlive: true,
    upgrade: protocol?.toLowerCase() ?? null,
    expectsContinue: facts.expect !== null && framing.kind !== "none",
    nominated: NONE,
    neverIndexed,
  };
  return { at: "head", head };
}

/** What a client asks for. `protocol`: an extended CONNECT (RFC 8441 section 4); a plain one has neither path nor scheme. */
export interface Http2RequestLine {
  readonly method: string;
  readonly scheme: "http" | "https";
  readonly authority: string;
  readonly path: string;
  readonly protocol: string | null;
}

/** The pseudo-header fields that open a request. RFC 9113 section 8.3.1. */
export function requestPseudoFields({ method, scheme, authority, path, protocol }: Http2RequestLine): Headers {
  if (protocol !== null) {
    return [":method", "CONNECT", ":protocol", protocol, ":scheme", scheme, ":path", path, ":authority", authority];
  }
  if (method === "CONNECT") return [":method", method, ":authority", authority];
  return [":method", method, ":scheme", scheme, ":path", path, ":authority", authority];
}

interface PseudoFields {
  method: string | null;
  scheme: string | null;
  authority: string | null;
  path: string | null;
  protocol: string | null;
  /** Entries of the list that they take. */
  count: number;
  fault: string | null;
}

function readPseudoFields(fields: readonly string[]): PseudoFields {
  const pseudo: PseudoFields = {
    method: null,
    scheme: null,
    authority: null,
    path: null,
    protocol: null,
    count: 0,
    fault: null,
  };
  let i = 0;
  for (; i < fields.length && fields[i]!.charCodeAt(0) === COLON; i += 2) {
    pseudo.fault ??= addPseudoField(pseudo, fields[i]!, fields[i + 1]!);
  }
  pseudo.count = i;
  return pseudo;
}

/** Returns the fault, or null. */
function addPseudoField(pseudo: PseudoFields, name: string, value: string): string | null {
  let before: string | null;
  switch (name) {
    case ":method":
      before = pseudo.method;
      pseudo.method = value;
      break;
    case ":scheme":
      before = pseudo.scheme;
      pseudo.scheme = value;
      break;
    case ":path":
      before = pseudo.path;
      pseudo.path = value;
      break;
    case ":authority":
      before = pseudo.authority;
      pseudo.authority = value;
      break;
    case ":protocol":
      before = pseudo.protocol;
      pseudo.protocol = value;
      break;
    default:
      return "there is an unknown pseudo-header field";
  }
  return before === null ? null : "there are two pseudo-header fields of one name";
}

/** The target, or why there is none. */
function targetOf(pseudo: PseudoFields): RequestTarget | string {
  const { method, scheme, authority, path, protocol } = pseudo;
  if (method === null || !consistsOf(method, METHOD)) return "there is no valid :method";
  if (method === "CONNECT" && protocol === null) {
    if (scheme !== null || path !== null) return "CONNECT has a :scheme or a :path";
    return readRequestTarget(method, authority ?? "") ?? ":authority of a CONNECT is not host:port";
  }
  if (protocol !== null && (method !== "CONNECT" || authority === null || !consistsOf(protocol, TOKEN))) {
    return ":protocol is not valid, or not in a CONNECT with an :authority";
  }
  if (scheme !== "http" && scheme !== "https") return "there is no :scheme of http or https";
  if (path === null || !consistsOf(path, TARGET)) return "there is no valid :path";
  if (path.length > LIMITS.targetBytesMax) return ":path is too long";
  // What an extended CONNECT stands for is a GET.
  const target = readRequestTarget(protocol === null ? method : "GET", path);
  return target === null || target.form === "absolute" ? ":path is not of a form that its method has" : target;
}

/** The last one that was found valid, of any connection. */
let lastAuthority: string | null = null;

function faultOf({ method, authority }: PseudoFields, facts: Http2FieldFacts, isEnd: boolean): string | null {
  // A connection says the same again and again; the comparison costs a tenth of the check.
  if (authority !== null && authority !== lastAuthority) {
    if (!isAuthority(authority)) return ":authority is not host[:port]";
    lastAuthority = authority;
  }
  if (authority === null && facts.host === null) return "there is neither :authority nor host";
  // Whoever routes by the one and whoever serves by the other would not speak of the same request.
  if (authority !== null && facts.host !== null && authority.toLowerCase() !== facts.host.toLowerCase()) {
    return ":authority and host are not the same";
  }
  if (isEnd && (facts.contentLength ?? 0) > 0) return "content-length promises a body, and there is none";
  if (method === "CONNECT" && facts.contentLength !== null) return "CONNECT has a content-length";
  return null;
}

function framingOf({ contentLength }: Http2FieldFacts, isEnd: boolean): BodyFraming {
  if (contentLength !== null) return { kind: "length", bytes: contentLength };
  return isEnd ? NO_BODY : CHUNKED;
}

function refuse(code: ErrorCode, message: string): Http2RequestReading {
  return { at: "refused", error: new CardeaError(code, message) };
}

const COLON = 0x3a;
const NONE: readonly string[] = Object.freeze([]);
