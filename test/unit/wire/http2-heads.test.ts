import { describe, expect, test } from "vitest";
import type { RequestHead, ResponseHead } from "../../../src/wire/http1-head.ts";
import { readRequestHead, requestPseudoFields } from "../../../src/wire/http2-request-head.ts";
import { readResponseHead, responsePseudoFields } from "../../../src/wire/http2-response-head.ts";
import { readTrailers } from "../../../src/wire/http2-trailers.ts";

const GET = [":method", "GET", ":scheme", "https", ":path", "/a?b=c", ":authority", "orders.shop:8080"];
const POST = [":method", "POST", ":scheme", "https", ":path", "/", ":authority", "orders"];
const CONNECT = [":method", "CONNECT", ":authority", "10.0.0.1:5432"];
const WEBSOCKET = [
  ":method",
  "CONNECT",
  ":protocol",
  "websocket",
  ":scheme",
  "http",
  ":path",
  "/chat",
  ":authority",
  "a",
];

/** The list without the fields of these names. */
function without(fields: readonly string[], ...names: string[]): string[] {
  return fields.filter((_, i) => !names.includes(fields[i - (i % 2)]!));
}

function accepted(fields: readonly string[], isEnd = true): RequestHead {
  const reading = readRequestHead(fields, isEnd);
  if (reading.at !== "head") throw new Error(`not accepted: ${reading.error.message}`);
  return reading.head;
}

/** `code: message`, or "accepted". */
function refusal(fields: readonly string[], isEnd = true): string {
  const reading = readRequestHead(fields, isEnd);
  return reading.at === "refused" ? `${reading.error.code}: ${reading.error.message}` : "accepted";
}

