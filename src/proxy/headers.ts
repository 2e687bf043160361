import { parseIp } from "../core/cidr.ts";
import { type Headers, isName } from "../wire/headers.ts";
import type { RequestHead, ResponseHead } from "../wire/http1-head.ts";
import { isHopByHop } from "../wire/hop-by-hop.ts";

/**
 * The fields of a request that the next hop gets, Host first: without what belongs to one connection, without fields
 * that speak of identity (whoever sent them, they are not ours), and without framing and expectation, which the
 * channel writes anew. RFC 9110 section 7.6.
 */
export function requestHeadersOf(head: RequestHead): string[] {
  const { headers, nominated } = head;
  // Host is nominal: the authority in force overrides what was in the field. RFC 9112 section 3.2.2.
  const kept = ["host", head.host ?? ""];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (isHopByHop(name, nominated) || isRewritten(name) || isIdentityHeader(name)) continue;
    kept.push(name, headers[i + 1]!);
  }
  if (head.expectsContinue) kept.push("expect", "100-continue");
  return kept;
}

/**
 * Whether the caller takes trailers, and would have the next hop know: all that is left of TE behind a proxy. gRPC's
 * servers look for it. RFC 9110 section 10.1.4, RFC 9113 section 8.2.2.
 */
export function takesTrailers({ headers }: RequestHead): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    if (isName(headers[i]!, "te") && TRAILERS_ELEMENT.test(headers[i + 1]!)) return true;
  }
  return false;
}

/**
 * The fields of an answer that the caller gets. `ownHeaders`: whether `x-cardea-` fields may pass, which only another
 * sidecar's answer may carry.
 */
export function answerHeadersOf(head: ResponseHead, ownHeaders: "pass" | "strip"): string[] {
  const { headers, nominated, framing } = head;
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (isHopByHop(name, nominated)) continue;
    if (ownHeaders === "strip" && isOwnHeader(name)) continue;
    // The length of a body that follows is written by the stream; a HEAD's or a 304's is a statement, and passes.
    if (framing.kind !== "none" && isName(name, "content-length")) continue;
    kept.push(name, headers[i + 1]!);
  }
  return kept;
}

/** Fields by which a proxy tells an app who calls. With `_` for `-`, too: many apps take the two for the same. */
export function isIdentityHeader(name: string): boolean {
  // Every one of them begins with x and a dash or what passes for one, so most names cost two comparisons.
  if ((name.charCodeAt(0) | 0x20) !== LETTER_X) return false;
  const second = name.charCodeAt(1);
  if (second !== DASH && second !== UNDERSCORE) return false;
  const lower = name.toLowerCase().replaceAll("_", "-");
  if (lower === "x-forwarded-client-cert" || lower.startsWith(OWN_PREFIX)) return true;
  return lower.startsWith("x-envoy-") && lower !== PARTIAL_BODY;
}

/**
 * A field's value by lower-case name, several joined by a comma, as policies see it; only the first `length` entries
 * are looked at. RFC 9110 section 5.3.
 */
export function joinedHeader(headers: Headers, lowerName: string, length: number): string | undefined {
  let joined: string | undefined;
  for (let i = 0; i < length; i += 2) {
    if (isName(headers[i]!, lowerName)) joined = joined === undefined ? headers[i + 1]! : `${joined},${headers[i + 1]}`;
  }
  return joined;
}

/**
 * Who the original client is by X-Forwarded-For, to which each of `trustedProxies` has added whom it was called by: the
 * address so many from the right. What stands left of it the client may have written. With fewer the request has not come
 * by all of them, and the connection's own address counts, as in Envoy; one that is no address is unknown, in no range that
 * grants and in all that take away.
 */
export function originalClientOf(
  forwardedFor: string | undefined,
  trustedProxies: number,
  connectionIp: string,
): string {
  const elements = forwardedFor?.split(",") ?? [];
  const element = elements.at(-trustedProxies)?.trim();
  if (element === undefined || elements.length < trustedProxies) return connectionIp;
  return parseIp(element) === null ? UNKNOWN_IP : element;
}

const UNKNOWN_IP = "";
const TRAILERS_ELEMENT = /(?:^|[,\t ])trailers(?:$|[,\t ])/i;
const LETTER_X = 0x78;
const DASH = 0x2d;
const UNDERSCORE = 0x5f;
const OWN_PREFIX = "x-cardea-";
/** What a proxy tells an external authorization server of the body that it shows; it says nothing of who calls. */
export const PARTIAL_BODY = "x-envoy-auth-partial-body";

function isRewritten(name: string): boolean {
  switch (name.length) {
    case 4:
      return isName(name, "host");
    case 6:
      return isName(name, "expect");
    case 14:
      return isName(name, "content-length");
    default:
      return false;
  }
}

function isOwnHeader(name: string): boolean {
  return name.length > OWN_PREFIX.length && name.slice(0, OWN_PREFIX.length).toLowerCase() === OWN_PREFIX;
}
