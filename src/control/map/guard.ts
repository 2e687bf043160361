import type { PageAnswer, PageRequest } from "../../io/page-server.ts";

/** On every answer of the map's port, refusals included. */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    // No text ever becomes a script or markup: there is no policy that could make it.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "cache-control": "no-store",
};

export function withSecurityHeaders(answer: PageAnswer): PageAnswer {
  return { ...answer, headers: { ...answer.headers, ...SECURITY_HEADERS } };
}

export interface GuardRules {
  /** loopback: only a Host of localhost or a loopback address is answered, against DNS rebinding. */
  readonly hosts: "loopback" | "any";
  readonly scheme: "http" | "https";
}

/** Why a request is not answered whoever sends it; null: it may be. */
export function refuseRequest(request: PageRequest, { hosts, scheme }: GuardRules): PageAnswer | null {
  const { method } = request;
  if (method !== "GET" && method !== "HEAD")
    return refusal(405, "this port only reads: GET and HEAD", { allow: "GET, HEAD" });
  const host = request.header("host");
  if (host === undefined || host === "") return refusal(400, "no Host");
  if (hosts === "loopback" && !isLoopbackHost(host)) return refusal(403, "this port answers to localhost only");
  const origin = request.header("origin");
  if (origin !== undefined && origin.toLowerCase() !== `${scheme}://${host.toLowerCase()}`)
    return refusal(403, "not from another page");
  return isFromElsewhere(request) ? refusal(403, "not from another page") : null;
}

/** What another page makes a browser ask for. To follow a link to the page itself is no more than to type its address. */
function isFromElsewhere(request: PageRequest): boolean {
  const site = request.header("sec-fetch-site");
  if (site === undefined || site === "same-origin" || site === "none") return false;
  const isLink = request.header("sec-fetch-mode") === "navigate" && request.header("sec-fetch-dest") === "document";
  return !(isLink && request.path === "/");
}

/** localhost, 127.0.0.0/8 or ::1, with or without a port (RFC 9110 section 7.2). */
function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase().replace(/:\d{1,5}$/, "");
  return name === "localhost" || name === "[::1]" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name);
}

export function refusal(status: number, message: string, headers: Readonly<Record<string, string>> = {}): PageAnswer {
  return { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers }, body: `${message}\n` };
}