describe("a request is refused", () => {
  const cases: [name: string, fields: string[], why: RegExp][] = [
    ["without fields", [], /no valid :method/],
    ["without :method", without(GET, ":method"), /no valid :method/],
    ["with an empty :method", [":method", "", ...without(GET, ":method")], /no valid :method/],
    ["with a :method in lower case", [":method", "get", ...without(GET, ":method")], /no valid :method/],
    ["with a space in its :method", [":method", "GET /b", ...without(GET, ":method")], /no valid :method/],
    ["without :scheme", without(GET, ":scheme"), /:scheme/],
    ["with a :scheme of file", [":scheme", "file", ...without(GET, ":scheme")], /:scheme/],
    ["without :path", without(GET, ":path"), /no valid :path/],
    ["with an empty :path", [":path", "", ...without(GET, ":path")], /no valid :path/],
    ["with a :path without slash", [":path", "a", ...without(GET, ":path")], /:path is not of a form/],
    ["with a :path of *", [":path", "*", ...without(GET, ":path")], /:path is not of a form/],
    ["with a URI for a :path", [":path", "http://b/", ...without(GET, ":path")], /:path is not of a form/],
    ["with a space in its :path", [":path", "/a HTTP/1.1", ...without(GET, ":path")], /no valid :path/],
    ["with a fragment in its :path", [":path", "/a#b", ...without(GET, ":path")], /no valid :path/],
    ["with non-ASCII in its :path", [":path", "/\xe4", ...without(GET, ":path")], /no valid :path/],
    ["with a :path beyond the limit", [":path", `/${"a".repeat(16_384)}`, ...without(GET, ":path")], /too long/],
    ["without :authority and host", without(GET, ":authority"), /neither/],
    ["with an empty :authority", [...without(GET, ":authority"), ":authority", ""], /:authority is not/],
    [
      "with user information in its :authority",
      [...without(GET, ":authority"), ":authority", "a@b"],
      /:authority is not/,
    ],
    ["with a :authority of two hosts", [...without(GET, ":authority"), ":authority", "a,b"], /:authority is not/],
    ["with a host that is another", [...GET, "host", "orders.shop"], /not the same/],
    ["with two hosts", [...GET, "host", "orders.shop:8080", "host", "orders.shop:8080"], /two host/],
    ["with a host that is none", [...without(GET, ":authority"), "host", "a b"], /host is not/],
    ["with two :paths", [":path", "/b", ...GET], /two pseudo-header/],
    ["with two :methods", [":method", "GET", ...GET], /two pseudo-header/],
    ["with :status", [":status", "200", ...GET], /unknown pseudo-header/],
    ["with a pseudo-header field nobody knows", [":test", "a", ...GET], /unknown pseudo-header/],
    [
      "with :path behind a regular field",
      [...without(GET, ":path"), "a", "b", ":path", "/"],
      /no valid :path|behind a regular/,
    ],
    ["with another :path behind a regular field", [...GET, "a", "b", ":path", "/c"], /behind a regular/],
    ["with connection", [...GET, "connection", "close"], /connection-specific/],
    ["with keep-alive", [...GET, "keep-alive", "1"], /connection-specific/],
    ["with proxy-connection", [...GET, "proxy-connection", "close"], /connection-specific/],
    ["with transfer-encoding", [...GET, "transfer-encoding", "chunked"], /connection-specific/],
    ["with upgrade", [...GET, "upgrade", "websocket"], /connection-specific/],
    ["with te of gzip", [...GET, "te", "gzip"], /te is not/],
    ["with te of trailers and more", [...GET, "te", "trailers, gzip"], /te is not/],
    ["with two content-lengths", [...POST, "content-length", "1", "content-length", "1"], /two content-length/],
    ["with a list for a content-length", [...POST, "content-length", "1, 1"], /content-length is not/],
    ["with a signed content-length", [...POST, "content-length", "+1"], /content-length is not/],
    ["with content_length", [...POST, "content_length", "1"], /looks like a framing/],
    ["with transfer_encoding", [...POST, "transfer_encoding", "chunked"], /looks like a framing/],
    ["that promises a body and ends", [...POST, "content-length", "1"], /promises a body/],
    ["to CONNECT without a port", [":method", "CONNECT", ":authority", "a"], /host:port/],
    ["to CONNECT without :authority", [":method", "CONNECT"], /host:port/],
    ["to CONNECT with :path", [...CONNECT, ":path", "/"], /CONNECT has/],
    ["to CONNECT with :scheme", [...CONNECT, ":scheme", "http"], /CONNECT has/],
    ["to CONNECT with content-length", [...CONNECT, "content-length", "0"], /CONNECT has a content-length/],
    ["of another method with :protocol", [...GET, ":protocol", "websocket"], /:protocol/],
    ["with a :protocol that is no token", [":protocol", "web socket", ...without(WEBSOCKET, ":protocol")], /:protocol/],
    ["with :protocol but no :path", without(WEBSOCKET, ":path"), /no valid :path/],
    ["with :protocol but no :scheme", without(WEBSOCKET, ":scheme"), /:scheme/],
    ["with :protocol but no :authority", without(WEBSOCKET, ":authority"), /:protocol/],
  ];
  test.each(cases)("%s", (_, fields, why) => {
    expect(refusal(fields)).toMatch(/^bad-request: /);
    expect(refusal(fields)).toMatch(why);
  });

  test("that expects something other than 100-continue", () => {
    expect(refusal([...POST, "expect", "200-ok"], false)).toMatch(/^expectation-failed: /);
    expect(refusal([...POST, "expect", "100-continue", "expect", "a"], false)).toMatch(/^expectation-failed: /);
  });
});

