import { parsed, string } from "./schema.ts";

/** Those that frame a message or a connection (RFC 9110 section 7.6.1): a rule that wrote them could split a message in two. */
const FRAMING = new Set([
  "connection",
  "content-length",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** A field's name, in lower case. */
export const HEADER_NAME = parsed(string(), (text) => {
  if (text.length <= 256 && /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)) return text.toLowerCase();
  throw new Error(`expected the name of a header, found ${JSON.stringify(text)}`);
});

/** Throws an Error when a rule must not write the field. The name is in lower case. */
export function assertChangeable(name: string): void {
  if (name === "host") throw new Error("is not written as a header: use `rewrite.authority`");
  if (FRAMING.has(name)) throw new Error(`${name} belongs to the connection: no rule may change it`);
  if (name === "x-forwarded-client-cert" || name.startsWith("x-envoy-") || name.startsWith("x-cardea-"))
    throw new Error(`${name} is written by the sidecars alone: whoever reads it must be able to rely on it`);
}
