import type { HeaderChanges } from "../../traffic/service-traffic.ts";
import { isName } from "../../wire/headers.ts";
import { isIdentityHeader } from "../headers.ts";

/**
 * Applies a rule's changes to flat header fields, in place: what is removed, then set, then added. Fields that speak of
 * identity or frame the message are not a rule's to change; `host` is set where it stands and cannot go.
 */
export function changeHeaders(headers: string[], { remove, set, add }: HeaderChanges): void {
  for (const name of remove) if (isOpen(name) && !isHost(name)) removeField(headers, name.toLowerCase());
  for (const [name, value] of set) {
    if (!isOpen(name)) continue;
    if (isHost(name)) setHost(headers, value);
    else {
      removeField(headers, name.toLowerCase());
      headers.push(name, value);
    }
  }
  for (const [name, value] of add) if (isOpen(name) && !isHost(name)) headers.push(name, value);
}

/** The authority that the next hop sees. Requests as they go out have it first. */
export function setHost(headers: string[], authority: string): void {
  for (let i = 0; i < headers.length; i += 2) if (isName(headers[i]!, "host")) headers[i + 1] = authority;
}

function removeField(headers: string[], lowerName: string): void {
  let kept = 0;
  for (let i = 0; i < headers.length; i += 2) {
    if (isName(headers[i]!, lowerName)) continue;
    headers[kept++] = headers[i]!;
    headers[kept++] = headers[i + 1]!;
  }
  headers.length = kept;
}

function isOpen(name: string): boolean {
  return !isIdentityHeader(name) && !FRAMING.has(name.toLowerCase());
}

function isHost(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === "host" || lower === ":authority";
}

const FRAMING: ReadonlySet<string> = new Set([
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "proxy-connection",
  "upgrade",
  "te",
  "trailer",
  "expect",
  ":method",
  ":path",
  ":scheme",
  ":status",
]);
