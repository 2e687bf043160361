import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  chooseSplit,
  ENTRIES_PER_LOOK,
  patternKey,
  type SplitOptions,
  splitPosition,
  unwantedKey,
} from "../../../../src/policy/lookup/choose-split.ts";
import type { Pattern } from "../../../../src/policy/lookup/lookup.ts";
import { runSteps } from "../../../../src/core/slices.ts";
import { asks, exactly, type Asks, entriesOf, type Facts, LANGUAGE } from "../../../support/lookup-language.ts";
import { propertyRuns } from "../../../support/property-runs.ts";

// Any split keeps the decision; which one is taken is what a decision costs. So the choice is held to what it is meant to
// be, counted once more in the plainest way.

const patterns: fc.Arbitrary<Pattern<Asks>> = fc.record({
  kind: fc.constantFrom("exact" as const, "exact" as const, "prefix" as const, "template" as const),
  text: fc.constantFrom("a", "b", "c"),
  confirm: fc.constantFrom(null, null, null, asks("also", [exactly("a")])),
});
const tests: fc.Arbitrary<Asks> = fc.record({
  subject: fc.constantFrom("path", "host", "claims"),
  isNegated: fc.boolean(),
  isHidden: fc.constantFrom(false, false, false, true),
  patterns: fc.uniqueArray(patterns, { minLength: 1, maxLength: 3, selector: ({ kind, text }) => kind + text }),
});
const wanting = tests.map((each) => ({ ...each, isNegated: false }));
const unwanting = tests.map((each) => ({ ...each, isNegated: true }));
const entries = fc
  .oneof(tests, wanting, unwanting)
  .chain((first) =>
    fc.array(fc.array(first.isNegated ? unwanting : tests, { maxLength: 3 }), { maxLength: 12, size: "max" }),
  )
  .map(entriesOf);
const bounds = fc.record({
  groupMin: fc.integer({ min: 1, max: 4 }),
  copiesMax: fc.oneof(fc.constant(1_000), fc.nat(20)),
  ruledOut: fc.subarray(
    ["path", "host"].flatMap((key) => ["a", "b"].map((text) => unwantedKey(subjectOf(key), exactly(text)))),
  ),
});

function subjectOf(key: string): { readonly key: string; readonly textOf: () => undefined } {
  return { key, textOf: () => undefined };
}

test("entries are divided by the subject whose values leave the fewest to be asked, else by what most do not want", () => {
  fc.assert(
    fc.property(entries, bounds, (all, { ruledOut, ...rest }) => {
      const options = { language: LANGUAGE, ...rest, ruledOut: new Set(ruledOut) };
      const split = runSteps(chooseSplit<Asks, Facts>(all, options));
      const chosen = split === null ? null : { subject: split.subject.key, unwanted: keyOfUnwanted(split.unwanted) };
      expect(chosen).toEqual(wantedSplit(all, options) ?? unwantedSplit(all, options));
    }),
    { numRuns: propertyRuns(2_000) },
  );
});

function keyOfUnwanted(pattern: { readonly kind: Pattern<Asks>["kind"]; readonly text: string } | null): string | null {
  return pattern === null ? null : patternKey(pattern);
}

type Options = SplitOptions<Asks, Facts>;
type All = ReturnType<typeof entriesOf>;
type Choice = { readonly subject: string; readonly unwanted: string | null } | null;

/** All entries that are not filed by the subject are met, and the others of a value that is drawn from all of theirs. */
function wantedSplit(all: All, { groupMin, copiesMax }: Options): Choice {
  const visible = all.map(({ tests: own }) => own.filter((each) => !each.isHidden && !each.isNegated));
  const subjects = [...new Set(visible.flat().map(({ subject }) => subject))];
  const rated = subjects.flatMap((subject) => {
    const filed = visible.flatMap((own) => own.filter((each) => each.subject === subject).slice(0, 1));
    const copies = filed.flatMap((each) => each.patterns.map(patternKey));
    if (filed.length < groupMin || copies.length > copiesMax) return [];
    const met = copies.map((key) => copies.filter((other) => other === key).length);
    const average = met.reduce((sum, each) => sum + each, 0) / copies.length;
    return [{ subject, cost: all.length - filed.length + average }];
  });
  const best = rated.toSorted((a, b) => a.cost - b.cost)[0];
  return best === undefined ? null : { subject: best.subject, unwanted: null };
}

