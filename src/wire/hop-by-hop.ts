/**
 * Whether a field belongs to one connection and must not be forwarded. `nominated` are the names that Connection
 * lists (RequestHead.nominated). What the next hop needs of it (Transfer-Encoding, Connection, Upgrade) is written
 * anew. Trailer is forwarded, as the trailers are. The length decides first, so most names cost one comparison. RFC 9110 section 7.6.1.
 */
export function isHopByHop(name: string, nominated: readonly string[]): boolean {
  return isFixed(name) || (nominated.length > 0 && nominated.includes(name.toLowerCase()));
}

function isFixed(name: string): boolean {
  switch (name.length) {
    case 2:
      return name.toLowerCase() === "te";
    case 7:
      return name.toLowerCase() === "upgrade";
    case 10:
      return isConnectionOrKeepAlive(name.toLowerCase());
    case 14:
      return name.toLowerCase() === "http2-settings";
    case 16:
      return name.toLowerCase() === "proxy-connection";
    case 17:
      return name.toLowerCase() === "transfer-encoding";
    case 18:
      return name.toLowerCase() === "proxy-authenticate";
    case 19:
      return name.toLowerCase() === "proxy-authorization";
    case 25:
      return name.toLowerCase() === "proxy-authentication-info";
    default:
      return false;
  }
}

function isConnectionOrKeepAlive(lowerName: string): boolean {
  return lowerName === "connection" || lowerName === "keep-alive";
}
