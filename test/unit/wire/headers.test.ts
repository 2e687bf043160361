import { describe, expect, test } from "vitest";
import { hasToken, headerValue, headerValues } from "../../../src/wire/headers.ts";
import { isHopByHop } from "../../../src/wire/hop-by-hop.ts";
import { formatXfcc } from "../../../src/wire/xfcc.ts";

const headers = ["Host", "a", "X-List", "b, C\t,", "x-list", "d", "Empty", ""];

describe("fields are found whatever the case of their names", () => {
  test("the first one", () => {
    expect(headerValue(headers, "x-list")).toBe("b, C\t,");
    expect(headerValue(headers, "empty")).toBe("");
    expect(headerValue(headers, "missing")).toBeNull();
  });

  test("all of them", () => {
    expect(headerValues(headers, "x-list")).toEqual(["b, C\t,", "d"]);
    expect(headerValues(headers, "missing")).toEqual([]);
  });

  test("and never a value for a name", () => {
    expect(headerValue(["X", "host", "Y", "a"], "host")).toBeNull();
  });
});

describe("a list field", () => {
  test.each(["b", "c", "d"])("has the token %s, over several lines", (token) => {
    expect(hasToken(headers, "x-list", token)).toBe(true);
  });

  test.each(["", "e", "b,", "b, c"])("does not have %j", (token) => {
    expect(hasToken(headers, "x-list", token)).toBe(false);
  });

  test("keeps a no-break space, which is no whitespace in HTTP", () => {
    expect(hasToken(["X", "a\xa0"], "x", "a")).toBe(false);
  });
});

describe("hop by hop", () => {
  test.each([
    "Connection",
    "keep-alive",
    "Proxy-Connection",
    "TE",
    "trailer",
    "Transfer-Encoding",
    "UPGRADE",
    "HTTP2-Settings",
    "Proxy-Authenticate",
    "Proxy-Authorization",
  ])("%s stays behind", (name) => {
    expect(isHopByHop(name, [])).toBe(true);
  });

  test.each(["Host", "Content-Length", "Authorization", "WWW-Authenticate", "Expect", "Cookie", "X-TE", "Trailers"])(
    "%s goes on",
    (name) => {
      expect(isHopByHop(name, [])).toBe(false);
    },
  );

  test("what Connection names stays behind, too", () => {
    expect(isHopByHop("X-Hop", ["x-hop"])).toBe(true);
    expect(isHopByHop("X-Hops", ["x-hop"])).toBe(false);
  });
});

test("XFCC has Envoy's form", () => {
  const certificate = { by: "spiffe://a/ns/b/sa/c", hash: "0f".repeat(32), uri: "spiffe://a/ns/d/sa/e" };
  expect(formatXfcc(certificate)).toBe(`By=spiffe://a/ns/b/sa/c;Hash=${"0f".repeat(32)};URI=spiffe://a/ns/d/sa/e`);
});