describe("a request reads as it would in HTTP/1.1", () => {
  test("its head", () => {
    expect(accepted([...GET, "accept", "*/*"])).toEqual({
      method: "GET",
      target: "/a?b=c",
      targetForm: "origin",
      minorVersion: 1,
      headers: ["accept", "*/*"],
      host: "orders.shop:8080",
      path: "/a?b=c",
      framing: { kind: "none" },
      isKeepAlive: true,
      upgrade: null,
      expectsContinue: false,
      nominated: [],
      neverIndexed: null,
    });
  });

  test.each([
    ["a body of known length", ["content-length", "5"], false, { kind: "length", bytes: 5 }],
    ["a body of unknown length", [], false, { kind: "chunked" }],
    ["no body", [], true, { kind: "none" }],
    ["a body of no length", ["content-length", "0"], true, { kind: "length", bytes: 0 }],
    ["a body of no length that is still to end", ["content-length", "0"], false, { kind: "length", bytes: 0 }],
  ])("%s", (_, fields, isEnd, framing) => {
    expect(accepted([...POST, ...fields], isEnd).framing).toEqual(framing);
  });

  test("host alone, and host beside an :authority in another case", () => {
    expect(accepted([...without(GET, ":authority"), "host", "a"]).host).toBe("a");
    expect(accepted([...GET, "host", "Orders.Shop:8080"]).host).toBe("orders.shop:8080");
  });

  test("crumbs of cookie, joined where the first stood", () => {
    const { headers } = accepted([...GET, "a", "1", "cookie", "x=1", "b", "2", "cookie", "y=2", "cookie", "z=3"]);
    expect(headers).toEqual(["a", "1", "cookie", "x=1; y=2; z=3", "b", "2"]);
  });

  test("te: trailers, in whatever case", () => {
    expect(accepted([...GET, "te", "Trailers"]).headers).toEqual(["te", "Trailers"]);
  });

  test("OPTIONS *", () => {
    const fields = [":method", "OPTIONS", ":path", "*", ...without(GET, ":method", ":path")];
    expect(accepted(fields)).toMatchObject({ targetForm: "asterisk", path: "*" });
  });

  test("CONNECT as a tunnel without a body", () => {
    expect(accepted(CONNECT, false)).toMatchObject({
      method: "CONNECT",
      target: "10.0.0.1:5432",
      targetForm: "authority",
      host: "10.0.0.1:5432",
      path: "",
      framing: { kind: "none" },
      upgrade: null,
    });
  });

  test("an extended CONNECT as the GET with an upgrade that it stands for", () => {
    expect(accepted(WEBSOCKET, false)).toMatchObject({
      method: "GET",
      target: "/chat",
      host: "a",
      framing: { kind: "none" },
      upgrade: "websocket",
    });
  });

  test("the leave that it asks for before its body", () => {
    expect(accepted([...POST, "expect", "100-Continue"], false).expectsContinue).toBe(true);
    expect(accepted([...POST, "expect", "100-continue"], true).expectsContinue).toBe(false);
  });

  test("again what we write of it", () => {
    const line = { method: "GET", scheme: "http", authority: "a:1", path: "/b", protocol: null } as const;
    expect(accepted(requestPseudoFields(line))).toMatchObject({ method: "GET", host: "a:1", path: "/b" });
    const upgrade = accepted(requestPseudoFields({ ...line, protocol: "websocket" }));
    expect(upgrade).toMatchObject({ method: "GET", host: "a:1", path: "/b", upgrade: "websocket" });
    expect(accepted(requestPseudoFields({ ...line, method: "CONNECT" }))).toMatchObject({ target: "a:1", path: "" });
  });
});

const ASKED = { method: "GET", protocol: null };

function blockOf(fields: readonly string[]): Parameters<typeof readResponseHead>[0] {
  return { at: "fields", fields: [...fields], neverIndexed: null };
}

function answer(
  fields: readonly string[],
  isEnd = true,
  asked: Parameters<typeof readResponseHead>[2] = ASKED,
): ResponseHead {
  const reading = readResponseHead(blockOf(fields), isEnd, asked);
  if (reading.at !== "head") throw new Error(`not accepted: ${reading.error.message}`);
  return reading.head;
}

