import { describe, expect, test } from "vitest";
import { CHECK_REQUEST, CHECK_RESPONSE } from "../../../../src/api/ext-authz-messages.ts";
import { parseSpiffeId } from "../../../../src/core/spiffe-id.ts";
import { AskedRequest } from "../../../../src/proxy/admission-steps.ts";
import type { BodyBeginning } from "../../../../src/proxy/asked-body.ts";
import { grpcCheck, readGrpcVerdict } from "../../../../src/proxy/ext-authz/grpc-check.ts";
import { applyEdits } from "../../../../src/proxy/ext-authz/header-edits.ts";
import { httpCheck, readHttpVerdict } from "../../../../src/proxy/ext-authz/http-check.ts";
import { encodeGrpcMessage, GrpcMessageReader } from "../../../../src/wire/grpc-message.ts";
import { parseRequestHead } from "../../../../src/wire/http1-head.ts";
import { providerOf } from "../../../support/asked-outside.ts";

// What a provider's fields do to the check that it is sent and to its answer; the exchange around them is simulated elsewhere.

const SERVICE = { service: "authz.shop.svc.cluster.local", port: 9000 };
const signal = new AbortController().signal;
const PEER = {
  principal: parseSpiffeId("spiffe://cluster.local/ns/shop/sa/web"),
  sourceIp: "10.0.0.1",
  remoteIp: "10.0.0.1",
  destinationIp: "10.0.0.2",
  destinationPort: 8080,
  sni: null,
};

function asked(fields: readonly string[]): AskedRequest {
  const parsed = parseRequestHead(Buffer.from("POST /admin?x=1 HTTP/1.1\r\nHost: orders\r\nContent-Length: 3\r\n\r\n"));
  if (parsed.at !== "head") throw new Error("not a head");
  const headers = ["host", "orders", ...fields];
  return new AskedRequest({ head: parsed.head, peer: PEER, headers, target: "/admin?x=1", path: "/admin" });
}

/** The fields that a provider over HTTP is sent, by name. */
function sent(options: object, fields: readonly string[], body: BodyBeginning | null = null): Record<string, string> {
  const provider = providerOf({ name: "a", envoyExtAuthzHttp: { ...SERVICE, ...options } });
  const { headers } = httpCheck(asked(fields), body, { provider, signal });
  return Object.fromEntries(headers.flatMap((name, at) => (at % 2 === 0 ? [[name, headers[at + 1]!]] : [])));
}

describe("a provider over HTTP is sent", () => {
  test("method, host and path, behind its prefix, unasked", () => {
    const provider = providerOf({ name: "a", envoyExtAuthzHttp: { ...SERVICE, pathPrefix: "/check" } });
    expect(httpCheck(asked([]), null, { provider, signal })).toMatchObject({
      ...SERVICE,
      method: "POST",
      host: "orders",
      target: "/check/admin?x=1",
      body: null,
    });
    const plain = providerOf({ name: "a", envoyExtAuthzHttp: SERVICE });
    expect(httpCheck(asked([]), null, { provider: plain, signal }).target).toBe("/admin?x=1");
  });

  test("no header of the request's that nobody listed, and never its length without its body", () => {
    expect(sent({}, ["cookie", "a", "x-team", "red", "content-length", "3"])).toEqual({});
  });

  const LIST = { includeRequestHeadersInCheck: ["X-Team", "x-user-*", "*-token"] };

  test.each(["x-team", "X-TEAM", "x-user-", "x-user-name", "-token", "x-token"])(
    "the header %s, which fits the list",
    (name) => {
      expect(sent(LIST, [name, "v"])).toEqual({ [name.toLowerCase()]: "v" });
    },
  );

  test.each(["x-teams", "a-x-team", "x-user", "a-x-user-name", "token", "x-token-a"])(
    "but not %s, which does not",
    (name) => {
      expect(sent(LIST, [name, "v"])).toEqual({});
    },
  );

  test("the headers that are added, instead of the request's own of the same name", () => {
    const options = {
      includeRequestHeadersInCheck: ["x-mesh"],
      includeAdditionalHeadersInCheck: { "X-Mesh": "ours", "x-more": "1" },
    };
    expect(sent(options, ["x-mesh", "forged"])).toEqual({ "x-mesh": "ours", "x-more": "1" });
  });

  test("the body, and whether it is all of it, only where that is asked for", () => {
    const bytes = Buffer.from("abc");
    expect(sent({}, [], { bytes, isWhole: true })["x-envoy-auth-partial-body"]).toBe("false");
    expect(sent({}, [], { bytes, isWhole: false })["x-envoy-auth-partial-body"]).toBe("true");
    expect(sent({}, ["x-envoy-auth-partial-body", "forged"])["x-envoy-auth-partial-body"]).toBeUndefined();
    const provider = providerOf({ name: "a", envoyExtAuthzHttp: SERVICE });
    expect(httpCheck(asked([]), { bytes, isWhole: true }, { provider, signal }).body).toEqual(bytes);
    expect(httpCheck(asked([]), null, { provider, signal }).body).toBeNull();
  });
});

