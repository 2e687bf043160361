import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { buildTree, growTree, type Tree } from "../../../../src/policy/lookup/decision-tree.ts";
import type { Entry, Lookup, Pattern, TestLanguage } from "../../../../src/policy/lookup/lookup.ts";
import { allFits, firstFit, type Search } from "../../../../src/policy/lookup/search-tree.ts";
import { runSteps } from "../../../../src/core/slices.ts";
import { propertyRuns } from "../../../support/property-runs.ts";

// A language of its own: what a tree does must not depend on what policies happen to ask.
// Two cores may be shared with other test files.
vi.setConfig({ testTimeout: 60_000 });

const RUNS = propertyRuns(1_500);

type Facts = Readonly<Record<string, string | readonly string[] | undefined>>;

interface Asks {
  readonly subject: string;
  readonly isNegated: boolean;
  readonly patterns: readonly Pattern<Asks>[];
  /** Only asking tells. */
  readonly isHidden: boolean;
}

const LANGUAGE: TestLanguage<Asks, Facts> & Search<Entry<Asks>, Asks, Facts> = { holds, lookupOf, counts: null };

const texts = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 3 });
const tests: fc.Arbitrary<Asks> = fc
  .record({
    subject: fc.constantFrom("path", "host", "claims"),
    isNegated: fc.constantFrom(false, false, true),
    isHidden: fc.constantFrom(false, false, false, true),
    isConfirmed: fc.constantFrom(false, false, true),
    patterns: fc.uniqueArray(
      fc.record({ kind: fc.constantFrom("exact" as const, "prefix" as const, "suffix" as const), text: texts }),
      { minLength: 1, maxLength: 3, selector: ({ kind, text }) => kind + text },
    ),
  })
  .map(({ isConfirmed, ...each }) => {
    const plain = {
      ...each,
      isHidden: true,
      patterns: each.patterns.map((pattern) => ({ ...pattern, confirm: null })),
    };
    return { ...each, patterns: each.patterns.map((pattern) => ({ ...pattern, confirm: isConfirmed ? plain : null })) };
  });
const entries = fc
  // An entry without tests ends what can be reached, so there are few.
  .array(
    fc.oneof({ weight: 60, arbitrary: fc.array(tests, { minLength: 1, maxLength: 3 }) }, fc.constant<Asks[]>([])),
    {
      maxLength: 40,
      size: "max",
    },
  )
  .chain((all) =>
    fc
      .shuffledSubarray([...all.keys()], { minLength: all.length })
      .map((orders) => all.map((each, i) => ({ order: orders[i]!, tests: each }))),
  );
const facts: fc.Arbitrary<Facts> = fc.record({
  path: texts,
  host: fc.option(texts, { nil: undefined }),
  claims: fc.array(texts, { maxLength: 3 }),
});

test("the first entry that fits is the one that asking all of them in order finds", () => {
  const seen = { found: 0, none: 0, split: 0 };
  fc.assert(
    fc.property(entries, fc.array(facts, { minLength: 4, maxLength: 4 }), (all, asked) => {
      const tree = buildTree<Entry<Asks>, Asks, Facts>(all, LANGUAGE);
      if (tree.found !== null || tree.unless !== null) seen.split += 1;
      for (const each of asked) {
        const wanted = fitting(all, each)[0] ?? null;
        seen[wanted === null ? "none" : "found"] += 1;
        expect(firstFit(tree, each, LANGUAGE, null)?.order).toBe(wanted?.order);
        // Of two trees the earlier entry counts.
        const before = { order: 5, tests: [] };
        expect(firstFit(tree, each, LANGUAGE, before)?.order).toBe(Math.min(5, wanted?.order ?? 5));
      }
    }),
    { numRuns: RUNS },
  );
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(RUNS / 10);
});

test("entries that only say what they do not want are found by what they have in common", () => {
  const shared = fc.constantFrom(
    { kind: "exact" as const, text: "a", confirm: null },
    { kind: "prefix" as const, text: "b", confirm: null },
    { kind: "suffix" as const, text: "ab", confirm: null },
  );
  const unwanting = fc
    .tuple(tests, fc.uniqueArray(shared, { minLength: 1, maxLength: 2, selector: ({ kind }) => kind }))
    .map(([test_, values]) => ({ ...test_, isNegated: true, isHidden: false, patterns: values }));
  const all = fc
    .array(fc.tuple(unwanting, tests), { minLength: 8, maxLength: 30, size: "max" })
    .map((pairs) => pairs.map(([test_, other], order) => ({ order, tests: [test_, { ...other, isHidden: true }] })));
  const seen = { found: 0, none: 0, unless: 0 };
  fc.assert(
    fc.property(all, fc.array(facts, { minLength: 6, maxLength: 6 }), (entriesOf, asked) => {
      const tree = buildTree<Entry<Asks>, Asks, Facts>(entriesOf, LANGUAGE);
      if (tree.unless !== null) seen.unless += 1;
      for (const each of asked) {
        const wanted = fitting(entriesOf, each)[0];
        seen[wanted === undefined ? "none" : "found"] += 1;
        expect(firstFit(tree, each, LANGUAGE, null)?.order).toBe(wanted?.order);
      }
    }),
    { numRuns: RUNS },
  );
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(RUNS / 40);
});

