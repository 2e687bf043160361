import { describe, expect, it } from "vitest";
import {
  answerHeadersOf,
  isIdentityHeader,
  joinedHeader,
  originalClientOf,
  requestHeadersOf,
  takesTrailers,
} from "../../../src/proxy/headers.ts";
import { parseRequestHead, parseResponseHead } from "../../../src/wire/http1-head.ts";

describe("identity headers", () => {
  it.each([
    "x-forwarded-client-cert",
    "X-Forwarded-Client-Cert",
    "X_FORWARDED_CLIENT_CERT",
    "x-forwarded_client-cert",
    "x-envoy-external-address",
    "X-Envoy-Original-Path",
    "x_envoy_peer_metadata",
    "x-cardea-denial",
    "X_Cardea_Anything",
  ])("%s is one", (name) => expect(isIdentityHeader(name)).toBe(true));

  it.each([
    "x-forwarded-for",
    "x-request-id",
    "accept",
    "xenvoy-x",
    "x",
    "x-",
    "xx-envoy-x",
    "x-forwarded-client-certs",
  ])("%s is none", (name) => expect(isIdentityHeader(name)).toBe(false));
});

describe("whether the caller takes trailers", () => {
  it.each([
    ["TE: trailers\r\n", true],
    ["te: Trailers\r\n", true],
    ["TE: deflate;q=0.5, trailers\r\n", true],
    ["TE: gzip\r\nTE: trailers\r\n", true],
    ["", false],
    ["TE: gzip\r\n", false],
    ["TE: trailers-not\r\n", false],
    ["TE: trailers;q=0\r\n", false],
    ["X-TE: trailers\r\n", false],
    ["Trailer: trailers\r\n", false],
  ])("after %j: %s", (fields, expected) => {
    const reading = parseRequestHead(Buffer.from(`GET / HTTP/1.1\r\nHost: orders\r\n${fields}\r\n`));
    expect(reading.at === "head" && takesTrailers(reading.head)).toBe(expected);
  });
});

describe("what is forwarded of a request", () => {
  it.each([
    [
      "what belongs to one connection",
      "Connection: keep-alive, X-One\r\nKeep-Alive: 5\r\nX-One: a\r\nTE: trailers\r\n",
    ],
    ["proxy credentials", "Proxy-Authorization: secret\r\nProxy-Connection: keep-alive\r\n"],
    ["an offer of HTTP/2", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"],
    ["an expectation without a body", "Expect: 100-continue\r\n"],
  ])("is without %s", (_name, fields) => {
    expect(forwarded(`GET / HTTP/1.1\r\nHost: orders\r\n${fields}\r\n`)).toEqual(["host", "orders"]);
  });

  it("is without framing, which the channel writes", () => {
    expect(forwarded("POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\n\r\n")).toEqual(["host", "o"]);
    expect(forwarded("POST / HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n")).toEqual(["host", "o"]);
  });

  it("has the authority in force as its one Host", () => {
    expect(forwarded("GET http://orders/ HTTP/1.1\r\nHost: evil\r\n\r\n")).toEqual(["host", "orders"]);
  });

  it("keeps the rest as it was, in order", () => {
    const text = "GET / HTTP/1.1\r\nAccept: a\r\nHOST: O\r\nX-Y: 1\r\nx-y: 2\r\n\r\n";
    expect(forwarded(text)).toEqual(["host", "O", "Accept", "a", "X-Y", "1", "x-y", "2"]);
  });
});

describe("what is forwarded of an answer", () => {
  it("is without what belongs to one connection, and without its length when a body follows", () => {
    const text = "HTTP/1.1 200 OK\r\nConnection: X-One\r\nX-One: a\r\nContent-Length: 3\r\nServer: s\r\n\r\n";
    expect(answered(text, "GET", "pass")).toEqual(["Server", "s"]);
    expect(answered(text, "HEAD", "pass")).toEqual(["Content-Length", "3", "Server", "s"]);
  });

  it("carries our own fields only from another sidecar", () => {
    const text = "HTTP/1.1 403 F\r\nX-Cardea-Denial: 1\r\nContent-Length: 0\r\n\r\n";
    expect(answered(text, "GET", "pass")).toEqual(["X-Cardea-Denial", "1"]);
    expect(answered(text, "GET", "strip")).toEqual([]);
  });
});

describe("a header as policies see it", () => {
  const headers = ["A", "1", "b", "2", "a", "3", "late", "4"];

  it.each([
    ["a", 8, "1,3"],
    ["a", 2, "1"],
    ["b", 8, "2"],
    ["c", 8, undefined],
    ["late", 6, undefined],
  ])("%s among the first %d entries", (name, length, value) => expect(joinedHeader(headers, name, length)).toBe(value));
});

function forwarded(text: string): string[] {
  const parsed = parseRequestHead(Buffer.from(text, "latin1"));
  if (parsed.at !== "head") throw new Error("not a head");
  return requestHeadersOf(parsed.head);
}

function answered(text: string, method: string, ownHeaders: "pass" | "strip"): string[] {
  const parsed = parseResponseHead(Buffer.from(text, "latin1"), method);
  if (parsed.at !== "head") throw new Error("not a head");
  return answerHeadersOf(parsed.head, ownHeaders);
}

describe("the original client by X-Forwarded-For", () => {
  const CONNECTION = "10.0.0.9";
  it.each([
    ["is the last where one proxy is trusted", "203.0.113.7", 1, "203.0.113.7"],
    ["is the one before the last where two are", "203.0.113.7, 10.0.0.1", 2, "203.0.113.7"],
    [
      "is what the trusted ones have added, whatever the client wrote before it",
      "1.1.1.1, 203.0.113.7",
      1,
      "203.0.113.7",
    ],
    ["stays so however much is written before it", `${"1.1.1.1,".repeat(500)}203.0.113.7 , 10.0.0.1`, 2, "203.0.113.7"],
    ["may be of IPv6", "2001:db8::1", 1, "2001:db8::1"],
    ["is the connection where nothing came", undefined, 1, CONNECTION],
    ["is the connection where less came than the trusted write", "203.0.113.7", 2, CONNECTION],
    ["is unknown where its place is empty", "203.0.113.7,", 1, ""],
    ["is unknown where the whole field is empty", "", 1, ""],
    ["is unknown where it is a name", "unknown", 1, ""],
    ["is unknown with a port", "203.0.113.7:443", 1, ""],
    ["is unknown with a quote", '"203.0.113.7"', 1, ""],
    ["is unknown as an address and something", "203.0.113.7 1.1.1.1", 1, ""],
  ])("%s", (_name, field, trusted, expected) => {
    expect(originalClientOf(field, trusted, CONNECTION)).toBe(expected);
  });
});
