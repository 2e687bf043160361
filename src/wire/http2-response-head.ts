import { CardeaError } from "../core/errors.ts";
import type { Headers } from "./headers.ts";
import type { HeaderBlock } from "./hpack-decoder.ts";
import { type BodyFraming, CHUNKED, NO_BODY, type ResponseHead } from "./http1-message.ts";
import { type Http2FieldFacts, readFieldFacts, regularFields } from "./http2-fields.ts";
import { DIGIT_ZERO } from "./octets.ts";
import { reasonPhraseOf } from "./reason-phrase.ts";

export type Http2ResponseReading =
  | { readonly at: "head"; readonly head: ResponseHead }
  | { readonly at: "refused"; readonly error: CardeaError };

/** What was asked, which decides whether an answer has a body. */
export interface Asked {
  readonly method: string;
  /** The protocol of an extended CONNECT: a 2xx to it is the 101 of HTTP/1.1. RFC 8441 section 5. */
  readonly protocol: string | null;
}

/** A header block that could be read. */
type Http2Block = Extract<HeaderBlock, { at: "fields" }>;

/**
 * The field list that opens an answer (or an informational one) as the head that it would be in HTTP/1.1.
 * Refuses with `upstream-protocol-error`. RFC 9113 sections 8.2, 8.3.2 and 8.6.
 */
export function readResponseHead(
  { fields, neverIndexed }: Http2Block,
  isEnd: boolean,
  asked: Asked,
): Http2ResponseReading {
  const status = parseStatus(fields[1] ?? "");
  if (fields[0] !== ":status" || status === 0) return refuse("the answer does not begin with a valid :status");
  const facts = readFieldFacts(fields, 2);
  const fault = facts.fault ?? faultOf(status, facts, isEnd, asked);
  if (fault !== null) return refuse(fault);
  const isSwitch = asked.protocol !== null && status >= 200 && status < 300;
  const standsFor = isSwitch ? 101 : status;
  const head: ResponseHead = {
    status: standsFor,
    reason: reasonPhraseOf(standsFor),
    minorVersion: 1,
    headers: regularFields(fields, 2, 0),
    framing: framingOf(status, facts, isEnd, asked),
    isKeepAlive: true,
    upgrade: isSwitch ? asked.protocol : null,
    nominated: NONE,
    neverIndexed: neverIndexed,
  };
  return { at: "head", head };
}

/** The pseudo-header field that opens an answer. */
export function responsePseudoFields(status: number): Headers {
  return PSEUDO_FIELDS[status - 100] ?? [":status", String(status)];
}

/** Three digits from 100 up, or 0. */
function parseStatus(text: string): number {
  if (text.length !== 3) return 0;
  let status = 0;
  for (let i = 0; i < 3; i++) {
    const digit = text.charCodeAt(i) - DIGIT_ZERO;
    if (digit < 0 || digit > 9) return 0;
    status = status * 10 + digit;
  }
  return status >= 100 ? status : 0;
}

function faultOf(status: number, facts: Http2FieldFacts, isEnd: boolean, asked: Asked): string | null {
  const length = facts.contentLength ?? 0;
  if (status === 101) return "a 101 has no place in HTTP/2";
  if (status < 200 && isEnd) return "an informational answer ends the stream";
  if ((status < 200 || status === 204) && length > 0) return "a 1xx or 204 says that it has a body";
  if (isEnd && length > 0 && asked.method !== "HEAD" && status !== 304) {
    return "content-length promises a body, and there is none";
  }
  return null;
}

/** RFC 9110 section 6.4.1. */
function framingOf(status: number, facts: Http2FieldFacts, isEnd: boolean, asked: Asked): BodyFraming {
  if (asked.method === "HEAD" || status < 200 || status === 204 || status === 304) return NO_BODY;
  if ((asked.method === "CONNECT" || asked.protocol !== null) && status < 300) return NO_BODY;
  if (facts.contentLength !== null) return { kind: "length", bytes: facts.contentLength };
  return isEnd ? NO_BODY : CHUNKED;
}

function refuse(message: string): Http2ResponseReading {
  return { at: "refused", error: new CardeaError("upstream-protocol-error", message) };
}

const NONE: readonly string[] = Object.freeze([]);
const PSEUDO_FIELDS: readonly Headers[] = Array.from({ length: 500 }, (_, i) =>
  Object.freeze([":status", String(i + 100)]),
);