test("entries that do not count any more are passed over, and hide nothing that comes after them", () => {
  fc.assert(
    fc.property(entries, facts, fc.func(fc.boolean()), (all, each, counts) => {
      const tree = buildTree<Entry<Asks>, Asks, Facts>(all, LANGUAGE);
      const search = { holds, counts: ({ order }: Entry<Asks>) => counts(order) };
      const wanted = fitting(all, each).find(({ order }) => counts(order));
      expect(firstFit(tree, each, search, null)?.order).toBe(wanted?.order);
    }),
    { numRuns: RUNS },
  );
});

test("where all are wanted, all entries that fit are found", () => {
  fc.assert(
    fc.property(entries, facts, (all, each) => {
      const tree = runSteps(growTree<Entry<Asks>, Asks, Facts>(all, LANGUAGE));
      const found = new Set(allFits(tree, each, LANGUAGE).map(({ order }) => order));
      expect(found).toEqual(new Set(fitting(all, each).map(({ order }) => order)));
    }),
    { numRuns: RUNS },
  );
});

test("an entry that stands under many values is not copied without bound", () => {
  // Each of the three subjects has the same values in all entries: filing them under all of them would make millions.
  const values = Array.from({ length: 40 }, (_, i) => ({ kind: "exact" as const, text: `v${i}`, confirm: null }));
  const of = (subject: string): Asks => ({ subject, isNegated: false, isHidden: false, patterns: values });
  const all = Array.from({ length: 100 }, (_, order) => ({
    order,
    tests: [of("path"), of("host"), of("claims"), own(order)],
  }));
  const tree = buildTree<Entry<Asks>, Asks, Facts>(all, LANGUAGE);
  expect(entriesIn(tree)).toBeLessThanOrEqual(17 * all.length);
  const fits = { path: "v1", host: "v2", claims: ["v3"], own: "70" };
  expect(firstFit(tree, fits, LANGUAGE, null)?.order).toBe(70);
});

function own(order: number): Asks {
  return {
    subject: "own",
    isNegated: false,
    isHidden: true,
    patterns: [{ kind: "exact", text: String(order), confirm: null }],
  };
}

test("facts meet few of many entries: those of their own value, or none where all do not want it", () => {
  let asked = 0;
  const counting: typeof LANGUAGE = { ...LANGUAGE, holds: (each, of) => (asked++, holds(each, of)) };
  const wanting = Array.from({ length: 500 }, (_, order) => ({
    order,
    tests: [single("path", `/${order}/`, false), single("host", "x", false)],
  }));
  const found = firstFit(
    buildTree<Entry<Asks>, Asks, Facts>(wanting, counting),
    { path: "/499/a", host: "xa" },
    counting,
    null,
  );
  expect(found?.order).toBe(499);
  expect(asked).toBeLessThan(8);
  asked = 0;
  const shunning = wanting.map(({ order }) => ({ order, tests: [single("path", "/public/", true), own(order)] }));
  const none = firstFit(buildTree<Entry<Asks>, Asks, Facts>(shunning, counting), { path: "/public/a" }, counting, null);
  expect(none).toBeNull();
  expect(asked).toBe(0);
});

function single(subject: string, text: string, isNegated: boolean): Asks {
  return { subject, isNegated, isHidden: false, patterns: [{ kind: "prefix", text, confirm: null }] };
}

function fitting(all: readonly Entry<Asks>[], each: Facts): readonly Entry<Asks>[] {
  return all.filter((entry) => entry.tests.every((asks) => holds(asks, each))).toSorted((a, b) => a.order - b.order);
}

function holds({ subject, isNegated, patterns }: Asks, all: Facts): boolean {
  const value = all[subject];
  const values = value === undefined ? [] : typeof value === "string" ? [value] : value;
  const fits = {
    exact: (t: string, v: string) => v === t,
    prefix: (t: string, v: string) => v.startsWith(t),
    suffix: (t: string, v: string) => v.endsWith(t),
    template: () => false,
  };
  return values.some((v) => patterns.some(({ kind, text }) => fits[kind](text, v))) !== isNegated;
}

function lookupOf({ subject, isNegated, patterns, isHidden }: Asks): Lookup<Asks, Facts> | null {
  return isHidden ? null : { subject: { key: subject, textOf: (all) => all[subject] }, patterns, isNegated };
}

/** All entries of a tree, as often as they stand in it. */
function entriesIn(tree: Tree<Entry<Asks>, Facts>): number {
  let count = tree.entries.length;
  const below: Tree<Entry<Asks>, Facts>[] = [];
  for (const { text } of VALUES) tree.found?.by.pushMatches(text, below);
  for (const each of new Set([
    ...below,
    ...(tree.unless === null ? [] : [tree.unless.tree]),
    ...(tree.rest === null ? [] : [tree.rest]),
  ]))
    count += entriesIn(each);
  return count;
}

const VALUES = Array.from({ length: 40 }, (_, i) => ({ text: `v${i}` }));