const httpAnswer = (status: number, headers: readonly string[]) => ({
  status,
  headers,
  trailers: [],
  body: Buffer.from("why"),
});

/** The fields of a request after a yes. */
function allowed(options: object, headers: readonly string[], before: readonly string[]): string[] {
  const provider = providerOf({ name: "a", envoyExtAuthzHttp: { ...SERVICE, ...options } });
  const verdict = readHttpVerdict(httpAnswer(200, headers), provider);
  if (verdict.at !== "allowed") throw new Error("denied");
  const after = [...before];
  applyEdits(after, verdict.request);
  return after;
}

/** The fields that go back to the caller. */
function back(status: number, options: object, headers: readonly string[]): readonly string[] {
  const provider = providerOf({ name: "a", envoyExtAuthzHttp: { ...SERVICE, ...options } });
  const verdict = readHttpVerdict(httpAnswer(status, headers), provider);
  if (verdict.at === "denied") {
    expect(verdict.body.toString()).toBe("why");
    return verdict.headers;
  }
  return verdict.answer.flatMap(({ name, value }) => [name, value]);
}

describe("what a provider over HTTP answers", () => {
  test("changes no header of the request, where none is listed", () => {
    expect(allowed({}, ["x-user", "ann"], ["x-user", "own"])).toEqual(["x-user", "own"]);
  });

  const LIST = { headersToUpstreamOnAllow: ["x-user", "x-a-*", "*-id"] };

  test.each(["x-user", "x-a-", "x-a-b", "-id", "x-id"])("overrides %s, which fits the list", (name) => {
    expect(allowed(LIST, [name, "new"], [name, "old"])).toEqual([name, "new"]);
  });

  test.each(["x-users", "x-a", "id", "x-id-b"])("but not %s, which does not", (name) => {
    expect(allowed(LIST, [name, "new"], [name, "old"])).toEqual([name, "old"]);
  });

  test("of a denial all headers go back, where none is listed, and its body in any case", () => {
    expect(back(403, {}, ["x-why", "a", "set-cookie", "b"])).toEqual(["x-why", "a", "set-cookie", "b"]);
    expect(back(403, { headersToDownstreamOnDeny: ["x-none"] }, ["x-why", "a"])).toEqual([]);
  });

  test("of a denial those that fit the list go back, and what a login needs", () => {
    const options = { headersToDownstreamOnDeny: ["x-why", "x-a-*", "*-id"] };
    const fit = ["x-why", "1", "x-a-b", "2", "x-id", "3", "www-authenticate", "4", "location", "5"];
    expect(back(401, options, [...fit, "x-whys", "6", "x-a", "7", "set-cookie", "8"])).toEqual(fit);
  });

  test("of a yes no header goes back, where none is listed", () => {
    expect(back(200, {}, ["set-cookie", "a"])).toEqual([]);
  });

  test("of a yes those that fit the list go back", () => {
    const options = { headersToDownstreamOnAllow: ["set-cookie", "x-a-*", "*-id"] };
    const fit = ["set-cookie", "1", "x-a-b", "2", "x-id", "3"];
    expect(back(200, options, [...fit, "x-a", "4", "id", "5"])).toEqual(fit);
  });
});

