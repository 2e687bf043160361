import { expect, test } from "vitest";
import { runSteps } from "../../../../src/core/slices.ts";
import { ENTRIES_PER_LOOK } from "../../../../src/policy/lookup/choose-split.ts";
import { buildTree, growTree, type Tree } from "../../../../src/policy/lookup/decision-tree.ts";
import type { Entry, Pattern } from "../../../../src/policy/lookup/lookup.ts";
import { firstFit, type Search } from "../../../../src/policy/lookup/search-tree.ts";
import { asks, type Asks, entriesOf, exactly, type Facts, LANGUAGE } from "../../../support/lookup-language.ts";

// What a tree looks like: its bounds hold memory and time, and its shape is what makes finding fast.

type AskTree = Tree<Entry<Asks>, Facts>;

const build = (tests: readonly (readonly Asks[])[]): AskTree => buildTree(entriesOf(tests), LANGUAGE);
const times = (count: number, one: (i: number) => readonly Asks[]): readonly (readonly Asks[])[] =>
  Array.from({ length: count }, (_, i) => one(i));
const values = (count: number): readonly Pattern<Asks>[] =>
  Array.from({ length: count }, (_, i) => exactly(`v${String(i)}`));
const hidden = (text: string): Asks => ({ ...asks("own", [exactly(text)]), isHidden: true });
const not = (subject: string, text: string): Asks => ({ ...asks(subject, [exactly(text)]), isNegated: true });

function under(tree: AskTree, text: string): AskTree {
  const found: AskTree[] = [];
  tree.found?.by.pushMatches(text, found);
  expect(found).toHaveLength(1);
  return found[0]!;
}

const at = (order: number): Entry<Asks> => ({ order, tests: [] });
const alike = (count: number): readonly (readonly Asks[])[] => times(count, () => [asks("path", [exactly("a")])]);

const ordersOf = (tree: AskTree): readonly number[] => tree.entries.map(({ order }) => order);

test("four entries stay a list, and a fifth makes a tree of them", () => {
  expect(build(alike(0))).toEqual({
    first: Number.POSITIVE_INFINITY,
    entries: [],
    found: null,
    unless: null,
    rest: null,
  });
  expect(build(alike(1))).toMatchObject({ first: 0, found: null, unless: null, rest: null });
  expect(build(alike(4))).toMatchObject({ found: null, unless: null, rest: null });
  expect(ordersOf(build(alike(4)))).toEqual([0, 1, 2, 3]);
  const five = build(alike(5));
  expect(five).toMatchObject({ first: 0, entries: [], unless: null, rest: null });
  expect(five.found?.subject.key).toBe("path");
  // What being found answers is not asked again.
  expect(under(five, "a").entries.map(({ tests }) => tests)).toEqual([[], [], [], [], []]);
});

test("a list is not looked into for what it could be divided by", () => {
  let looked = 0;
  const counting = { ...LANGUAGE, lookupOf: (each: Asks) => ((looked += 1), LANGUAGE.lookupOf(each)) };
  buildTree(entriesOf(times(4, () => [asks("path", [exactly("a")])])), counting);
  expect(looked).toBe(0);
  buildTree(entriesOf(times(5, () => [asks("path", [exactly("a")])])), counting);
  expect(looked).toBeGreaterThan(0);
});

test("a group of four among others is not worth a step of its own, and one of five is", () => {
  const others = times(6, (i) => [hidden(String(i))]);
  const [four, five] = [build([...alike(4), ...others]), build([...alike(5), ...others])];
  expect(four).toMatchObject({ found: null, rest: null });
  expect(four.entries).toHaveLength(10);
  expect(five.found).not.toBeNull();
  expect(ordersOf(five.rest!)).toEqual([5, 6, 7, 8, 9, 10]);
});

test("entries come in order, whatever order they were given in, and a tree knows its lowest", () => {
  const all = entriesOf(times(9, (i) => [asks("path", [exactly(i % 3 === 0 ? "a" : "b")])]));
  const tree = buildTree(all.toReversed(), LANGUAGE);
  expect([tree.first, under(tree, "a").first, under(tree, "b").first]).toEqual([0, 0, 1]);
  expect(ordersOf(under(tree, "a"))).toEqual([0, 3, 6]);
  expect(ordersOf(under(tree, "b"))).toEqual([1, 2, 4, 5, 7, 8]);
});

