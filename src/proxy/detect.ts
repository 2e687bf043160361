import { carriesRequests, type PortProtocol } from "../core/port-protocol.ts";
import { PREFACE } from "../wire/http2-codes.ts";
import type { HttpProtocol } from "./streams.ts";

/**
 * Whether a connection begins with a TLS handshake record: by its type and version (RFC 8446 section 5.1), and no later
 * than at the first octet that does not fit. The record's rest is the TLS library's to read: a ClientHello with ML-KEM
 * comes in several segments.
 */
export function lookForTls(first: Buffer): "tls" | "plaintext" | "undecided" {
  if (first.length > 0 && first[0] !== HANDSHAKE) return "plaintext";
  if (first.length > 1 && first[1] !== 3) return "plaintext";
  if (first.length < RECORD_START_BYTES) return "undecided";
  return first[2]! <= 4 ? "tls" : "plaintext";
}

/** Type and version of a TLS record. */
const RECORD_START_BYTES = 3;

const HANDSHAKE = 0x16;

/** What the first octets of a plaintext connection tell. */
export type FirstOctets = HttpProtocol | "undecided";

/**
 * Whether a plaintext connection begins with HTTP/2's preface. Its method alone decides: PRI is reserved for that, so
 * no request of HTTP/1.1 begins so. RFC 9113 sections 3.4 and 11.6.
 */
export function lookForHttp2(first: Buffer): FirstOctets {
  const count = Math.min(first.length, PRI_BYTES);
  if (first.compare(PREFACE, 0, count, 0, count) !== 0) return "http/1.1";
  return count < PRI_BYTES ? "undecided" : "h2";
}

/** `PRI` and a space. */
const PRI_BYTES = 4;

/** What an app is spoken to in on a port of its own, which is declared, since there is no handshake to ask it in. */
export function declaredHttp(protocol: PortProtocol): HttpProtocol {
  return protocol === "HTTP2" || protocol === "GRPC" ? "h2" : "http/1.1";
}

/** What we offer towards a port that is declared HTTP; `istio-` is what other meshes call the same inside mutual TLS. */
export const HTTP_OFFER: readonly string[] = Object.freeze(["istio-h2", "h2", "istio-http/1.1", "http/1.1"]);
/** The same where only HTTP/1.1 will do. */
export const HTTP1_OFFER: readonly string[] = Object.freeze(["istio-http/1.1", "http/1.1"]);
/** And towards a port whose protocol is the app's own affair. */
export const TCP_OFFER: readonly string[] = Object.freeze(["istio"]);

/** And towards the HBONE port of a workload. */
export const HBONE_OFFER: readonly string[] = Object.freeze(["h2"]);

/** What a connection with this protocol negotiated carries on a port that is declared HTTP. */
export function httpProtocolOf(alpn: string | null): HttpProtocol {
  return alpn === "h2" || alpn === "istio-h2" ? "h2" : "http/1.1";
}

/**
 * A port that is declared HTTP speaks HTTP/2 and HTTP/1.1; a caller that offers only what is something else is turned
 * away in the handshake. One that offers nothing must then speak HTTP/1.1: the parser closes on anything else.
 */
export function chooseHttpAlpn(offered: readonly string[]): string | null {
  return HTTP_PROTOCOLS.find((protocol) => offered.includes(protocol)) ?? null;
}

/** On an opaque port the protocol is the app's own affair; `istio` is what other meshes call it. */
export function chooseTcpAlpn(offered: readonly string[]): string | null {
  if (offered.includes("istio")) return "istio";
  // Istio's metadata exchange would be taken for the app's bytes.
  return offered.find((protocol) => protocol !== "istio-peer-exchange") ?? null;
}

/** Where nothing is declared: HTTP for callers that say so, else what opaque ports take. */
export function chooseAnyAlpn(offered: readonly string[]): string | null {
  return chooseHttpAlpn(offered) ?? chooseTcpAlpn(offered);
}

/** One function a declaration, since listeners are kept by it. */
export function alpnChooserOf(protocol: PortProtocol): (offered: readonly string[]) => string | null {
  if (carriesRequests(protocol)) return chooseHttpAlpn;
  return protocol === "AUTO" ? chooseAnyAlpn : chooseTcpAlpn;
}

/** Whether this was negotiated for requests. */
export function isHttpAlpn(alpn: string | null): boolean {
  return HTTP_PROTOCOLS.some((protocol) => protocol === alpn);
}

const HTTP_PROTOCOLS = ["istio-h2", "h2", "istio-http/1.1", "http/1.1"] as const;
