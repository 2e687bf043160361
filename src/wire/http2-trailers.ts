import type { Headers } from "./headers.ts";
import { readFieldFacts } from "./http2-fields.ts";
import { isForbiddenTrailer } from "./trailer-names.ts";

export type TrailersReading =
  | { readonly at: "trailers"; readonly trailers: Headers }
  | { readonly at: "malformed"; readonly why: string };

/**
 * The field list that ends a message. What must not be taken from a trailer section is left out, as in HTTP/1.1
 * (trailer-names.ts). RFC 9113 section 8.1.
 */
export function readTrailers(fields: readonly string[]): TrailersReading {
  const trailers: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!;
    if (name.startsWith(":")) return { at: "malformed", why: "a trailer section holds a pseudo-header field" };
    if (!isForbiddenTrailer(name)) trailers.push(name, fields[i + 1]!);
  }
  const { fault } = readFieldFacts(fields, 0);
  return fault === null ? { at: "trailers", trailers } : { at: "malformed", why: fault };
}
