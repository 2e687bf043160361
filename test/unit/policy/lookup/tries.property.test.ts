import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { CodeMap } from "../../../../src/policy/lookup/code-map.ts";
import { PatternIndex } from "../../../../src/policy/lookup/pattern-index.ts";
import { TemplateTrie } from "../../../../src/policy/lookup/template-trie.ts";
import { TextTrie } from "../../../../src/policy/lookup/text-trie.ts";
import { assertPathPattern, matchesPathTemplate, parsePathTemplate } from "../../../../src/policy/path-template.ts";
import { expectSeen, propertyRuns } from "../../../support/property-runs.ts";

// Whatever is found by way of an index must be what asking everything one after the other finds.

vi.setConfig({ testTimeout: 60_000 });
const RUNS = { numRuns: propertyRuns(2_000) };
/** Few letters, so that keys begin and end like each other; two of them far from the rest. */
const texts = fc.string({ unit: fc.constantFrom("a", "b", "/", "\u0100", "\uffff"), maxLength: 6 });
const keySets = fc.uniqueArray(texts, { maxLength: 24 });

test("the keys that a text begins with are found, and no others", () => {
  fc.assert(
    fc.property(keySets, texts, fc.nat(3), (keys, text, at) => {
      const from = Math.min(at, text.length);
      const found = findIn("start", keys, text, from);
      expect(found.toSorted()).toEqual(keys.filter((key) => text.startsWith(key, from)).toSorted());
    }),
    RUNS,
  );
});

test("the keys that a text ends with are found, and none that would begin before the place asked for", () => {
  fc.assert(
    fc.property(keySets, texts, fc.nat(3), (keys, text, at) => {
      const from = Math.min(at, text.length);
      const found = findIn("end", keys, text, from);
      expect(found.toSorted()).toEqual(keys.filter((key) => text.slice(from).endsWith(key)).toSorted());
    }),
    RUNS,
  );
});

/** All texts of these letters up to a length. */
function allTexts(letters: readonly string[], lengthMax: number): readonly string[] {
  let longest = [""];
  const all = [""];
  for (let length = 1; length <= lengthMax; length++) {
    longest = longest.flatMap((text) => letters.map((letter) => text + letter));
    all.push(...longest);
  }
  return all;
}

test("of keys that share their beginnings and ends each is found in all short texts that have it, and in no others", () => {
  const keys = ["a", "abb", "ab", "ba", "abab", "bb", "b", "aab", "babb", ""];
  for (const inTurn of [keys, keys.toReversed(), keys.toSorted(), ["abab", "abb"], ["babb", "abb"], ["ab"], ["ba"]]) {
    for (const text of allTexts(["a", "b"], 5)) {
      for (let from = 0; from <= text.length; from++) {
        const atStart = inTurn.filter((key) => text.startsWith(key, from));
        expect(findIn("start", inTurn, text, from).toSorted(), `${text} ${from}`).toEqual(atStart.toSorted());
        const atEnd = inTurn.filter((key) => text.slice(from).endsWith(key));
        expect(findIn("end", inTurn, text, from).toSorted(), `${text} ${from}`).toEqual(atEnd.toSorted());
      }
    }
  }
});

test("an index finds patterns of all kinds in all short texts that fit them, and in no others", () => {
  const some = ["/a", "a", "/", "b", "/a/b"];
  const kinds = ["exact", "prefix", "suffix"] as const;
  const all = [
    ...some.flatMap((text) => kinds.map((kind) => ({ kind, text }))),
    ...["/{*}", "/{**}", "/a/{*}", "/{*}/b"].map((text) => ({ kind: "template" as const, text })),
  ];
  const index = new PatternIndex<(typeof all)[number]>();
  for (const each of all) index.set(each, each);
  for (const text of allTexts(["/", "a", "b"], 4)) {
    const found: (typeof all)[number][] = [];
    index.pushMatches(text, found);
    const wanted = all.filter((each) => FITS[each.kind](each.text, text));
    expect(new Set(found), text).toEqual(new Set(wanted));
    expect(found).toHaveLength(wanted.length);
  }
});

const FITS = {
  exact: (pattern: string, text: string) => text === pattern,
  prefix: (pattern: string, text: string) => text.startsWith(pattern),
  suffix: (pattern: string, text: string) => text.endsWith(pattern),
  template: (pattern: string, text: string) => matchesPathTemplate(parsePathTemplate(pattern), text, true),
};

test("a trie tells whether a text has any of its keys", () => {
  fc.assert(
    fc.property(fc.uniqueArray(texts, { minLength: 1, maxLength: 4 }), texts, (keys, text) => {
      const trie = new TextTrie<string>("start");
      for (const key of keys) trie.at(key, () => key);
      expect(trie.hasMatch(text)).toBe(keys.some((key) => text.startsWith(key)));
    }),
    RUNS,
  );
});

test("a key that comes again keeps its value", () => {
  const trie = new TextTrie<string>("start");
  expect(trie.at("/a", () => "first")).toBe("first");
  expect(trie.at("/a", () => "second")).toBe("first");
});