test("of an entry's tests the one that it was found by goes, and what its pattern still asks takes its place", () => {
  const more = hidden("x");
  const half = { ...exactly("a"), confirm: more };
  const tree = build(times(5, () => [hidden("1"), asks("path", [half, exactly("b")]), hidden("2")]));
  expect(under(tree, "a").entries[0]?.tests).toEqual([hidden("1"), more, hidden("2")]);
  expect(under(tree, "b").entries[0]?.tests).toEqual([hidden("1"), hidden("2")]);
});

test("entries are filed sixteen times each at the most, over the whole tree", () => {
  const of = (...counts: readonly number[]): AskTree =>
    build(times(5, () => counts.map((count, i) => asks(`s${String(i)}`, values(count)))));
  expect(of(16).found).not.toBeNull();
  expect(of(17).found).toBeNull();
  // 50 of the 80 copies are gone at the first step; what is left suffices for one of its groups, and for no other.
  const two = of(10, 6);
  const below = values(10).map(({ text }) => under(two, text).found !== null);
  expect(below.filter(Boolean)).toHaveLength(1);
  expect(values(10).filter(({ text }) => under(of(10, 7), text).found !== null)).toHaveLength(0);
});

test("a tree is at most 24 steps deep", () => {
  const of = (subjects: number): AskTree =>
    build(
      times(5, () =>
        Array.from({ length: subjects }, (_, i) => asks(`s${String(i).padStart(2, "0")}`, [exactly("a")])),
      ),
    );
  const depthOf = (tree: AskTree): number => (tree.found === null ? 0 : 1 + depthOf(under(tree, "a")));
  // Sixteen copies of each entry would end it before: these stand once at each step.
  expect([1, 10, 15, 16].map((subjects) => depthOf(of(subjects)))).toEqual([1, 10, 15, 16]);
  const unwanted = build(times(5, () => Array.from({ length: 30 }, (_, i) => not("path", `v${String(i)}`))));
  const unlessDepthOf = (tree: AskTree): number => (tree.unless === null ? 0 : 1 + unlessDepthOf(tree.unless.tree));
  expect(unlessDepthOf(unwanted)).toBe(24);
  const others = build(
    Array.from({ length: 30 }, (_, i) => times(5, () => [asks(`s${String(i)}`, [exactly("a")])])).flat(),
  );
  const restDepthOf = (tree: AskTree): number => (tree.rest === null ? 0 : 1 + restDepthOf(tree.rest));
  expect(restDepthOf(others)).toBe(24);
});

test("what facts are known not to have is not asked about a second time", () => {
  const tree = build(times(6, (i) => [not("path", "a"), not("path", "b"), hidden(String(i))]));
  expect(tree.unless?.pattern.text).toBe("a");
  expect(tree.unless?.tree.unless?.pattern.text).toBe("b");
  const leaf = tree.unless!.tree.unless!.tree;
  expect(leaf).toMatchObject({ unless: null, found: null, rest: null });
  // Not having it was learnt of one value alone, so that the entries' own tests are asked all the same.
  expect(leaf.entries.map(({ tests }) => tests)).toEqual(
    times(6, (i) => [not("path", "a"), not("path", "b"), hidden(String(i))]),
  );
});

