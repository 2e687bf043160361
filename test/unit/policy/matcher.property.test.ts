import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  claimMatches,
  compilePath,
  compileText,
  matchesPath,
  matchesText,
  splitUser,
} from "../../../src/policy/matcher.ts";
import { assertPathPattern, matchesPathTemplate, parsePathTemplate } from "../../../src/policy/path-template.ts";
import { propertyRuns } from "../../support/property-runs.ts";

// A clause matches as its values do one by one, whether they are few or many.

const RUNS = { numRuns: propertyRuns(2_000) };
const text = fc.string({ unit: fc.constantFrom("a", "b", "/", "*"), maxLength: 4 });
const patterns = fc.uniqueArray(
  fc.tuple(fc.constantFrom("", "*"), text, fc.constantFrom("", "*")).map((parts) => parts.join("")),
  {
    minLength: 1,
    maxLength: 12,
    size: "max",
  },
);

/** Istio's reading of a pattern, in the fewest words. */
function fits(pattern: string, value: string): boolean {
  if (pattern === "*") return value !== "";
  if (pattern.startsWith("*")) return value.endsWith(pattern.slice(1));
  return pattern.endsWith("*") ? value.startsWith(pattern.slice(0, -1)) : value === pattern;
}

test("a text matches if one of the values does", () => {
  fc.assert(
    fc.property(patterns, text, (all, value) => {
      expect(matchesText(compileText(all), value)).toBe(all.some((pattern) => fits(pattern, value)));
    }),
    RUNS,
  );
});

test("each of many values of each kind is looked at", () => {
  const all = ["/a", "/b", "/c*", "/d*", "*/e", "*/f"];
  for (const value of ["/a", "/b", "/c", "/cx", "/d/x", "/e", "x/f"])
    expect(matchesText(compileText(all), value), value).toBe(true);
  for (const value of ["", "/", "/ax", "x/a", "x/c", "/ex", "/a*", "/c*x".slice(1), "*/ex"])
    expect(matchesText(compileText(all), value), value).toBe(false);
});

test("up to four values are compared, and more are found", () => {
  const texts = ["/a", "/b*", "*/c", "/d", "/e*"];
  expect(compileText(texts.slice(0, 4)).many).toBeNull();
  const found = compileText(texts);
  expect(found.many).not.toBeNull();
  // So that asking does not become slower with their number, none of them is compared then.
  const untouched = { ...found, prefixes: { [Symbol.iterator]: unread }, suffixes: { [Symbol.iterator]: unread } };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const matcher = untouched as unknown as typeof found;
  for (const value of ["/a", "/bc", "x/c", "/d", "/ef"]) expect(matchesText(matcher, value), value).toBe(true);
  for (const value of ["", "/", "/x", "/ax"]) expect(matchesText(matcher, value), value).toBe(false);
  const paths = ["/{*}/a", "/{*}/b", "/{*}/c", "/{*}/d", "/{**}/e"];
  expect(compilePath(paths.slice(0, 4), false).byPath).toBeNull();
  const byPath = compilePath(paths, false);
  expect(byPath.byPath).not.toBeNull();
  expect(matchesPath({ ...byPath, templates: [] }, "/x/e")).toBe(true);
  expect(matchesPath({ ...byPath, templates: [] }, "/x/f")).toBe(false);
});

function unread(): never {
  throw new Error("is compared");
}

test("each value is of one kind, and a template of no other", () => {
  const texts = compileText(["a*", "*b", "c", "*", "**"]);
  expect(texts).toMatchObject({ anyText: true, exact: new Set(["c"]), prefixes: ["a"], suffixes: ["b", "*"] });
  const paths = compilePath(["/a", "/{*}", "/b*", "/{*}"], false);
  expect(paths).toMatchObject({ anyText: false, exact: new Set(["/a"]), prefixes: ["/b"], suffixes: [] });
  expect(paths.templates).toEqual([parsePathTemplate("/{*}")]);
  // A path that reads like the template has characters that a narrow wildcard does not take.
  expect(matchesPath(paths, "/{*}")).toBe(false);
  expect(matchesPath(compilePath(["/{*}"], true), "/{*}")).toBe(true);
});

test.each([
  ["/alice", { issuer: "", subject: "alice" }],
  ["id/", { issuer: "id", subject: "" }],
  ["*", { issuer: "*", subject: "*" }],
  ["*ice", { issuer: "*", subject: "*ice" }],
  ["id*", { issuer: "id*", subject: "*" }],
  ["id", { issuer: "id", subject: "" }],
  ["https://id/a/b", { issuer: "https://id/a", subject: "b" }],
])("the end user %s is taken apart as Istio does", (value, wanted) => {
  expect(splitUser(value)).toEqual(wanted);
});