test("values by character code are the last ones set, wherever the codes lie", () => {
  const codes = fc.oneof(fc.integer({ min: 40, max: 60 }), fc.integer({ min: 0, max: 400 }), fc.nat(65_535));
  fc.assert(
    fc.property(fc.array(fc.tuple(codes, fc.nat()), { maxLength: 24 }), codes, (entries, asked) => {
      const map = new CodeMap<number>();
      const wanted = new Map<number, number>();
      for (const [code, value] of entries) {
        map.set(code, value);
        wanted.set(code, value);
        for (const each of [asked, ...wanted.keys()]) expect(map.get(each)).toBe(wanted.get(each));
      }
    }),
    RUNS,
  );
});

const segments = fc.constantFrom("a", "b", "{*}", "{*}", "a.b");
/** Templates as policies may have them. */
const templates = fc
  .tuple(
    fc.array(segments, { maxLength: 3 }),
    fc.constantFrom("", "/{**}", "/{**}/a", "/{**}/b/a", "/{**}/"),
    fc.constantFrom("", "/"),
  )
  .map(
    ([head, any, end]) =>
      `${head.map((segment) => `/${segment}`).join("")}${any}${any.endsWith("/") ? "" : end}` || "/",
  )
  .filter(isValid);
const paths = fc
  .string({ unit: fc.constantFrom("/", "/", "a", "b", ".", "|"), maxLength: 8 })
  .map((text) => `/${text}`);

test("codes next to each other are told apart, wherever the array of them ends", () => {
  const codes = Array.from({ length: 300 }, (_, i) => 1_000 + i);
  for (const inTurn of [codes, codes.toReversed(), [1_128, 1_000, 1_127, ...codes], [1_001, 1_128, 1_129, 1_000]]) {
    const map = new CodeMap<number>();
    const wanted = new Map<number, number>();
    for (const [value, code] of inTurn.entries()) {
      map.set(code, value);
      wanted.set(code, value);
    }
    for (let code = 990; code < 1_310; code++) expect(map.get(code), String(code)).toBe(wanted.get(code));
  }
});

test("every template that a path fits is found, whatever characters its wildcards take, and no other", () => {
  let fits = 0;
  fc.assert(
    fc.property(fc.uniqueArray(templates, { maxLength: 24 }), paths, (all, path) => {
      const trie = new TemplateTrie<string>();
      for (const each of all) trie.at(each, () => each);
      const found: string[] = [];
      trie.pushMatches(path, found);
      const wanted = all.filter((each) => matchesPathTemplate(parsePathTemplate(each), path, true));
      fits += wanted.length;
      expect(found.toSorted()).toEqual(wanted.toSorted());
    }),
    RUNS,
  );
  expectSeen("fits", fits, RUNS.numRuns / 4);
});

test("each of a few templates finds all short paths that it fits, and no others", () => {
  const all = [
    "/a",
    "/a/",
    "/a/b",
    "/{*}",
    "/a/{*}",
    "/{*}/b",
    "/{*}/{*}/",
    "/{**}",
    "/a/{**}",
    "/{*}/{**}/b",
    "/{**}/b",
  ];
  const trie = new TemplateTrie<string>();
  for (const each of all) trie.at(each, () => each);
  for (const path of allTexts(["/", "a", "b"], 5).map((text) => `/${text}`)) {
    const found: string[] = [];
    trie.pushMatches(path, found);
    const wanted = all.filter((each) => matchesPathTemplate(parsePathTemplate(each), path, true));
    expect(found.toSorted(), path).toEqual(wanted.toSorted());
  }
});

test("what does not begin with a slash fits no template", () => {
  const trie = new TemplateTrie<string>();
  for (const each of ["/{**}", "/{*}", "/a"]) trie.at(each, () => each);
  const found: string[] = [];
  trie.pushMatches("*", found);
  expect(found).toEqual([]);
});

test("a text finds the patterns that it fits, of whichever kind", () => {
  const kinds = fc.constantFrom("exact" as const, "prefix" as const, "suffix" as const);
  const template = fc.record({ kind: fc.constant("template" as const), text: templates });
  const patterns = fc.uniqueArray(
    fc.oneof({ weight: 3, arbitrary: fc.record({ kind: kinds, text: texts }) }, template),
    {
      selector: ({ kind, text }) => kind + text,
      maxLength: 24,
    },
  );
  const seen = { exact: 0, prefix: 0, suffix: 0, template: 0 };
  fc.assert(
    fc.property(patterns, fc.oneof(texts, paths), (all, text) => {
      const index = new PatternIndex<(typeof all)[number]>();
      for (const each of all) index.set(each, each);
      const found: (typeof all)[number][] = [];
      index.pushMatches(text, found);
      expect(new Set(found)).toEqual(new Set(all.filter((each) => FITS[each.kind](each.text, text))));
      expect(new Set(found).size).toBe(found.length);
      for (const { kind } of found) seen[kind] += 1;
    }),
    RUNS,
  );
  for (const [kind, count] of Object.entries(seen)) expectSeen(kind, count, RUNS.numRuns / 200);
});

function findIn(end: "start" | "end", keys: readonly string[], text: string, from: number): readonly string[] {
  const trie = new TextTrie<string>(end);
  for (const key of keys) trie.at(key, () => key);
  const found: string[] = [];
  trie.pushMatches(text, from, found);
  return found;
}

function isValid(template: string): boolean {
  try {
    assertPathPattern(template);
    return template.includes("{");
  } catch {
    return false;
  }
}
