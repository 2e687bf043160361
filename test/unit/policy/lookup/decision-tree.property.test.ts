import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { buildTree, growTree } from "../../../../src/policy/lookup/decision-tree.ts";
import type { Entry } from "../../../../src/policy/lookup/lookup.ts";
import { allFits, firstFit, type Search } from "../../../../src/policy/lookup/search-tree.ts";
import { runSteps } from "../../../../src/core/slices.ts";
import { type Asks, type Facts, fitting, LANGUAGE } from "../../../support/lookup-language.ts";
import { expectSeen, propertyRuns } from "../../../support/property-runs.ts";

// Two cores may be shared with other test files.
vi.setConfig({ testTimeout: 60_000 });

const RUNS = propertyRuns(1_500);

const SEARCH: Search<Entry<Asks>, Asks, Facts> = { holds: LANGUAGE.holds, counts: null };

const texts = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 3 });
const plainPattern = fc.record({
  kind: fc.constantFrom("exact" as const, "prefix" as const, "suffix" as const),
  text: texts,
  confirm: fc.constant(null),
});
/** What a pattern may still ask of facts that it fits. */
const confirm: fc.Arbitrary<Asks> = fc.record({
  subject: fc.constantFrom("path", "host", "claims"),
  isNegated: fc.boolean(),
  isHidden: fc.constantFrom(true, true, false),
  patterns: fc.array(plainPattern, { minLength: 1, maxLength: 1 }),
});
const tests: fc.Arbitrary<Asks> = fc.record({
  subject: fc.constantFrom("path", "host", "claims"),
  isNegated: fc.constantFrom(false, false, true),
  isHidden: fc.constantFrom(false, false, false, true),
  patterns: fc.uniqueArray(
    fc
      .tuple(plainPattern, fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, confirm))
      .map(([pattern, more]) => ({ ...pattern, confirm: more })),
    { minLength: 1, maxLength: 3, selector: ({ kind, text }) => kind + text },
  ),
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
        expect(firstFit(tree, each, SEARCH, null)?.order).toBe(wanted?.order);
        // Of two trees the earlier entry counts.
        const before = { order: 5, tests: [] };
        expect(firstFit(tree, each, SEARCH, before)?.order).toBe(Math.min(5, wanted?.order ?? 5));
      }
    }),
    { numRuns: RUNS },
  );
  for (const [what, count] of Object.entries(seen)) expectSeen(what, count, RUNS / 10);
});

test("entries that only say what they do not want are found by what they have in common", () => {
  const shared = fc.record({
    value: fc.constantFrom(
      { kind: "exact" as const, text: "a" },
      { kind: "prefix" as const, text: "b" },
      { kind: "suffix" as const, text: "ab" },
    ),
    // Now and then a value is unwanted under a condition only, and then one look does not decide.
    confirm: fc.oneof({ weight: 6, arbitrary: fc.constant(null) }, confirm),
  });
  const unwanting = fc
    .tuple(tests, fc.uniqueArray(shared, { minLength: 1, maxLength: 2, selector: ({ value }) => value.kind }))
    .map(([test_, values]) => ({
      ...test_,
      isNegated: true,
      isHidden: false,
      patterns: values.map(({ value, confirm: more }) => ({ ...value, confirm: more })),
    }));
  const all = fc
    .array(fc.tuple(unwanting, tests), { minLength: 8, maxLength: 30, size: "max" })
    .map((pairs) => pairs.map(([test_, other], order) => ({ order, tests: [test_, { ...other, isHidden: true }] })));
  const seen = { found: 0, none: 0, unless: 0 };
  fc.assert(
    fc.property(all, fc.array(facts, { minLength: 6, maxLength: 6 }), (unwanted, asked) => {
      const tree = buildTree<Entry<Asks>, Asks, Facts>(unwanted, LANGUAGE);
      if (tree.unless !== null) seen.unless += 1;
      for (const each of asked) {
        const wanted = fitting(unwanted, each)[0];
        seen[wanted === undefined ? "none" : "found"] += 1;
        expect(firstFit(tree, each, SEARCH, null)?.order).toBe(wanted?.order);
      }
    }),
    { numRuns: RUNS },
  );
  for (const [what, count] of Object.entries(seen)) expectSeen(what, count, RUNS / 40);
});

test("entries that do not count any more are passed over, and hide nothing that comes after them", () => {
  fc.assert(
    fc.property(entries, facts, fc.func(fc.boolean()), (all, each, counts) => {
      const tree = buildTree<Entry<Asks>, Asks, Facts>(all, LANGUAGE);
      const search = { holds: LANGUAGE.holds, counts: ({ order }: Entry<Asks>) => counts(order) };
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
