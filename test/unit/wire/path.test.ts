import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { normalizePath, type PathNormalization } from "../../../src/wire/path.ts";

const MODES: readonly PathNormalization[] = ["NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"];

/** The path as forwarded, or null when it is refused. */
function forwarded(path: string, mode: PathNormalization): string | null {
  const result = normalizePath(path, mode);
  return result.ok ? result.path : null;
}

describe("Istio's table of normalizations", () => {
  // istio.io: reference/config/security/normalization and ops/best-practices/security, in their order.
  test.each<[string, string | null, string | null, string | null, string | null]>([
    // path, NONE, BASE, MERGE_SLASHES, DECODE_AND_MERGE_SLASHES
    ["/%00", null, null, null, null],
    ["/%2d", "/%2d", "/-", "/-", "/-"],
    ["/%2e", "/%2e", "/", "/", "/"],
    ["/a%2eb", "/a%2eb", "/a.b", "/a.b", "/a.b"],
    ["/a%2fb", "/a%2fb", "/a%2fb", "/a%2fb", "/a/b"],
    ["/a%2Fb", "/a%2Fb", "/a%2Fb", "/a%2Fb", "/a/b"],
    ["/%30%39", "/%30%39", "/09", "/09", "/09"],
    ["/%41%5a%5A", "/%41%5a%5A", "/AZZ", "/AZZ", "/AZZ"],
    ["/a%5cb", "/a%5cb", "/a%5cb", "/a%5cb", "/a/b"],
    ["/%5f", "/%5f", "/_", "/_", "/_"],
    ["/%61%7a%7A", "/%61%7a%7A", "/azz", "/azz", "/azz"],
    ["/%7e", "/%7e", "/~", "/~", "/~"],
    ["/some%2fdata/%61%62%63", "/some%2fdata/%61%62%63", "/some%2fdata/abc", "/some%2fdata/abc", "/some/data/abc"],
    ["/some\\data", "/some\\data", "/some/data", "/some/data", "/some/data"],
    ["/some//data///abc", "/some//data///abc", "/some//data///abc", "/some/data/abc", "/some/data/abc"],
    [
      "/public/./data/abc/../xyz",
      "/public/./data/abc/../xyz",
      "/public/data/xyz",
      "/public/data/xyz",
      "/public/data/xyz",
    ],
    ["/foo?v=1", "/foo?v=1", "/foo?v=1", "/foo?v=1", "/foo?v=1"],
    ["/a/../b", "/a/../b", "/b", "/b", "/b"],
    ["\\da", null, "/da", "/da", "/da"],
    ["/a//b", "/a//b", "/a//b", "/a/b", "/a/b"],
    ["/a%2f/b", "/a%2f/b", "/a%2f/b", "/a%2f/b", "/a/b"],
    // Istio forwards this one under NONE; origin-form begins with a slash (RFC 9112 section 3.2.1), so we do not.
    ["../%2Fa../b", null, null, null, null],
  ])("%s", (path, none, base, merged, decoded) => {
    expect(MODES.map((mode) => forwarded(path, mode))).toEqual([none, base, merged, decoded]);
  });
});

describe("Envoy's cases of path normalization", () => {
  test.each([
    ["/xyz", "/xyz"],
    ["/x/y/z", "/x/y/z"],
    ["/a/b/../c", "/a/c"],
    ["/a/b/./c", "/a/b/c"],
    ["/a/b/../../../../c", "/c"],
    ["/a/..\\c", "/c"],
    ["/%c0%af", "/%c0%af"],
    ["/%5c%25", "/%5c%25"],
    ["/a/b/%2E%2E/c", "/a/c"],
    ["/a/b/%2e%2e/c", "/a/c"],
    ["/a/b/.%2e/c", "/a/c"],
    ["/a/b/%2e./c", "/a/c"],
    ["/A/B/C", "/A/B/C"],
    ["/a/%2F%2f/c", "/a/%2F%2f/c"],
    ["/..", "/"],
    ["//..", "/"],
    ["/a/..", "/"],
    ["/a/.", "/a/"],
    ["/a/b/..", "/a/"],
    ["/a//../b", "/a/b"],
    ["/...", "/..."],
    ["/a..", "/a.."],
    ["/..a", "/..a"],
    ["/.well-known/x", "/.well-known/x"],
    ['/a"<>^`{|}', "/a%22%3C%3E%5E%60%7B%7C%7D"],
    ["/a;b=c/d", "/a;b=c/d"],
    ["/%252e%252e/a", "/%252e%252e/a"],
    ["/a?b=/../c//d%2e\\", "/a?b=/../c//d%2e\\"],
    ["/a/../?b", "/?b"],
    ["/a??b", "/a??b"],
    ["/?", "/?"],
  ])("BASE makes of %s %s", (path, expected) => {
    expect(forwarded(path, "BASE")).toBe(expected);
  });

  test.each([
    ["/a//b/c", "/a/b/c"],
    ["/a/b/c//", "/a/b/c/"],
    ["//a/b/c", "/a/b/c"],
    ["/a////b/c", "/a/b/c"],
    ["/a//b?a=///c", "/a/b?a=///c"],
    ["/a//b?", "/a/b?"],
    ["//a/?b", "/a/?b"],
    ["//", "/"],
    ["/a//../b", "/a/b"],
  ])("MERGE_SLASHES makes of %s %s", (path, expected) => {
    expect(forwarded(path, "MERGE_SLASHES")).toBe(expected);
  });

  test.each([
    ["/%2f%2F", "/"],
    ["/a%2Fb%2fc/", "/a/b/c/"],
    ["/a%5Cb%5cc/", "/a/b/c/"],
    ["/x/%2E%2e/z%2f%2Fabc%5C../def", "/z/def"],
    ["/a%2f..%2fb", "/b"],
    ["/a%252fb", "/a%252fb"],
    ["/a%5Cb%2fc%5c?%2fabcd%5C", "/a/b/c/?%2fabcd%5C"],
  ])("DECODE_AND_MERGE_SLASHES makes of %s %s", (path, expected) => {
    expect(forwarded(path, "DECODE_AND_MERGE_SLASHES")).toBe(expected);
  });
});

