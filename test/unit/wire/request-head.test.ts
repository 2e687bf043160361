import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { parseRequestHead, type RequestHead } from "../../../src/wire/http1-head.ts";

/** A GET with the given fields behind a Host. */
function get(...fields: string[]): string {
  return ["GET / HTTP/1.1", "Host: orders", ...fields, "", ""].join("\r\n");
}

/** A start line with nothing but a Host. */
function line(startLine: string): string {
  return `${startLine}\r\nHost: orders\r\n\r\n`;
}

function parse(text: string) {
  return parseRequestHead(Buffer.from(text, "latin1"));
}

function accepted(text: string): RequestHead {
  const result = parse(text);
  if (result.at !== "head") throw new Error(`not accepted: ${JSON.stringify(result)}`);
  return result.head;
}

/** `code: message`, or how the parse ended instead. */
function refusal(text: string): string {
  const result = parse(text);
  return result.at === "refused" ? `${result.error.code}: ${result.error.message}` : result.at;
}

describe("a request that can be read in two ways is refused", () => {
  const cases: [name: string, input: string, expected: RegExp][] = [
    ["two Content-Lengths", get("Content-Length: 1", "Content-Length: 2"), /^bad-request: .*two Content-Length/],
    ["two equal Content-Lengths", get("Content-Length: 1", "content-length: 1"), /^bad-request: .*two Content-Length/],
    ["a list of Content-Lengths", get("Content-Length: 1, 1"), /^bad-request: Content-Length is not/],
    ["a signed Content-Length", get("Content-Length: +1"), /^bad-request: Content-Length is not/],
    ["a negative Content-Length", get("Content-Length: -1"), /^bad-request: Content-Length is not/],
    ["a hexadecimal Content-Length", get("Content-Length: 0x10"), /^bad-request: Content-Length is not/],
    ["an empty Content-Length", get("Content-Length:"), /^bad-request: Content-Length is not/],
    ["a Content-Length with a space inside", get("Content-Length: 1 0"), /^bad-request: Content-Length is not/],
    ["a Content-Length of 2^53", get("Content-Length: 9007199254740992"), /^bad-request: Content-Length is not/],
    ["a Content-Length of 17 digits", get("Content-Length: 00000000000000001"), /^bad-request: Content-Length is not/],
    [
      "Content-Length with Transfer-Encoding",
      get("Content-Length: 1", "Transfer-Encoding: chunked"),
      /^bad-request: there are both/,
    ],
    [
      "Transfer-Encoding with Content-Length: 0",
      get("Transfer-Encoding: chunked", "Content-Length: 0"),
      /^bad-request: there are both/,
    ],
    [
      "chunked twice in one field",
      get("Transfer-Encoding: chunked, chunked"),
      /^bad-request: Transfer-Encoding is not/,
    ],
    [
      "chunked twice in two fields",
      get("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
      /^bad-request: there are two Transfer-Encoding/,
    ],
    ["chunked after another coding", get("Transfer-Encoding: gzip, chunked"), /^bad-request: Transfer-Encoding is not/],
    [
      "chunked before another coding",
      get("Transfer-Encoding: chunked, identity"),
      /^bad-request: Transfer-Encoding is/,
    ],
    ["identity", get("Transfer-Encoding: identity"), /^bad-request: Transfer-Encoding is not/],
    ["an empty Transfer-Encoding", get("Transfer-Encoding:"), /^bad-request: Transfer-Encoding is not/],
    [
      "a vertical tab before chunked",
      get("Transfer-Encoding: \x0bchunked"),
      /^bad-request: a field value holds a cont/,
    ],
    [
      "a no-break space behind chunked",
      get("Transfer-Encoding: chunked\xa0"),
      /^bad-request: Transfer-Encoding is not/,
    ],
    ["a quoted chunked", get('Transfer-Encoding: "chunked"'), /^bad-request: Transfer-Encoding is not/],
    ["chunked with a parameter", get("Transfer-Encoding: chunked;q=1"), /^bad-request: Transfer-Encoding is not/],
    [
      "Transfer-Encoding in HTTP/1.0",
      "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
      /^bad-request: HTTP\/1\.0 has no Transfer-Encoding/,
    ],
    ["content_length", get("content_length: 1"), /^bad-request: a field looks like/],
    ["Transfer_Encoding", get("Transfer_Encoding: chunked"), /^bad-request: a field looks like/],
    ["CONNECT with a length", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n", /CONNECT has a body$/],
    [
      "CONNECT with chunks",
      "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n",
      /CONNECT has a body$/,
    ],
    ["Connection naming Host", get("Connection: close, Host"), /^bad-request: Connection names/],
    ["Connection naming Content-Length", get("Connection: content-length"), /^bad-request: Connection names/],
    ["Connection naming Transfer-Encoding", get("Connection: transfer-encoding"), /^bad-request: Connection names/],
    ["Connection naming Authorization", get("Connection: Authorization"), /^bad-request: Connection names/],
    ["Connection naming Cookie", get("Connection: keep-alive,cookie"), /^bad-request: Connection names/],
    ["Connection naming X-Forwarded-Client-Cert", get("Connection: x-forwarded-client-cert"), /Connection names/],
    ["Connection naming X-Forwarded-For", get("Connection: x-forwarded-for"), /^bad-request: Connection names/],
    ["Connection naming Traceparent", get("Connection: traceparent"), /^bad-request: Connection names/],
    ["Connection that is no list of tokens", get("Connection: close; x"), /^bad-request: Connection is not a list/],
    ["Connection with too many elements", get(`Connection: ${",".repeat(100)}`), /Connection has too many elements$/],
    [
      "Connection with too many elements in two fields",
      get(`Connection: ${"a,".repeat(60)}`, `Connection: ${"a,".repeat(60)}`),
      /Connection has too many elements$/,
    ],
    ["Upgrade with too many elements", get(`Upgrade: ${"a,".repeat(100)}`), /Upgrade has too many elements$/],
    ["Upgrade that is no protocol", get("Connection: upgrade", "Upgrade: web socket"), /^bad-request: Upgrade is not/],
    ["an empty Upgrade", get("Connection: upgrade", "Upgrade:"), /^bad-request: Upgrade is empty/],
  ];
  test.each(cases)("%s", (_, input, expected) => {
    expect(refusal(input)).toMatch(expected);
  });
});

describe("a request with a malformed line is refused", () => {
  const cases: [name: string, input: string, expected: RegExp][] = [
    ["a bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", /^bad-request: the version is not follow/],
    ["a bare CR behind the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n", /^bad-request: a CR is not followed/],
    ["a bare LF behind a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", /^bad-request: a field value holds/],
    ["a bare CR in a field", get("X: y\rZ: 1"), /^bad-request: a CR is not followed by LF/],
    ["a CR twice behind a field", get("X: y\r"), /^bad-request: a CR is not followed by LF/],
    ["a bare LF as the last line", "GET / HTTP/1.1\r\nHost: a\r\n\n", /^bad-request: a field name is not a token/],
    ["a bare CR as the last line", "GET / HTTP/1.1\r\nHost: a\r\n\rX", /^bad-request: a CR is not followed by LF/],
    ["a folded field", get("X: y", " z"), /^bad-request: a line begins with whitespace/],
    ["a field folded by a tab", get("X: y", "\tz"), /^bad-request: a line begins with whitespace/],
    [
      "whitespace before the first field",
      "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
      /^bad-request: a line begins with whit/,
    ],
    ["a space before the colon", get("X : y"), /^bad-request: a field name is not a token/],
    ["a tab before the colon", get("Content-Length\t: 1"), /^bad-request: a field name is not a token/],
    ["an empty field name", get(": y"), /^bad-request: a field name is empty/],
    ["a line without a colon", get("X"), /^bad-request: a field name is not a token/],
    ["a non-ASCII field name", get("Na\xefve: y"), /^bad-request: a field name is not a token/],
    ["a field name with @", get("Fo@: y"), /^bad-request: a field name is not a token/],
    ["a NUL in a field name", get("X\0: y"), /^bad-request: a field name is not a token/],
    ["a NUL in a value", get("X: \0"), /^bad-request: a field value holds a control character/],
    ["a DEL in a value", get("X: \x7f"), /^bad-request: a field value holds a control character/],
    ["an escape in a value", get("X: \x1b[0m"), /^bad-request: a field value holds a control character/],
    ["a lower-case method", line("get / HTTP/1.1"), /^bad-request: the method is not an upper-case token/],
    ["a method of two words", line("GE T / HTTP/1.1"), /^bad-request: the request-target is not followed by HTTP/],
    ["a method with a colon", line("GET: / HTTP/1.1"), /^bad-request: the method is not/],
    ["an empty method", line(" / HTTP/1.1"), /^bad-request: the method is not/],
    ["a tab behind the method", line("GET\t/ HTTP/1.1"), /^bad-request: the method is not/],
    ["two spaces behind the method", line("GET  / HTTP/1.1"), /^bad-request: the request-target is empty/],
    ["two spaces behind the target", line("GET /  HTTP/1.1"), /^bad-request: the request-target is not followed/],
    ["a space behind the version", line("GET / HTTP/1.1 "), /^bad-request: the version is not followed by CRLF/],
    ["HTTP/0.9", "GET /\r\n", /^bad-request: the request-target is empty or not visible/],
    ["a lower-case protocol", line("GET / http/1.1"), /^bad-request: the request-target is not followed by HTTP/],
    ["another protocol", line("GET / ICE/1.0"), /^bad-request: the request-target is not followed by HTTP/],
    ["a version of two digits", line("GET / HTTP/1.10"), /^bad-request: the version is not followed by CRLF/],
    ["a version without its dot", line("GET / HTTP/11"), /^bad-request: the request-target is not followed by HTTP/],
    ["HTTP/2.0", line("GET / HTTP/2.0"), /^version-not-supported: /],
    ["HTTP/1.2", line("GET / HTTP/1.2"), /^version-not-supported: /],
    ["HTTP/0.9 spelled out", line("GET / HTTP/0.9"), /^version-not-supported: /],
    ["the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", /^version-not-supported: /],
    ["two empty lines before the request", `\r\n\r\n${get()}`, /^bad-request: the method is not/],
    ["a bare LF before the request", `\n${get()}`, /^bad-request: the method is not/],
    ["a space before the request", ` ${get()}`, /^bad-request: the method is not/],
    ["a byte order mark before the request", `\xef\xbb\xbf${get()}`, /^bad-request: the method is not/],
  ];
  test.each(cases)("%s", (_, input, expected) => {
    expect(refusal(input)).toMatch(expected);
  });
});

describe("a request whose target or Host is not unmistakable is refused", () => {
  const target = /^bad-request: the request-target/;
  const cases: [name: string, input: string, expected: RegExp][] = [
    ["a relative target", line("GET index.html HTTP/1.1"), target],
    ["a backslash for the slash", line("GET \\admin HTTP/1.1"), target],
    ["a fragment", line("GET /a#b HTTP/1.1"), target],
    ["a fragment at the end", line("GET /a# HTTP/1.1"), target],
    ["a control character", line("GET /a\x01 HTTP/1.1"), target],
    ["a NUL", line("GET /a\0b HTTP/1.1"), target],
    ["a DEL", line("GET /a\x7f HTTP/1.1"), target],
    ["a tab", line("GET /a\tb HTTP/1.1"), target],
    ["UTF-8", line("GET /\xc3\xa9 HTTP/1.1"), target],
    ["asterisk-form with GET", line("GET * HTTP/1.1"), target],
    ["asterisk-form with more behind it", line("OPTIONS *a HTTP/1.1"), target],
    ["origin-form with CONNECT", line("CONNECT / HTTP/1.1"), target],
    ["absolute-form with CONNECT", line("CONNECT http://a:1 HTTP/1.1"), target],
    ["CONNECT without a port", line("CONNECT ledger HTTP/1.1"), target],
    ["CONNECT to port 0", line("CONNECT ledger:0 HTTP/1.1"), target],
    ["CONNECT to port 65536", line("CONNECT ledger:65536 HTTP/1.1"), target],
    ["CONNECT to an empty host", line("CONNECT :80 HTTP/1.1"), target],
    ["CONNECT to an IPv6 address without brackets", line("CONNECT ::1:80 HTTP/1.1"), target],
    ["CONNECT to an IPv6 literal without a port", line("CONNECT [::1] HTTP/1.1"), target],
    ["authority-form with GET", line("GET ledger:80 HTTP/1.1"), target],
    ["https", line("GET https://a/ HTTP/1.1"), target],
    ["another scheme", line("GET ftp://a/ HTTP/1.1"), target],
    ["http: without an authority", line("GET http:///a HTTP/1.1"), target],
    ["http: with one slash", line("GET http:/a HTTP/1.1"), target],
    ["user information", line("GET http://u@a/ HTTP/1.1"), target],
    ["user and password", line("GET http://u:p@a/ HTTP/1.1"), target],
    ["a percent-encoded host", line("GET http://%61/ HTTP/1.1"), target],
    ["a backslash behind the host", line("GET http://a\\b/ HTTP/1.1"), target],
    ["an empty port", line("GET http://a:/ HTTP/1.1"), target],
    ["no Host", "GET / HTTP/1.1\r\n\r\n", /^bad-request: there is no Host/],
    ["no Host, although the target names one", "GET http://a/ HTTP/1.1\r\n\r\n", /^bad-request: there is no Host/],
    ["two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", /^bad-request: there are two Host/],
    ["two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhOsT: a\r\n\r\n", /^bad-request: there are two Host/],
    ["two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", /^bad-request: there are two Host/],
    ["an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", /^bad-request: Host is not/],
    ["a list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", /^bad-request: Host is not/],
    ["a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", /^bad-request: Host is not/],
    ["a Host with user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", /^bad-request: Host is not/],
    ["a Host with a port out of range", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", /^bad-request: Host is not/],
    ["an invalid Host behind absolute-form", "GET http://a/ HTTP/1.1\r\nHost: b/\r\n\r\n", /^bad-request: Host is not/],
    ["an expectation other than 100-continue", get("Expect: 200-ok"), /^expectation-failed: /],
    ["100-continue among others", get("Expect: 100-continue, x"), /^expectation-failed: /],
    ["100-continue twice", get("Expect: 100-continue", "Expect: 100-continue"), /^expectation-failed: /],
  ];
  test.each(cases)("%s", (_, input, expected) => {
    expect(refusal(input)).toMatch(expected);
  });
});

describe("a head over a limit is refused with head-too-large", () => {
  test("a target of one octet more than the limit", () => {
    const longest = `/${"a".repeat(LIMITS.targetBytesMax - 1)}`;
    expect(accepted(line(`GET ${longest} HTTP/1.1`)).path).toBe(longest);
    expect(refusal(line(`GET ${longest}a HTTP/1.1`))).toMatch(/^head-too-large: the request-target/);
  });

  test("one field more than the limit", () => {
    const fields = Array.from({ length: LIMITS.headerCountMax - 1 }, (_, i) => `X-${i}: y`);
    expect(accepted(get(...fields)).headers).toHaveLength(LIMITS.headerCountMax * 2);
    expect(refusal(get(...fields, "X: y"))).toMatch(/^head-too-large: there are too many fields/);
  });

  test("one octet more than the limit, and no sooner", () => {
    const room = LIMITS.headBytesMax - get("X: ").length;
    expect(accepted(get(`X: ${"a".repeat(room)}`)).headers[3]).toHaveLength(room);
    expect(refusal(get(`X: ${"a".repeat(room + 1)}`))).toMatch(/^head-too-large: the head is too long/);
  });

  test("an endless field is refused as soon as the limit is reached", () => {
    const endless = `GET / HTTP/1.1\r\nX: ${"a".repeat(LIMITS.headBytesMax)}`;
    expect(refusal(endless.slice(0, LIMITS.headBytesMax - 1))).toBe("incomplete");
    expect(refusal(endless.slice(0, LIMITS.headBytesMax))).toMatch(/^head-too-large/);
  });

  test("a body does not count", () => {
    expect(parse(get("Content-Length: 70000") + "a".repeat(70_000)).at).toBe("head");
  });
});

describe("garbage is refused at its first wrong octet", () => {
  test.each<[string, string, number]>([
    ["a TLS ClientHello", "\x16\x03\x01", 0],
    ["an SSH banner", "SSH-2.0-OpenSSH_9.2p1", "SSH-2.0-O".length],
    ["a NUL", "\0", 0],
    ["JSON", "{", 0],
    ["a lower-case method", "get", 0],
    ["an empty line that is none", "\rG", 1],
    ["a second empty line", "\r\n\r", 2],
    ["a target with a fragment", "GET /#", "GET /".length],
    ["a lower-case protocol", "GET / h", "GET / ".length],
    ["another version", "GET / HTTP/2.0", "GET / HTTP/2.".length],
  ])("%s", (_, input, firstWrong) => {
    expect(refusal(input.slice(0, firstWrong))).toBe("incomplete");
    expect(refusal(input.slice(0, firstWrong + 1))).toMatch(/^(bad-request|version-not-supported)/);
  });
});

describe("a sound request is understood", () => {
  test("with everything that it says", () => {
    const text =
      "POST /a/b?c=d HTTP/1.1\r\nHost: Orders.shop:8080\r\nX-Empty:\r\nX: \t y z \t\r\nContent-Length: 5\r\n\r\nhello";
    expect(parse(text)).toEqual({
      at: "head",
      bytes: text.length - 5,
      head: {
        method: "POST",
        target: "/a/b?c=d",
        targetForm: "origin",
        minorVersion: 1,
        headers: ["Host", "Orders.shop:8080", "X-Empty", "", "X", "y z", "Content-Length", "5"],
        host: "Orders.shop:8080",
        path: "/a/b?c=d",
        framing: { kind: "length", bytes: 5 },
        isKeepAlive: true,
        upgrade: null,
        expectsContinue: false,
        nominated: [],
      },
    });
  });

  test("one empty line before it is passed over and counted", () => {
    expect(parse(`\r\n${get()}`)).toMatchObject({ at: "head", bytes: get().length + 2, head: { method: "GET" } });
  });

  test("latin-1 values pass octet by octet", () => {
    expect(accepted(get("X: \x80\xff")).headers[3]).toBe("\x80\xff");
  });

  test("HTTP/1.0 needs no Host", () => {
    expect(accepted("GET / HTTP/1.0\r\n\r\n")).toMatchObject({ host: null, minorVersion: 0, isKeepAlive: false });
  });

  test.each<[string, string, Partial<RequestHead>]>([
    ["origin-form with two slashes", "GET //a/b HTTP/1.1", { targetForm: "origin", path: "//a/b", host: "orders" }],
    ["what browsers send raw", 'GET /a?q="|^`{} HTTP/1.1', { targetForm: "origin", path: '/a?q="|^`{}' }],
    ["absolute-form", "GET http://a:1/b?c HTTP/1.1", { targetForm: "absolute", path: "/b?c", host: "a:1" }],
    ["absolute-form, scheme in capitals", "GET HTTP://a/ HTTP/1.1", { targetForm: "absolute", path: "/", host: "a" }],
    ["absolute-form without a path", "GET http://a HTTP/1.1", { targetForm: "absolute", path: "/", host: "a" }],
    ["absolute-form with a query alone", "GET http://a?b HTTP/1.1", { targetForm: "absolute", path: "/?b", host: "a" }],
    ["absolute-form with an IPv6 literal", "GET http://[::1]:8/ HTTP/1.1", { path: "/", host: "[::1]:8" }],
    ["an @ in the path", "GET http://a/@b HTTP/1.1", { path: "/@b", host: "a" }],
    ["OPTIONS for the server", "OPTIONS * HTTP/1.1", { targetForm: "asterisk", path: "*", host: "orders" }],
    ["OPTIONS through a proxy", "OPTIONS http://a HTTP/1.1", { targetForm: "absolute", path: "*", host: "a" }],
    ["CONNECT", "CONNECT ledger:9000 HTTP/1.1", { targetForm: "authority", path: "", host: "ledger:9000" }],
    ["CONNECT to an IPv6 literal", "CONNECT [::1]:9000 HTTP/1.1", { targetForm: "authority", host: "[::1]:9000" }],
    ["an unknown method", "BREW-1 /pot HTTP/1.1", { method: "BREW-1" }],
  ])("%s", (_, startLine, expected) => {
    expect(accepted(line(startLine))).toMatchObject(expected);
  });

  test.each<[string, string[], Partial<RequestHead>]>([
    ["no body without framing", [], { framing: { kind: "none" } }],
    ["a length", ["Content-Length: 003"], { framing: { kind: "length", bytes: 3 } }],
    ["the greatest length", ["Content-Length: 9007199254740991"], { framing: { kind: "length", bytes: 2 ** 53 - 1 } }],
    ["chunks", ["Transfer-Encoding: Chunked"], { framing: { kind: "chunked" } }],
    ["close", ["Connection: Close"], { isKeepAlive: false }],
    ["close among others", ["Connection: x , ,close\t,keep-alive"], { isKeepAlive: false, nominated: ["x"] }],
    ["nominations in several fields", ["Connection: X-a, TE", "Connection: x-B"], { nominated: ["x-a", "te", "x-b"] }],
    ["a websocket", ["Connection: keep-alive, Upgrade", "Upgrade: WebSocket"], { upgrade: "websocket" }],
    ["several protocols", ["Connection: upgrade", "Upgrade: h2c", "Upgrade: a/1, b"], { upgrade: "h2c, a/1, b" }],
    ["an Upgrade that Connection does not mention", ["Upgrade: websocket"], { upgrade: null }],
    ["an upgrade without a protocol", ["Connection: upgrade"], { upgrade: null }],
    ["100-continue", ["Content-Length: 1", "Expect: 100-Continue"], { expectsContinue: true }],
    ["100-continue without a body", ["Content-Length: 0", "Expect: 100-continue"], { expectsContinue: false }],
  ])("%s", (_, fields, expected) => {
    expect(accepted(get(...fields))).toMatchObject(expected);
  });

  test.each<[string, string, Partial<RequestHead>]>([
    ["keeps alive when asked", "Connection: Keep-Alive", { isKeepAlive: true }],
    ["closes by itself", "X: y", { isKeepAlive: false }],
    ["has no expectations", "Expect: 100-continue\r\nContent-Length: 1", { expectsContinue: false }],
    ["has no upgrades", "Connection: upgrade\r\nUpgrade: websocket", { upgrade: null }],
  ])("HTTP/1.0 %s", (_, fields, expected) => {
    expect(accepted(`GET / HTTP/1.0\r\n${fields}\r\n\r\n`)).toMatchObject(expected);
  });

  test("a fault of one head does not colour the next one", () => {
    expect(refusal(line("GET / HTTP/2.0"))).toMatch(/^version-not-supported/);
    expect(refusal(line("get / HTTP/1.1"))).toMatch(/^bad-request/);
    expect(accepted(get()).method).toBe("GET");
  });

  test("an incomplete head asks for more at every octet", () => {
    const text = get("X: y", "Connection: close");
    for (let end = 0; end < text.length; end++) expect(refusal(text.slice(0, end))).toBe("incomplete");
  });
});