describe("an answer is refused", () => {
  test.each([
    ["without fields", [], true],
    ["without :status", ["a", "b"], true],
    ["with a :status of two digits", [":status", "20"], true],
    ["with a :status of four digits", [":status", "2000"], true],
    ["with a :status that is no number", [":status", "2x0"], true],
    ["with a :status below 100", [":status", "099"], true],
    ["with :status behind another field", ["a", "b", ":status", "200"], true],
    ["with two :statuses", [":status", "200", ":status", "200"], true],
    ["with :method", [":status", "200", ":method", "GET"], true],
    ["of 101", [":status", "101"], false],
    ["of 100 that ends the stream", [":status", "100"], true],
    ["of 103 with a length", [":status", "103", "content-length", "1"], false],
    ["of 204 with a length", [":status", "204", "content-length", "1"], true],
    ["with connection", [":status", "200", "connection", "close"], true],
    ["with transfer-encoding", [":status", "200", "transfer-encoding", "chunked"], false],
    ["with two content-lengths", [":status", "200", "content-length", "1", "content-length", "1"], false],
    ["that promises a body and ends", [":status", "200", "content-length", "1"], true],
  ])("%s", (_, fields, isEnd) => {
    expect(readResponseHead(blockOf(fields), isEnd, ASKED)).toMatchObject({
      at: "refused",
      error: { code: "upstream-protocol-error" },
    });
  });
});

describe("an answer reads as it would in HTTP/1.1", () => {
  test.each([
    ["of known length", [":status", "200", "content-length", "5"], false, ASKED, { kind: "length", bytes: 5 }],
    ["of unknown length", [":status", "200"], false, ASKED, { kind: "chunked" }],
    ["without a body", [":status", "200"], true, ASKED, { kind: "none" }],
    ["to HEAD", [":status", "200", "content-length", "5"], true, { method: "HEAD", protocol: null }, { kind: "none" }],
    ["of 304", [":status", "304", "content-length", "5"], true, ASKED, { kind: "none" }],
    ["of 204 that is still to end", [":status", "204"], false, ASKED, { kind: "none" }],
    ["to CONNECT", [":status", "200"], false, { method: "CONNECT", protocol: null }, { kind: "none" }],
  ])("%s", (_, fields, isEnd, asked, framing) => {
    expect(answer(fields, isEnd, asked).framing).toEqual(framing);
  });

  test("of 200 to an extended CONNECT as the 101 that it stands for", () => {
    const head = answer([":status", "200", "x", "y"], false, { method: "GET", protocol: "websocket" });
    expect(head).toMatchObject({ status: 101, upgrade: "websocket", headers: ["x", "y"], framing: { kind: "none" } });
  });

  test("of 403 to an extended CONNECT as what it is", () => {
    const head = answer([":status", "403"], false, { method: "GET", protocol: "websocket" });
    expect(head).toMatchObject({ status: 403, upgrade: null, framing: { kind: "chunked" } });
  });

  test("again what we write of it, beyond 599 too", () => {
    for (const status of [100, 200, 404, 599, 999])
      expect(answer(responsePseudoFields(status), false).status).toBe(status);
  });
});

describe("a trailer section", () => {
  test.each([
    ["a pseudo-header field", ["a", "b", ":status", "200"]],
    ["connection", ["connection", "close"]],
    ["te of gzip", ["te", "gzip"]],
  ])("is malformed with %s", (_, fields) => {
    expect(readTrailers(fields)).toMatchObject({ at: "malformed" });
  });

  test("loses what must not be taken from it, and keeps the rest", () => {
    const fields = [
      "grpc-status",
      "0",
      "content-length",
      "5",
      "x-forwarded-client-cert",
      "a",
      "authorization",
      "b",
      "x",
      "y",
    ];
    expect(readTrailers(fields)).toEqual({ at: "trailers", trailers: ["grpc-status", "0", "x", "y"] });
  });
});
