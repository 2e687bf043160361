import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { headerValues, listElements } from "../../../src/wire/headers.ts";
import { isHopByHop } from "../../../src/wire/hop-by-hop.ts";
import { formatXfcc } from "../../../src/wire/xfcc.ts";

const headers = ["Host", "a", "X-List", "b, C\t,", "x-list", "d", "Empty", ""];

describe("fields are found whatever the case of their names", () => {
  test("all of them, in order", () => {
    expect(headerValues(headers, "x-list")).toEqual(["b, C\t,", "d"]);
    expect(headerValues(headers, "empty")).toEqual([""]);
    expect(headerValues(headers, "missing")).toEqual([]);
  });

  test("and never a value for a name", () => {
    expect(headerValues(["X", "host", "Y", "a"], "host")).toEqual([]);
  });
});

describe("a list value", () => {
  test.each<[string, string[]]>([
    ["", []],
    ["a", ["a"]],
    [" ,A\t,, b c ,", ["a", "b c"]],
    // A no-break space is no whitespace in HTTP.
    ["a\xa0", ["a\xa0"]],
  ])("%j has the elements %j", (value, elements) => {
    expect(listElements(value)).toEqual(elements);
  });

  test("has a bound, empty elements included", () => {
    expect(listElements(",".repeat(LIMITS.headerCountMax - 1))).toEqual([]);
    expect(listElements(",".repeat(LIMITS.headerCountMax))).toBeNull();
  });
});

describe("hop by hop", () => {
  test.each([
    "Connection",
    "keep-alive",
    "Proxy-Connection",
    "TE",
    "Transfer-Encoding",
    "UPGRADE",
    "HTTP2-Settings",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Authentication-Info",
  ])("%s stays behind", (name) => {
    expect(isHopByHop(name, [])).toBe(true);
  });

  test.each(["Host", "Content-Length", "Authorization", "WWW-Authenticate", "Expect", "Cookie", "X-TE", "Trailer"])(
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