test("those that do not want the value stand apart from those that do not mind", () => {
  const tree = build([...times(6, () => [not("path", "a")]), ...times(3, () => [not("path", "b")])]);
  expect(ordersOf(tree.unless!.tree)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(ordersOf(tree.rest!)).toEqual([6, 7, 8]);
});

test.each<[string, readonly (readonly Asks[])[], number]>([
  // Once to count, once to divide, once to file each, and once for the trees of so many values.
  ["short of a look", times(ENTRIES_PER_LOOK - 1, (i) => [asks("path", [exactly(String(i))])]), 0],
  ["a value each", times(ENTRIES_PER_LOOK, (i) => [asks("path", [exactly(String(i))])]), 4],
  ["short of two looks", times(2 * ENTRIES_PER_LOOK - 1, (i) => [asks("path", [exactly(String(i))])]), 4],
  ["a value each, twice as many", times(2 * ENTRIES_PER_LOOK, (i) => [asks("path", [exactly(String(i))])]), 8],
  // Once more to see that there is nothing else to divide the group by.
  ["one value", times(ENTRIES_PER_LOOK, () => [asks("path", [exactly("a")])]), 4],
  ["nothing to divide by", times(ENTRIES_PER_LOOK, () => [hidden("a")]), 1],
  ["a value that none wants", times(ENTRIES_PER_LOOK, () => [not("path", "a")]), 3],
])("while it is built the clock is looked at: %s", (_name, tests, looks) => {
  expect([...growTree(entriesOf(tests), LANGUAGE)]).toHaveLength(looks);
  const steps = growTree(entriesOf(tests), LANGUAGE);
  expect(runSteps(steps).first).toBe(0);
});

/** Asks of one search: how often entries were asked, and how often subjects were looked at. */
function costOf(tree: AskTree, facts: Facts, before: Entry<Asks> | null): object {
  const cost = { found: null as number | null, asked: 0, looked: 0 };
  const holds: Search<Entry<Asks>, Asks, Facts>["holds"] = (test_, of) => {
    cost.asked += 1;
    return LANGUAGE.holds(test_, of);
  };
  const counting = new Proxy(facts, {
    get: (of, name: string) => {
      cost.looked += 1;
      return of[name];
    },
  });
  cost.found = firstFit(tree, counting, { holds, counts: null }, before)?.order ?? null;
  // Asking looks, too.
  cost.looked -= cost.asked;
  return cost;
}

test("where nothing can come before what was found, nothing is looked at", () => {
  // Entries stand under each of two values that a text can have at a time, and then under a second subject.
  const both: readonly Pattern<Asks>[] = [
    { kind: "prefix", text: "a", confirm: null },
    { kind: "prefix", text: "ab", confirm: null },
  ];
  const tree = build(times(6, () => [asks("path", both), asks("host", [exactly("h")])]));
  expect(costOf(tree, { path: "abc", host: "h" }, null)).toEqual({ found: 0, asked: 0, looked: 2 });
  expect(costOf(tree, { path: "abc", host: "x" }, null)).toEqual({ found: null, asked: 0, looked: 3 });
  expect(costOf(tree, { path: "abc", host: "h" }, at(0))).toEqual({ found: 0, asked: 0, looked: 0 });
  expect(costOf(tree, { path: "abc", host: "h" }, at(1))).toEqual({ found: 0, asked: 0, looked: 2 });
});

test("a list is asked in order, as far as what was found before", () => {
  const list = build(times(4, (i) => [asks("path", [exactly(`v${String(i)}`)])]));
  expect(costOf(list, { path: "v2" }, null)).toMatchObject({ found: 2, asked: 3 });
  expect(costOf(list, { path: "v3" }, at(2))).toMatchObject({ found: 2, asked: 2 });
  expect(costOf(list, { path: "v1" }, at(2))).toMatchObject({ found: 1, asked: 2 });
  expect(costOf(list, { path: "v1" }, at(0))).toMatchObject({ found: 0, asked: 0 });
});

test("facts meet few of many entries: those of their own value, or none where all do not want it", () => {
  const wanting = times(500, (order) => [
    asks("path", [{ kind: "prefix", text: `/${String(order)}/`, confirm: null }]),
    asks("host", [{ kind: "prefix", text: "x", confirm: null }]),
  ]);
  expect(costOf(build(wanting), { path: "/499/a", host: "xa" }, null)).toEqual({ found: 499, asked: 1, looked: 1 });
});

test.each([
  ["exact", "/public", ["/public"], ["/public/", "/", ""]],
  ["prefix", "/public", ["/public", "/publicly"], ["/", "", "x/public"]],
  ["suffix", "/public", ["/public", "/a/public"], ["/public/", ""]],
] as const)(
  "where none wants a value (%s) facts that have it meet none, and all others are met",
  (kind, text, having, others) => {
    const shunning = times(500, (order) => [
      { ...asks("path", [{ kind, text, confirm: null }]), isNegated: true },
      hidden(String(order)),
    ]);
    const tree = build(shunning);
    for (const path of having) {
      expect(costOf(tree, { path, own: "7" }, null)).toEqual({ found: null, asked: 0, looked: 1 });
      // Of several texts one is enough.
      expect(costOf(tree, { path: ["", path], own: "7" }, null)).toMatchObject({ found: null, asked: 0 });
    }
    for (const path of [...others, others, []])
      expect(costOf(tree, { path, own: "7" }, null)).toMatchObject({ found: 7 });
    expect(costOf(tree, { own: "7" }, null)).toMatchObject({ found: 7 });
  },
);
