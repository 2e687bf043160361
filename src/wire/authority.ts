import { CardeaError } from "../core/errors.ts";
import { COLON, HEX_VALUE } from "./octets.ts";

/** What stands in Host and in authority-form. */
export interface Authority {
  /** In lower case; an IPv6 literal without its brackets, so a colon tells it from a name. */
  readonly host: string;
  /** Null when none is written. */
  readonly port: number | null;
}

/**
 * `host [":" port]` → its parts. Errors: `bad-request`.
 * Stricter than RFC 3986 section 3.2: no user information, no percent-encoding and none of `!$&'()*+,;=` in a name,
 * no empty label, no zone, no empty port, no leading zeros: all of these are read in more than one way.
 */
export function parseAuthority(text: string): Authority {
  if (!isAuthority(text)) throw new CardeaError("bad-request", "the authority is not host[:port]");
  const hostEnd = hostEndOf(text);
  const port = hostEnd === text.length ? null : Number(text.slice(hostEnd + 1));
  const host = text.startsWith("[") ? text.slice(1, hostEnd - 1) : text.slice(0, hostEnd);
  return { host: host.toLowerCase(), port };
}

/** Whether `parseAuthority` would take the text; builds nothing, for the hot path. */
export function isAuthority(text: string): boolean {
  const hostEnd = hostEndOf(text);
  if (hostEnd <= 0 || hostEnd > HOST_LENGTH_MAX) return false;
  return hostEnd === text.length || isPort(text, hostEnd + 1);
}

/** `host:port` in the form that `parseAuthority` reads. */
export function formatAuthority(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A DNS name has 253 characters at most (RFC 1035 section 2.3.4), 254 with its final dot. */
const HOST_LENGTH_MAX = 254;

/** Where the host ends, which is at the text's end or at a colon; -1 when there is no valid host. */
function hostEndOf(text: string): number {
  if (text.charCodeAt(0) === OPEN_BRACKET) return literalEndOf(text);
  let previous = DOT;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === COLON) return i;
    if (NAME[code] !== 1 || (code === DOT && previous === DOT)) return -1;
    previous = code;
  }
  return text.length;
}

function literalEndOf(text: string): number {
  const close = text.indexOf("]");
  if (close < 0 || !isIpv6(text.slice(1, close))) return -1;
  const end = close + 1;
  return end === text.length || text.charCodeAt(end) === COLON ? end : -1;
}

/** 1 to 65535 in decimal without leading zeros. */
function isPort(text: string, start: number): boolean {
  const length = text.length - start;
  if (length < 1 || length > 5 || text.charCodeAt(start) === 0x30) return false;
  let port = 0;
  for (let i = start; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port <= 65_535;
}

/** An IPv6 address as text, without brackets and zone. RFC 4291 section 2.2. */
export function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const [head, tail] = halves as [string, string | undefined];
  const headGroups = groupCountOf(head, tail === undefined);
  const tailGroups = tail === undefined ? 0 : groupCountOf(tail, true);
  if (headGroups < 0 || tailGroups < 0) return false;
  // `::` stands for one group at least.
  return tail === undefined ? headGroups === 8 : headGroups + tailGroups <= 7;
}

/** The number of 16-bit groups in `a:b:c` (an IPv4 tail counts as two), or -1 when it is not well-formed. */
function groupCountOf(text: string, mayEndInIpv4: boolean): number {
  if (text === "") return 0;
  const groups = text.split(":");
  const last = groups.at(-1)!;
  const hasIpv4 = mayEndInIpv4 && last.includes(".");
  if (hasIpv4 && !isIpv4(last)) return -1;
  const isHex = groups.every((group, i) => (hasIpv4 && i === groups.length - 1) || isHexGroup(group));
  return isHex ? groups.length + (hasIpv4 ? 1 : 0) : -1;
}

function isHexGroup(text: string): boolean {
  if (text.length < 1 || text.length > 4) return false;
  for (let i = 0; i < text.length; i++) if ((HEX_VALUE[text.charCodeAt(i)] ?? 255) > 15) return false;
  return true;
}

/** Four decimal numbers to 255 without leading zeros. RFC 3986 section 3.2.2. */
export function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255);
}

const DOT = 0x2e;
const OPEN_BRACKET = 0x5b;

/** Letters, digits and `-._~`: the unreserved characters, which need and have no second spelling. */
const NAME = nameTable();

function nameTable(): Uint8Array {
  const table = new Uint8Array(128);
  for (let code = 0; code < 128; code++) if (/[A-Za-z0-9._~-]/.test(String.fromCharCode(code))) table[code] = 1;
  return table;
}