describe("a path that servers read in different ways is refused", () => {
  test.each([
    ["a fragment", "/a#b"],
    ["a fragment behind the query", "/a?b#c"],
    ["a control character", "/a\x01"],
    ["a line end", "/a\r\nb"],
    ["a NUL", "/a\0"],
    ["a space", "/a b"],
    ["UTF-8", "/\xc3\xa9"],
    ["a character beyond latin-1", "/\u0161"],
    ["an encoded NUL", "/a%00b"],
    ["an encoded NUL inside dots", "/xyz/.%00../abc"],
    ["an encoded NUL behind a percent sign", "/xyz/AAAAA%%0000/abc"],
    ["no slash at the beginning", "a/b"],
    ["a query alone", "?a"],
  ])("%s, in every mode", (_, path) => {
    for (const mode of MODES)
      expect(normalizePath(path, mode)).toMatchObject({ ok: false, error: { code: "bad-request" } });
  });

  test.each([
    ["a percent sign at the end", "/a%"],
    ["one digit behind it", "/a%2"],
    ["no hexadecimal digits behind it", "/a%zz"],
    ["a percent sign before an escape", "/%%32%65"],
    ["dots with a parameter", "/a/..;/b"],
    ["a dot with a parameter", "/a/.;x=y/b"],
    ["encoded dots with a parameter", "/a/%2e%2e;/b"],
    ["dots with a parameter at the end", "/a/..;"],
  ])("%s, where paths are rewritten", (_, path) => {
    expect(MODES.map((mode) => normalizePath(path, mode).ok)).toEqual([true, false, false, false]);
  });

  test("an escaped percent sign that would be one once slashes are decoded", () => {
    expect(normalizePath("/%%2f", "DECODE_AND_MERGE_SLASHES").ok).toBe(false);
  });
});

describe("what is forwarded is what is matched", () => {
  test("but for the query", () => {
    expect(normalizePath("/a/../b?c=%2e", "BASE")).toEqual({ ok: true, path: "/b?c=%2e", pathForMatch: "/b" });
    expect(normalizePath("/a?", "BASE")).toEqual({ ok: true, path: "/a?", pathForMatch: "/a" });
    expect(normalizePath("/a/../b?c", "NONE")).toEqual({ ok: true, path: "/a/../b?c", pathForMatch: "/a/../b" });
  });

  test.each(["*", ""])("and %j, which is no path, passes", (path) => {
    for (const mode of MODES) expect(normalizePath(path, mode)).toEqual({ ok: true, path, pathForMatch: path });
  });

  const piece = fc.constantFrom(
    "/",
    "//",
    ".",
    "..",
    "a",
    "%2e",
    "%2F",
    "%5c",
    "\\",
    ";",
    "%25",
    "%61",
    "|",
    "?",
    "%c3",
  );
  const anyPath = fc.array(piece, { maxLength: 24 }).map((pieces) => `/${pieces.join("")}`);

  test("and normalising it again changes nothing", () => {
    fc.assert(
      fc.property(anyPath, fc.constantFrom(...MODES), (path, mode) => {
        const once = normalizePath(path, mode);
        if (!once.ok) return;
        expect(normalizePath(once.path, mode)).toEqual(once);
        expect(once.path.split("?", 1)[0]).toBe(once.pathForMatch);
      }),
      { numRuns: 5_000 },
    );
  });

  test("and where paths are rewritten no dot segment and no backslash is left", () => {
    fc.assert(
      fc.property(anyPath, fc.constantFrom(...MODES.slice(1)), (path, mode) => {
        const result = normalizePath(path, mode);
        if (!result.ok) return;
        expect(result.pathForMatch).toMatch(/^\//);
        expect(result.pathForMatch).not.toMatch(/\/\.{1,2}(\/|$)|\\|%2e|%61/i);
        if (mode !== "BASE") expect(result.pathForMatch).not.toContain("//");
        if (mode === "DECODE_AND_MERGE_SLASHES") expect(result.pathForMatch).not.toMatch(/%2f|%5c/i);
      }),
      { numRuns: 5_000 },
    );
  });
});
