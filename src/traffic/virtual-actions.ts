import { LIMITS } from "../core/limits.ts";
import { integer, object, oneOf, optional, parsed, refused, required, string, NOT_YET } from "../core/schema.ts";
import { AUTHORITY, PATH } from "./targets.ts";
import { PORT } from "./ports.ts";
import type { Redirect, Rewrite, RouteAction } from "./service-traffic.ts";

/** Statuses that send a client elsewhere. */
const REDIRECT_CODE = parsed(integer({ min: 300, max: 399 }), (code) => {
  if (![301, 302, 303, 307, 308].includes(code)) throw new Error(`expected 301, 302, 303, 307 or 308, found ${code}`);
  return code;
});

/** VirtualService's `redirect`. */
export const REDIRECT = parsed(
  object({
    uri: optional(PATH),
    prefixRewrite: optional(PATH),
    authority: optional(AUTHORITY),
    port: optional(PORT),
    derivePort: refused(NOT_YET),
    scheme: optional(oneOf("http", "https")),
    redirectCode: optional(REDIRECT_CODE),
  }),
  ({ uri, prefixRewrite, authority, port, scheme, redirectCode }): Redirect => {
    if (uri !== null && prefixRewrite !== null) throw new Error("has both `uri` and `prefixRewrite`");
    const full = uri === null ? null : ({ kind: "full", text: uri } as const);
    const path = prefixRewrite === null ? full : ({ kind: "prefix", text: prefixRewrite } as const);
    return { status: redirectCode ?? 301, scheme, authority, port, path };
  },
);

/** VirtualService's `rewrite`: what the path's match found gives way to `uri`. */
export const REWRITE = parsed(
  object({ uri: optional(PATH), authority: optional(AUTHORITY), uriRegexRewrite: refused(NOT_YET) }),
  ({ uri, authority }): Rewrite => {
    if (uri === null && authority === null) throw new Error("rewrites nothing: `uri` or `authority` is missing");
    return { path: uri === null ? null : { kind: "prefix", text: uri }, authority };
  },
);

const BODY = parsed(string({ allowEmpty: true }), (body) => {
  if (Buffer.byteLength(body) > LIMITS.directResponseBytesMax)
    throw new Error(`is longer than ${LIMITS.directResponseBytesMax} bytes`);
  return body;
});

/** VirtualService's `directResponse`. */
export const DIRECT_RESPONSE = parsed(
  object({
    status: required(integer({ min: 200, max: 599 })),
    body: optional(object({ string: optional(BODY), bytes: refused(NOT_YET) })),
  }),
  ({ status, body }): RouteAction => ({ kind: "respond", status, body: body?.string ?? null }),
);