function unwantedSplit(all: All, { groupMin, ruledOut }: Options): Choice {
  const visible = all.flatMap(({ tests: own }) => own.filter((each) => !each.isHidden && each.isNegated));
  const values = visible.flatMap(({ subject, patterns: own }) =>
    own.filter(isDecidedByOneLook).map((pattern) => ({ subject, unwanted: patternKey(pattern), pattern })),
  );
  const count = (one: (typeof values)[number]): number =>
    values.filter(({ subject, unwanted }) => subject === one.subject && unwanted === one.unwanted).length;
  const left = values.filter(
    (each) => count(each) >= groupMin && !ruledOut.has(unwantedKey(subjectOf(each.subject), each.pattern)),
  );
  const most = left.toSorted((a, b) => count(b) - count(a))[0];
  return most === undefined ? null : { subject: most.subject, unwanted: most.unwanted };
}

function isDecidedByOneLook({ kind, confirm }: Pattern<Asks>): boolean {
  return kind !== "template" && confirm === null;
}

test("an entry is divided by its first test that the split is about, and by no other", () => {
  const splits = fc.record({
    subject: fc.constantFrom("path", "host").map((key) => subjectOf(key)),
    unwanted: fc.option(fc.constantFrom(exactly("a"), exactly("b"), { ...exactly("a"), kind: "prefix" as const })),
  });
  fc.assert(
    fc.property(splits, fc.array(tests, { maxLength: 5 }), (split, own) => {
      const suits = own.map(({ subject, isHidden, isNegated, patterns: all }) => {
        if (isHidden || subject !== split.subject.key) return false;
        if (split.unwanted === null) return !isNegated;
        const key = patternKey(split.unwanted);
        return isNegated && all.some((pattern) => isDecidedByOneLook(pattern) && patternKey(pattern) === key);
      });
      expect(splitPosition(split, { order: 0, tests: own }, LANGUAGE)).toBe(suits.indexOf(true));
    }),
    { numRuns: propertyRuns(2_000) },
  );
});

test("an entry whose unwanted value is still to be confirmed does not stand with those that do not want it outright", () => {
  const split = { subject: subjectOf("path"), unwanted: exactly("a") };
  const half = { ...asks("path", [{ ...exactly("a"), confirm: asks("also", [exactly("x")]) }]), isNegated: true };
  const outright = { ...asks("path", [exactly("a")]), isNegated: true };
  expect(splitPosition(split, { order: 0, tests: [half] }, LANGUAGE)).toBe(-1);
  expect(splitPosition(split, { order: 0, tests: [half, outright] }, LANGUAGE)).toBe(1);
});

test("keys tell kinds, texts and subjects apart", () => {
  const keys = ["path", "host"].flatMap((subject) =>
    (["exact", "prefix", "suffix", "template"] as const).flatMap((kind) =>
      ["", "a", "b"].map((text) => unwantedKey(subjectOf(subject), { kind, text })),
    ),
  );
  expect(new Set(keys).size).toBe(2 * 4 * 3);
});

test.each([
  [ENTRIES_PER_LOOK - 1, 0],
  [ENTRIES_PER_LOOK, 1],
  [2 * ENTRIES_PER_LOOK - 1, 1],
  [2 * ENTRIES_PER_LOOK, 2],
])("of %d entries the clock is looked at %d times", (count, looks) => {
  const all = entriesOf(Array.from({ length: count }, () => []));
  const options = { language: LANGUAGE, groupMin: 1, copiesMax: 1_000, ruledOut: new Set<string>() };
  expect([...chooseSplit<Asks, Facts>(all, options)]).toHaveLength(looks);
});
