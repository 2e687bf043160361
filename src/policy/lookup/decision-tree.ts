import { runSteps, type Steps } from "../../core/slices.ts";
import {
  chooseSplit,
  ENTRIES_PER_LOOK,
  patternKey,
  type Split,
  splitPosition,
  type UnwantedPattern,
  unwantedKey,
  type ValuePattern,
} from "./choose-split.ts";
import type { Entry, Subject, TestLanguage } from "./lookup.ts";
import { PatternIndex } from "./pattern-index.ts";

/** Entries, arranged so that facts meet few of those that they do not fit. */
export interface Tree<E, F> {
  /** The lowest order of all entries below. */
  readonly first: number;
  /** To be asked one after the other, in order. */
  readonly entries: readonly E[];
  /** Those that want a value of one subject, by that value. */
  readonly found: { readonly subject: Subject<F>; readonly by: PatternIndex<Tree<E, F>> } | null;
  /** Those that all do not want one value. */
  readonly unless: {
    readonly subject: Subject<F>;
    readonly pattern: UnwantedPattern;
    readonly tree: Tree<E, F>;
  } | null;
  /** All others. */
  readonly rest: Tree<E, F> | null;
}

/** Builds the tree at once. The order of the entries does not matter. */
export function buildTree<E extends Entry<T>, T, F>(entries: readonly E[], language: TestLanguage<T, F>): Tree<E, F> {
  return runSteps(growTree(entries, language));
}

/** The same in steps. */
export function* growTree<E extends Entry<T>, T, F>(
  entries: readonly E[],
  language: TestLanguage<T, F>,
): Steps<Tree<E, F>> {
  const budget = { copiesLeft: COPIES_PER_ENTRY * entries.length };
  const sorted = entries.toSorted((a, b) => a.order - b.order);
  return yield* grow(sorted, { language, budget, depth: 0, ruledOut: new Set() });
}

/** A few are asked faster one after the other than found. */
const LIST_MAX = 4;
/** An entry stands under each of its values, and below that under each value of the next subject: so often at most. */
const COPIES_PER_ENTRY = 16;
/** Where entries have so little in common that this is not enough, what is left is asked one after the other. */
const DEPTH_MAX = 24;

interface Growth<T, F> {
  readonly language: TestLanguage<T, F>;
  /** Of the whole tree. */
  readonly budget: { copiesLeft: number };
  readonly depth: number;
  /** Values that were asked about on the way here, and that the facts here do not have. */
  readonly ruledOut: ReadonlySet<string>;
}

function* grow<E extends Entry<T>, T, F>(entries: readonly E[], growth: Growth<T, F>): Steps<Tree<E, F>> {
  const first = entries[0]?.order ?? Number.POSITIVE_INFINITY;
  const leaf = { first, entries, found: null, unless: null, rest: null };
  const { language, budget, ruledOut, depth } = growth;
  if (entries.length <= LIST_MAX || depth === DEPTH_MAX) return leaf;
  const split = yield* chooseSplit(entries, {
    language,
    groupMin: LIST_MAX + 1,
    copiesMax: budget.copiesLeft,
    ruledOut,
  });
  if (split === null) return leaf;
  const deeper = { ...growth, depth: depth + 1 };
  const { inside, others } = yield* divide(entries, split, language);
  const chosen =
    split.unwanted === null
      ? yield* splitByValue(inside, split.subject, deeper)
      : yield* splitUnless(inside.entries, { ...split, unwanted: split.unwanted }, deeper);
  return { ...leaf, entries: [], ...chosen, rest: others.length === 0 ? null : yield* grow(others, deeper) };
}

function* divide<E extends Entry<T>, T, F>(
  entries: readonly E[],
  split: Split<F>,
  language: TestLanguage<T, F>,
): Steps<{ readonly inside: Inside<E>; readonly others: readonly E[] }> {
  const inside = { entries: [] as E[], positions: [] as number[] };
  const others: E[] = [];
  for (const [i, entry] of entries.entries()) {
    const position = splitPosition(split, entry, language);
    if (position < 0) others.push(entry);
    else {
      inside.entries.push(entry);
      inside.positions.push(position);
    }
    if (i % ENTRIES_PER_LOOK === ENTRIES_PER_LOOK - 1) yield;
  }
  return { inside, others };
}

interface Inside<E> {
  readonly entries: readonly E[];
  /** Of each the place of the test that is looked up. */
  readonly positions: readonly number[];
}

function* splitByValue<E extends Entry<T>, T, F>(
  { entries, positions }: Inside<E>,
  subject: Subject<F>,
  growth: Growth<T, F>,
): Steps<Pick<Tree<E, F>, "found">> {
  const groups = new Map<string, { readonly pattern: ValuePattern; readonly entries: E[] }>();
  for (const [i, entry] of entries.entries()) {
    const position = positions[i]!;
    for (const pattern of growth.language.lookupOf(entry.tests[position]!)!.patterns) {
      growth.budget.copiesLeft -= 1;
      const key = patternKey(pattern);
      const group = groups.get(key) ?? { pattern, entries: [] };
      groups.set(key, group);
      // What being found here answers is not asked again.
      const confirm = pattern.confirm === null ? [] : [pattern.confirm];
      group.entries.push({ ...entry, tests: entry.tests.toSpliced(position, 1, ...confirm) });
    }
    if (i % ENTRIES_PER_LOOK === ENTRIES_PER_LOOK - 1) yield;
  }
  const by = new PatternIndex<Tree<E, F>>();
  let grown = 0;
  for (const { pattern, entries: group } of groups.values()) {
    by.set(pattern, yield* grow(group, growth));
    grown += 1;
    if (grown % ENTRIES_PER_LOOK === 0) yield;
  }
  return { found: { subject, by } };
}

function* splitUnless<E extends Entry<T>, T, F>(
  entries: readonly E[],
  { subject, unwanted }: Split<F> & { readonly unwanted: UnwantedPattern },
  growth: Growth<T, F>,
): Steps<Pick<Tree<E, F>, "unless">> {
  const ruledOut = new Set([...growth.ruledOut, unwantedKey(subject, unwanted)]);
  return { unless: { subject, pattern: unwanted, tree: yield* grow(entries, { ...growth, ruledOut }) } };
}
