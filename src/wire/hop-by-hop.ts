import { isName } from "./headers.ts";

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
      return isName(name, "te");
    case 7:
      return isName(name, "upgrade");
    case 10:
      return isName(name, "connection") || isName(name, "keep-alive");
    case 14:
      return isName(name, "http2-settings");
    case 16:
      return isName(name, "proxy-connection");
    case 17:
      return isName(name, "transfer-encoding");
    case 18:
      return isName(name, "proxy-authenticate");
    case 19:
      return isName(name, "proxy-authorization");
    case 25:
      return isName(name, "proxy-authentication-info");
    default:
      return false;
  }
}
