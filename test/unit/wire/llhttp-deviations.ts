/** Cases that we judge unlike llhttp: what we answer, and why. */
interface Deviations {
  readonly ours: string;
  readonly why: string;
  readonly cases: readonly string[];
}

/** Verdicts, each request having a Host. "Lenient switch": llhttp accepts it with one of its lenient switches alone. */
export const verdictDeviations: readonly Deviations[] = [
  {
    ours: "bad-request: the method is not an upper-case token",
    why: "Two empty lines before a request: one is let pass (RFC 9112 section 2.2), more are no slip of an old client.",
    cases: ["request/connection.md: CRLF between requests, implicit `keep-alive`"],
  },
  {
    ours: "there is data behind a message that closes",
    why: "After `Connection: close` nothing more is read (RFC 9112 section 9.6); llhttp was told not to mind, or looks on for empty lines.",
    cases: [
      "request/connection.md: CRLF between requests, explicit `close` (lenient)",
      "request/connection.md: Resetting flags when keep-alive is off (1.0, lenient)",
      "response/connection.md: HTTP/1.1 with keep-alive disabled, content-length (lenient)",
      "response/connection.md: HTTP/1.1 with keep-alive disabled and 204 status (lenient)",
    ],
  },
  {
    ours: "bad-request: a line begins with whitespace (obsolete line folding)",
    why: "Lenient switch. RFC 9112 section 5.2 lets a server refuse folding.",
    cases: [
      "request/connection.md: Multiple tokens with folding",
      "request/connection.md: Multiple tokens with folding, LWS, and CRLF",
      "request/invalid.md: Spaces before headers (lenient)",
      "request/sample.md: Line folding in header value with CRLF",
      "request/sample.md: X-SSL-Nonsense",
    ],
  },
  {
    ours: "upstream-protocol-error: a line begins with whitespace (obsolete line folding)",
    why: "Lenient switch. A proxy may replace folding by spaces or refuse it; we refuse. RFC 9112 section 5.2.",
    cases: ["response/transfer-encoding.md: Invalid OBS fold after chunked value"],
  },
  {
    ours: "bad-request: a field name is not a token that a colon follows",
    why: "Lenient switch. RFC 9112 section 5.1: whitespace before the colon must be refused.",
    cases: [
      "request/connection.md: Invalid whitespace token with `Connection` header field (lenient)",
      "request/content-length.md: Invalid whitespace token with `Content-Length` header field (lenient)",
    ],
  },
  {
    ours: "accepted",
    why: "llhttp refuses in the middle of the head; here the head is never finished, and once it is we refuse it, too (the test below completes it).",
    cases: [
      "request/content-length.md: Error on `Content-Length` overflow",
      "request/content-length.md: Error on duplicate `Content-Length`",
    ],
  },
  {
    ours: "accepted",
    why: "Methods are tokens (RFC 9110 section 9.1); which ones are allowed is a matter of policy. llhttp has a list.",
    cases: ["request/invalid.md: HTTP protocol and ANNOUNCE method", "request/invalid.md: Invalid method"],
  },
  {
    ours: "bad-request: Transfer-Encoding is not chunked alone",
    why: "Lenient switch. Two framings, and a coding that is not chunked.",
    cases: [
      "request/content-length.md: No error on simultaneous `Content-Length` and `Transfer-Encoding: identity` (lenient)",
    ],
  },
  {
    ours: "bad-request: a CR is not followed by LF",
    why: "Lenient switch. A bare CR ends a line for some and not for others. RFC 9112 section 2.2.",
    cases: [
      "request/content-length.md: Missing CRLF-CRLF before body (lenient)",
      "request/lenient-headers.md: Empty headers separated by CR (lenient)",
      "request/sample.md: No LF after CR (lenient)",
      "request/transfer-encoding.md: Chunk header not terminated by CRLF (lenient)",
    ],
  },
  {
    ours: "bad-request: the version is not followed by CRLF",
    why: "Lenient switch. RFC 9112 section 2.2 allows to take a bare LF for a line's end; we do not.",
    cases: ["request/invalid.md: Only LFs present (lenient)"],
  },
  {
    ours: "bad-request: a field value holds a control character or a bare LF",
    why: "Lenient switch. RFC 9110 section 5.5.",
    cases: [
      "request/lenient-header-value-relaxed.md: Control char in header value (relaxed)",
      "request/lenient-headers.md: Header value (lenient)",
      "request/lenient-headers.md: Second request header value (lenient)",
    ],
  },
  {
    ours: "version-not-supported: the version is neither HTTP/1.1 nor HTTP/1.0",
    why: "Lenient switch.",
    cases: ["request/lenient-version.md: Invalid HTTP version (lenient)"],
  },
  {
    ours: "bad-request: CONNECT has a body",
    why: "A length before a tunnel is read as a body by some. RFC 9110 section 9.3.6.",
    cases: ["request/method.md: CONNECT with body"],
  },
  {
    ours: "bad-request: the request-target is not of a form that its method has",
    why: "Asterisk-form is for OPTIONS alone (RFC 9112 section 3.2.4), and a target with user information is refused (RFC 9110 section 4.2.4).",
    cases: [
      "request/method.md: M-SEARCH request",
      "request/method.md: PRI request HTTP2",
      "request/uri.md: `host:port` and basic auth",
    ],
  },
  {
    ours: "bad-request: the request-target is not followed by HTTP/1.1",
    why: "Other protocols than HTTP.",
    cases: [
      "request/method.md: SOURCE request with ICE",
      "request/method.md: OPTIONS request with RTSP",
      "request/method.md: ANNOUNCE request with RTSP",
    ],
  },
  {
    ours: "bad-request: Host is not host[:port]",
    why: "`0.0.0.0=5000` is no authority of ours: a name holds letters, digits and `-._~` (authority.ts).",
    cases: ["request/sample.md: curl GET", "request/sample.md: Firefox GET"],
  },
  {
    ours: "bad-request: the request-target is empty or not visible ASCII",
    why: "HTTP/0.9: a request line without a version.",
    cases: ["request/sample.md: No HTTP version"],
  },
  {
    ours: "bad-request: the request-target is empty or not visible ASCII",
    why: "A request-target has no fragment (RFC 9112 section 3.2.1); proxies cut it off at different places.",
    cases: [
      "request/transfer-encoding.md: POST with `Transfer-Encoding` and `Content-Length` (lenient)",
      "request/transfer-encoding.md: POST with `chunked` before other transfer-coding (lenient)",
      "request/transfer-encoding.md: POST with `chunked` and duplicate transfer-encoding (lenient)",
      "request/transfer-encoding.md: POST with `chunked` as last transfer-encoding",
      "request/transfer-encoding.md: POST with `chunked` as last transfer-encoding (multiple headers)",
      "request/uri.md: Fragment in URI",
    ],
  },
  {
    ours: "bad-request: a chunk is longer than its size",
    why: "Lenient switch.",
    cases: ["request/transfer-encoding.md: Chunk data not terminated by CRLF (lenient)"],
  },
  {
    ours: "bad-request: a chunk size is not hexadecimal, or not followed by CRLF or an extension",
    why: "Lenient switch.",
    cases: ["request/transfer-encoding.md: Space after chunk header (lenient)"],
  },
  {
    ours: "upstream-protocol-error: a 1xx or 204 says that it has a body",
    why: "RFC 9110 section 8.6 and RFC 9112 section 6.1 forbid it.",
    cases: [
      "response/connection.md: HTTP 101 response with Upgrade and Content-Length header",
      "response/connection.md: HTTP 101 response with Upgrade and Transfer-Encoding header",
    ],
  },
  {
    ours: "upstream-protocol-error: the answer does not begin with HTTP/1.1 or HTTP/1.0",
    why: "Other protocols and versions.",
    cases: [
      "response/lenient-version.md: Invalid HTTP version (lenient)",
      "response/sample.md: RTSP response",
      "response/sample.md: ICE response",
      "response/sample.md: HTTP version 0.9",
    ],
  },
  {
    ours: "upstream-protocol-error: the answer does not begin with HTTP/1.1 or HTTP/1.0",
    why: "An empty line before a status line: RFC 9112 section 2.2 excuses it in requests alone.",
    cases: [
      "response/connection.md: HTTP 304 with Content-Length",
      "response/connection.md: HTTP 100 first, then 400",
      "response/pipelining.md: Should parse multiple events",
      "response/sample.md: Response starting with CRLF",
    ],
  },
  {
    ours: "upstream-protocol-error: a CR is not followed by LF",
    why: "Lenient switch.",
    cases: ["response/invalid.md: Bare CR after response line (lenient)"],
  },
  {
    ours: "upstream-protocol-error: the reason holds a control character or a bare LF",
    why: "Lenient switch.",
    cases: [
      "response/invalid.md: Only LFs present and no body (lenient)",
      "response/invalid.md: Only LFs present (lenient)",
      "response/sample.md: No carriage ret (lenient)",
    ],
  },
  {
    ours: "upstream-protocol-error: Transfer-Encoding is not chunked alone",
    why: "llhttp reads until the connection closes (RFC 9112 section 6.3 item 4); a coding that we do not know we do not forward.",
    cases: [
      "response/transfer-encoding.md: `chunked` before other transfer-encoding",
      "response/transfer-encoding.md: `chunkedchunked` transfer-encoding does not enable chunked enconding",
    ],
  },
  {
    ours: "upstream-protocol-error: there are two Transfer-Encoding fields",
    why: "As above.",
    cases: ["response/transfer-encoding.md: multiple transfer-encoding where chunked is not the last one"],
  },
];

