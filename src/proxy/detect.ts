/** Bytes that `isClientHello` looks at: type and version of the first TLS record. */
export const CLIENT_HELLO_BYTES = 3;

/**
 * Whether a connection begins with a TLS handshake record (RFC 8446 section 5.1). The record's rest is the TLS
 * library's to read: a ClientHello with ML-KEM comes in several segments.
 */
export function isClientHello(head: Buffer): boolean {
  return head.length >= CLIENT_HELLO_BYTES && head[0] === HANDSHAKE && head[1] === 3 && head[2]! <= 4;
}

const HANDSHAKE = 0x16;

/**
 * A port that is declared HTTP speaks HTTP/1.1; a caller that offers only what is something else is turned away in
 * the handshake. One that offers nothing must then speak HTTP/1.1: the parser closes on anything else.
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

const HTTP_PROTOCOLS = ["http/1.1", "istio-http/1.1"] as const;
