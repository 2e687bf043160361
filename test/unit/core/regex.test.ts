import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { compileRegex } from "../../../src/core/regex.ts";

describe("the whole text must match", () => {
  test.each([
    ["/api/v[0-9]+/.*", ["/api/v1/", "/api/v22/x"], ["/api/v/", "x/api/v1/", "/api/v1"]],
    ["(a|b)*abb", ["abb", "aabb"], ["ab", "", "abba"]],
    ["^/x$", ["/x"], ["/xx", "/x\n"]],
    ["(?i)ab[c-e]", ["ABD", "abE"], ["abf"]],
    ["(?i)[^a]", ["b"], ["a", "A"]],
    ["a{2,3}", ["aa", "aaa"], ["a", "aaaa"]],
    ["a{2,}", ["aa", "aaaaa"], ["a"]],
    ["(a*)*b", ["b", "aab"], ["a", ""]],
    ["", [""], ["a"]],
    ["a|", ["", "a"], ["b"]],
    ["[^/]+", ["abc", "é"], ["a/b", ""]],
    ["a?b+?", ["b", "abb"], ["a"]],
    ["(?P<x>a)\\.b\\d", ["a.b1"], ["axb1", "a.bx"]],
    ["[]a]", ["]", "a"], ["b"]],
    ["[a-]", ["-", "a"], ["b"]],
    ["\\x41\\w\\s", ["A_ "], ["a_ ", "A__"]],
    ["$^", [""], ["a"]],
    ["a$b", [], ["ab", "a"]],
    [".", ["x"], ["\n", "", "xx"]],
  ])("%s", (pattern, good, bad) => {
    const regex = compileRegex(pattern);
    expect(good.filter((text) => !regex.test(text))).toEqual([]);
    expect(bad.filter((text) => regex.test(text))).toEqual([]);
  });
});

describe("what has no linear time, or no one meaning, is refused by name", () => {
  test.each([
    ["(?=a)", "uses (?…)"],
    ["(?<!a)b", "uses (?…)"],
    ["(a)\\1", "uses \\1"],
    ["\\bx", "uses \\b"],
    ["\\pL", "uses \\p"],
    ["\\Qa\\E", "uses \\Q"],
    ["a**", "repeats a repetition"],
    ["a++", "repeats a repetition"],
    ["*a", "repeats nothing"],
    ["[a", "has a [ without a ]"],
    ["(a", "has a ( without a )"],
    ["a)", "has a ) without a ("],
    ["[z-a]", "goes backwards"],
    ["[[:alpha:]]", "named class"],
    ["a{1001}", "at most 1000"],
    ["a{3,2}", "and upwards"],
    ["((a{100}){100})", "10000 steps"],
    ["a\\", "uses \\"],
    ["(".repeat(60), "nests deeper"],
    ["a".repeat(LIMITS.regexLengthMax + 1), "is longer than"],
  ])("%s", (pattern, message) => {
    expect(() => compileRegex(pattern)).toThrow(message);
  });
});

test("of what both take, it decides as the runtime's own engine does", () => {
  const atom = fc.constantFrom("a", "b", ".", "[ab]", "[^a]", "\\w", "(a|b)", "(ab)", "(a|)");
  const piece = fc.tuple(atom, fc.constantFrom("", "*", "+", "?", "{2}", "{1,3}")).map((parts) => parts.join(""));
  const pattern = fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join(""));
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 8 });
  fc.assert(
    fc.property(pattern, fc.array(text, { minLength: 8, maxLength: 8 }), (source, texts) => {
      const regex = compileRegex(source);
      const reference = new RegExp(`^(?:${source})$`);
      for (const each of texts) expect([each, regex.test(each)]).toEqual([each, reference.test(each)]);
    }),
    { numRuns: 500 },
  );
});

test("a pattern with exponentially many states keeps to its bound, and to its meaning", () => {
  const regex = compileRegex("(a|b)*a(a|b){12}");
  const noise = Array.from({ length: 20_000 }, (_, index) => "ab"[((index * index) >> 3) & 1]).join("");
  expect(regex.test(`${noise}a${"b".repeat(12)}`)).toBe(true);
  expect(regex.test(`${noise}b${"b".repeat(12)}`)).toBe(false);
});