/**
 * What both accept and understand differently, by our reason.
 */
export const contentDeviations: Readonly<Record<string, string>> = {
  "request/content-length.md: Content-Length reset when no body is received":
    "llhttp's caller skips the bodies; we read the second request as the first one's body, which it is.",
  "request/transfer-encoding.md: Trailing headers":
    "Vary and Content-Type must not stand in a trailer section, so both are dropped. RFC 9110 section 6.5.1.",
};

/** HTTP/1.1 requests without a Host: RFC 9112 section 3.2 demands 400, llhttp leaves that to its caller. */
export const missingHost: readonly string[] = [
  "request/connection.md: Sample",
  "request/connection.md: Setting flag",
  "request/connection.md: Restarting when keep-alive is explicitly",
  "request/connection.md: Setting flag on `close`",
  "request/connection.md: Setting flag on `close` followed by tab",
  "request/connection.md: Multiple tokens with folding and LWS",
  "request/connection.md: Setting a flag and pausing",
  "request/connection.md: Emitting part of body and pausing",
  "request/content-length.md: `Content-Length` with zeroes",
  "request/content-length.md: `Content-Length` with follow-up headers",
  "request/content-length.md: Spaces in `Content-Length` (surrounding)",
  "request/content-length.md: Tabs in `Content-Length` (surrounding)",
  "request/content-length.md: Content-Length reset when no body is received",
  "request/finish.md: It should be safe to finish after GET request",
  "request/invalid.md: Invalid method",
  "request/method.md: REPORT request",
  "request/pausing.md: on_message_begin",
  "request/pausing.md: on_message_complete",
  "request/pausing.md: on_protocol_complete",
  "request/pausing.md: on_method_complete",
  "request/pausing.md: on_url_complete",
  "request/pausing.md: on_version_complete",
  "request/pausing.md: on_header_field_complete",
  "request/pausing.md: on_header_value_complete",
  "request/pausing.md: on_headers_complete",
  "request/pausing.md: on_chunk_header",
  "request/pausing.md: on_chunk_extension_name",
  "request/pausing.md: on_chunk_extension_value",
  "request/pausing.md: on_chunk_complete",
  "request/pipelining.md: Should parse multiple events",
  "request/sample.md: Simple request",
  "request/sample.md: Request with method starting with `H`",
  "request/sample.md: DUMBPACK",
  "request/sample.md: No headers and no body",
  "request/sample.md: One header and no body",
  "request/sample.md: Prefix newline",
  "request/sample.md: Request starting with CRLF",
  "request/sample.md: Extended Characters",
  "request/sample.md: 255 ASCII in header value",
  "request/transfer-encoding.md: Parsing and setting flag",
  "request/transfer-encoding.md: Parse chunks with lowercase size",
  "request/transfer-encoding.md: Parse chunks with uppercase size",
  "request/transfer-encoding.md: POST with `Transfer-Encoding: chunked`",
  "request/transfer-encoding.md: Two chunks and triple zero prefixed end chunk",
  "request/transfer-encoding.md: Trailing headers",
  "request/transfer-encoding.md: Chunk extensions",
  "request/transfer-encoding.md: Chunk extensions quoting",
  "request/uri.md: Quotes in URI",
  "request/uri.md: Query URL with question mark",
  "request/uri.md: Host terminated by a query string",
  "request/uri.md: `host:port` terminated by a query string",
  "request/uri.md: Query URL with vertical bar character",
  "request/uri.md: `host:port` terminated by a space",
];
