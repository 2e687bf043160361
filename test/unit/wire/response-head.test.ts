import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { type BodyFraming, parseResponseHead, type ResponseHead } from "../../../src/wire/http1-head.ts";

function answer(statusLine: string, ...fields: string[]): string {
  return [statusLine, ...fields, "", ""].join("\r\n");
}

function parse(text: string, forMethod = "GET") {
  return parseResponseHead(Buffer.from(text, "latin1"), forMethod);
}

function accepted(text: string, forMethod = "GET"): ResponseHead {
  const result = parse(text, forMethod);
  if (result.at !== "head") throw new Error(`not accepted: ${JSON.stringify(result)}`);
  return result.head;
}

function refusal(text: string): string {
  const result = parse(text);
  return result.at === "refused" ? `${result.error.code}: ${result.error.message}` : result.at;
}

describe("a malformed or ambiguous answer is the upstream's protocol error", () => {
  const ok = "HTTP/1.1 200 OK";
  test.each<[string, string]>([
    ["two Content-Lengths", answer(ok, "Content-Length: 1", "Content-Length: 1")],
    ["both framings", answer(ok, "Content-Length: 1", "Transfer-Encoding: chunked")],
    ["chunked twice", answer(ok, "Transfer-Encoding: chunked, chunked")],
    ["another coding", answer(ok, "Transfer-Encoding: gzip")],
    ["chunked in HTTP/1.0", answer("HTTP/1.0 200 OK", "Transfer-Encoding: chunked")],
    ["a bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"],
    ["a bare CR", "HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n"],
    ["folding", answer(ok, "X: y", " z")],
    ["a space before the colon", answer(ok, "Content-Length : 0")],
    ["a NUL in a value", answer(ok, "X: \0")],
    ["a control character in the reason", answer("HTTP/1.1 200 O\x01K")],
    ["an empty line before it", `\r\n${answer(ok)}`],
    ["no protocol", answer("200 OK")],
    ["another protocol", answer("ICY 200 OK")],
    ["a lower-case protocol", answer("http/1.1 200 OK")],
    ["HTTP/2.0", answer("HTTP/2.0 200 OK")],
    ["HTTP/1.01", answer("HTTP/1.01 200 OK")],
    ["two spaces before the status", answer("HTTP/1.1  200 OK")],
    ["a tab before the status", answer("HTTP/1.1\t200 OK")],
    ["a status of two digits", answer("HTTP/1.1 20 OK")],
    ["a status of four digits", answer("HTTP/1.1 2000 OK")],
    ["a status below 100", answer("HTTP/1.1 099 OK")],
    ["a status with a sign", answer("HTTP/1.1 +20 OK")],
    ["1xx with a length", answer("HTTP/1.1 100 Continue", "Content-Length: 5")],
    ["1xx with chunks", answer("HTTP/1.1 103 Early Hints", "Transfer-Encoding: chunked")],
    ["204 with a length", answer("HTTP/1.1 204 No Content", "Content-Length: 5")],
    ["204 with chunks", answer("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked")],
    ["101 without a protocol", answer("HTTP/1.1 101 Switching Protocols", "Connection: upgrade")],
    ["101 without Connection", answer("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket")],
    ["Connection naming Set-Cookie", answer(ok, "Connection: Set-Cookie")],
    ["too many fields", answer(ok, ...Array.from({ length: LIMITS.headerCountMax + 1 }, () => "X: y"))],
    ["too long a head", answer(ok, `X: ${"a".repeat(LIMITS.headBytesMax)}`)],
  ])("%s", (_, input) => {
    expect(refusal(input)).toMatch(/^upstream-protocol-error: /);
  });
});