/** What a provider over gRPC is sent. */
function check(options: object, fields: readonly string[], body: BodyBeginning | null = null) {
  const provider = providerOf({ name: "a", envoyExtAuthzGrpc: { ...SERVICE, ...options } });
  const request = grpcCheck(asked(fields), body, { provider, signal, nowMs: 0 });
  const reader = new GrpcMessageReader(1 << 20);
  reader.feed(request.body!);
  const reading = reader.next();
  if (reading.at !== "message") throw new Error("no message");
  return { target: request.target, attributes: CHECK_REQUEST.deserialize(reading.message).attributes! };
}

const shown = (packAsBytes: boolean): object => ({ includeRequestBodyInCheck: { maxRequestBytes: 8, packAsBytes } });

test("what goes back with a yes overrides what the app answers", () => {
  const options = { ...SERVICE, headersToDownstreamOnAllow: ["x-seen"] };
  const verdict = readHttpVerdict(
    httpAnswer(200, ["x-seen", "new"]),
    providerOf({ name: "a", envoyExtAuthzHttp: options }),
  );
  if (verdict.at !== "allowed") return expect.unreachable();
  const after = ["x-seen", "old", "x-own", "1"];
  applyEdits(after, verdict.answer);
  expect(after).toEqual(["x-own", "1", "x-seen", "new"]);
});

describe("a provider over gRPC", () => {
  test("is sent Envoy's check: who calls, what and with all headers", () => {
    const { target, attributes } = check({}, ["x-a", "1"]);
    expect(target).toBe("/envoy.service.auth.v3.Authorization/Check");
    expect(attributes.source).toMatchObject({ principal: PEER.principal });
    expect(attributes.request!.http).toMatchObject({ method: "POST", path: "/admin?x=1", host: "orders" });
    expect([...attributes.request!.http!.headers]).toEqual(
      expect.arrayContaining([
        ["x-a", "1"],
        [":method", "POST"],
        [":authority", "orders"],
      ]),
    );
  });

  test("is sent a body as text, or as octets where that is asked for", () => {
    const body = { bytes: Buffer.from("abc"), isWhole: true };
    const asText = check(shown(false), [], body).attributes.request!.http!;
    expect([asText.body, asText.rawBody.toString()]).toEqual(["abc", ""]);
    const asOctets = check(shown(true), [], body).attributes.request!.http!;
    expect([asOctets.body, asOctets.rawBody.toString()]).toEqual(["", "abc"]);
    expect(asText.headers.get("x-envoy-auth-partial-body")).toBe("false");
  });

  test.each([
    [0, "allowed"],
    [7, "denied"],
    [16, "denied"],
  ])("that answers with status %i has %s", (code, at) => {
    const message = CHECK_RESPONSE.serialize({ status: { code } });
    const answer = { status: 200, headers: [], trailers: ["grpc-status", "0"], body: encodeGrpcMessage(message) };
    expect(readGrpcVerdict(answer).at).toBe(at);
  });

  test.each([
    ["a failed call", { status: 200, trailers: ["grpc-status", "14"] }],
    ["a 5xx", { status: 503, trailers: [] }],
    ["no message", { status: 200, trailers: ["grpc-status", "0"] }],
  ])("that answers with %s has not answered", (_name, { status, trailers }) => {
    expect(() => readGrpcVerdict({ status, headers: [], trailers, body: Buffer.alloc(0) })).toThrow();
  });
});
