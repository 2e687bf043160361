/**
 * Whether a field must not be taken from a trailer section, because it would change framing, routing, credentials,
 * caching or how the content is read after all of these have been decided. RFC 9110 section 6.5.1.
 */
export function isForbiddenTrailer(lowerName: string): boolean {
  // To many apps `_` is `-`.
  const name = lowerName.includes("_") ? lowerName.replaceAll("_", "-") : lowerName;
  return FORBIDDEN.has(name) || FORBIDDEN_PREFIXES.some((prefix) => name.startsWith(prefix));
}

const FORBIDDEN_PREFIXES = [
  "access-control-",
  "if-",
  "proxy-",
  "sec-",
  "x-b3-",
  "x-cardea-",
  "x-envoy-",
  "x-forwarded-",
];

const FORBIDDEN = new Set([
  "accept-ranges",
  "age",
  "authorization",
  "cache-control",
  "connection",
  "content-encoding",
  "content-length",
  "content-location",
  "content-range",
  "content-type",
  "cookie",
  "date",
  "expect",
  "expires",
  "forwarded",
  "host",
  "http2-settings",
  "keep-alive",
  "location",
  "max-forwards",
  "origin",
  "pragma",
  "range",
  "retry-after",
  "set-cookie",
  "te",
  "traceparent",
  "tracestate",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "vary",
  "via",
  "warning",
  "www-authenticate",
  "x-real-ip",
  "x-request-id",
]);