test("of a claim only texts count, whatever else stands beside them", () => {
  const claims = { list: [7, null, true], some: [7, "admin"], map: { admin: "x" }, number: 7, empty: [] };
  for (const pattern of ["*", "7", "adm*", "*n"]) {
    const matcher = compileText([pattern]);
    for (const name of ["list", "map", "number", "empty", "none"])
      expect(claimMatches(matcher, [name], claims), name).toBe(false);
    expect(claimMatches(matcher, ["some"], claims)).toBe(pattern !== "7");
    expect(claimMatches(matcher, ["some", "length"], claims)).toBe(false);
    expect(claimMatches(matcher, ["some"], null)).toBe(false);
  }
});

test.each(["aa/{*}", "a/{*}", "{*}", "/{*}/a{", "/{*}/a b", "/{**}/{*}", "/{**}/{**}", "/{*}//a", "/a{*}", "/{*}a"])(
  "%s is no template",
  (pattern) => {
    expect(() => assertPathPattern(pattern)).toThrow(/template/);
  },
);

test.each(["/{**}/b", "/{**}/b/c/", "/a/{*}/b/{**}", "/{*}/{*}", "/{*}/"])("%s is a template", (pattern) => {
  expect(() => assertPathPattern(pattern)).not.toThrow();
});

test("a template is the texts and wildcards that it is written with", () => {
  expect(parsePathTemplate("/a/{*}/b/{**}/c")).toEqual([
    { kind: "text", text: "/a/" },
    { kind: "one" },
    { kind: "text", text: "/b/" },
    { kind: "any", end: "/c" },
    { kind: "text", text: "/c" },
  ]);
  expect(parsePathTemplate("/{*}")).toEqual([{ kind: "text", text: "/" }, { kind: "one" }]);
  expect(parsePathTemplate("/{**}")).toEqual([
    { kind: "text", text: "/" },
    { kind: "any", end: "" },
  ]);
});

const segment = fc.constantFrom("a", "b", "{*}", "{**}");
const template = fc
  .array(segment, { minLength: 1, maxLength: 3 })
  .map((segments) => `/${segments.join("/")}`)
  .filter((each) => isValid(each));
const plain = fc.constantFrom("/a", "/a/*", "*/b", "/b", "/ab*", "*a");
const path = fc.string({ unit: fc.constantFrom("/", "a", "b", "|"), maxLength: 6 }).map((each) => `/${each}`);

test.each([true, false])("a path matches if one of the values does, templates among them (wide: %s)", (isWide) => {
  const values = fc.array(fc.oneof({ weight: 3, arbitrary: template }, plain), {
    minLength: 1,
    maxLength: 12,
    size: "max",
  });
  const fitsPath = (pattern: string, value: string): boolean =>
    pattern.includes("{") ? matchesPathTemplate(parsePathTemplate(pattern), value, isWide) : fits(pattern, value);
  fc.assert(
    fc.property(values, path, (all, value) => {
      expect(matchesPath(compilePath(all, isWide), value)).toBe(all.some((pattern) => fitsPath(pattern, value)));
    }),
    RUNS,
  );
});

function isValid(pattern: string): boolean {
  try {
    assertPathPattern(pattern);
    return true;
  } catch {
    return false;
  }
}

test.each<[string, readonly string[], readonly string[]]>([
  ["/{*}", ["/a", "/~"], ["/", "/a/", "/a/b"]],
  ["/a/{**}", ["/a/", "/a/b", "/a/b/c"], ["/a", "/b/a/"]],
  ["/{**}/b", ["/a/b", "/a/c/b", "//b"], ["/b", "/a/b/", "/a/bb"]],
  ["/a/{*}/b/{**}", ["/a/x/b/", "/a/x/b/c/d"], ["/a/b/c", "/a/x/y/b/c", "/a//b/c"]],
])("the template %s takes whole segments", (pattern, inside, outside) => {
  const parts = parsePathTemplate(pattern);
  for (const each of inside) expect(matchesPathTemplate(parts, each, false), each).toBe(true);
  for (const each of outside) expect(matchesPathTemplate(parts, each, true), each).toBe(false);
});

test("a narrow wildcard takes the characters that Envoy's does, and a wide one all but the slash", () => {
  const literals = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]$/;
  const [one, any] = [parsePathTemplate("/{*}"), parsePathTemplate("/{**}")];
  for (let code = 0; code < 300; code++) {
    const letter = String.fromCharCode(code);
    expect(matchesPathTemplate(one, `/${letter}`, false), letter).toBe(literals.test(letter));
    expect(matchesPathTemplate(any, `/${letter}`, false), letter).toBe(literals.test(letter) || letter === "/");
    expect(matchesPathTemplate(any, `/${letter}a`, false), letter).toBe(literals.test(letter) || letter === "/");
    expect(matchesPathTemplate(one, `/a${letter}`, true), letter).toBe(letter !== "/");
  }
});