describe("where the body ends follows RFC 9112 section 6.3", () => {
  const none: BodyFraming = { kind: "none" };
  const untilClose: BodyFraming = { kind: "until-close" };
  const chunked: BodyFraming = { kind: "chunked" };
  test.each<[string, string, string[], BodyFraming, boolean]>([
    ["GET", "200", ["Content-Length: 5"], { kind: "length", bytes: 5 }, true],
    ["GET", "200", ["Content-Length: 0"], { kind: "length", bytes: 0 }, true],
    ["GET", "200", ["Transfer-Encoding: chunked"], chunked, true],
    ["GET", "200", [], untilClose, false],
    ["GET", "200", ["Connection: keep-alive"], untilClose, false],
    ["GET", "200", ["Connection: close", "Content-Length: 5"], { kind: "length", bytes: 5 }, false],
    ["HEAD", "200", ["Content-Length: 5"], none, true],
    ["HEAD", "200", ["Transfer-Encoding: chunked"], none, true],
    ["HEAD", "200", [], none, true],
    ["GET", "304", ["Content-Length: 5"], none, true],
    ["GET", "304", [], none, true],
    ["GET", "204", [], none, true],
    ["GET", "204", ["Content-Length: 0"], none, true],
    ["GET", "100", [], none, true],
    ["GET", "103", ["Link: </a>"], none, true],
    ["CONNECT", "200", [], none, true],
    ["CONNECT", "200", ["Transfer-Encoding: chunked"], none, true],
    ["CONNECT", "299", ["Content-Length: 5"], none, true],
    ["CONNECT", "407", ["Content-Length: 5"], { kind: "length", bytes: 5 }, true],
    ["CONNECT", "502", [], untilClose, false],
    ["GET", "999", ["Content-Length: 1"], { kind: "length", bytes: 1 }, true],
  ])("%s answered %s with %j", (method, status, fields, framing, isKeepAlive) => {
    expect(accepted(answer(`HTTP/1.1 ${status} X`, ...fields), method)).toMatchObject({ framing, isKeepAlive });
  });

  test("HTTP/1.0 keeps alive only when it says so and the body has an end", () => {
    expect(accepted(answer("HTTP/1.0 200 OK", "Content-Length: 1")).isKeepAlive).toBe(false);
    expect(accepted(answer("HTTP/1.0 200 OK", "Connection: keep-alive")).isKeepAlive).toBe(false);
    expect(accepted(answer("HTTP/1.0 200 OK", "Connection: keep-alive", "Content-Length: 1")).isKeepAlive).toBe(true);
  });
});

describe("a sound answer is understood", () => {
  test.each<[string, string, Partial<ResponseHead>]>([
    ["with a reason", "HTTP/1.1 404 Not Found", { status: 404, reason: "Not Found", minorVersion: 1 }],
    ["with a reason in latin-1", "HTTP/1.1 200 Pas de probl\xe8me", { reason: "Pas de probl\xe8me" }],
    ["with an empty reason", "HTTP/1.1 200 ", { status: 200, reason: "" }],
    ["without the space before it", "HTTP/1.1 200", { status: 200, reason: "" }],
    ["of HTTP/1.0", "HTTP/1.0 200 OK", { minorVersion: 0 }],
  ])("%s", (_, statusLine, expected) => {
    expect(accepted(answer(statusLine))).toMatchObject(expected);
  });

  test("101 names its protocol, no other status does", () => {
    const fields = ["Connection: Upgrade", "Upgrade: WebSocket"];
    expect(accepted(answer("HTTP/1.1 101 Switching Protocols", ...fields)).upgrade).toBe("websocket");
    expect(accepted(answer("HTTP/1.1 426 Upgrade Required", ...fields)).upgrade).toBeNull();
  });

  test("nominated fields are told", () => {
    expect(accepted(answer("HTTP/1.1 200 OK", "Connection: X-Hop")).nominated).toEqual(["x-hop"]);
  });

  test("an incomplete head asks for more at every octet", () => {
    const text = answer("HTTP/1.1 200 OK", "X: y", "Content-Length: 1");
    for (let end = 0; end < text.length; end++) expect(refusal(text.slice(0, end))).toBe("incomplete");
  });
});
