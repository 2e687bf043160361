import type { Steps } from "../../core/slices.ts";
import type { Entry, Lookup, Pattern, Subject, TestLanguage } from "./lookup.ts";

/** Entries between two looks at the clock. */
export const ENTRIES_PER_LOOK = 128;

/** What entries are divided by. */
export interface Split<F> {
  readonly subject: Subject<F>;
  /** Null: by the value that each wants. Else: those that do not want this one stand together. */
  readonly unwanted: UnwantedPattern | null;
}

export type ValuePattern = Pick<Pattern<unknown>, "kind" | "text">;

/** One of which a look at the text decides. */
export interface UnwantedPattern extends ValuePattern {
  readonly kind: Exclude<ValuePattern["kind"], "template">;
}

export interface SplitOptions<T, F> {
  readonly language: TestLanguage<T, F>;
  /** Fewer are not worth a step of their own. */
  readonly groupMin: number;
  /** How many times entries may be filed. */
  readonly copiesMax: number;
  /** Keys of unwanted values that were asked about before. */
  readonly ruledOut: ReadonlySet<string>;
}

/**
 * The subject by whose values the fewest entries are met, or, where entries want nothing that could be found, the value
 * that most of them do not want. Null: nothing is to be gained.
 */
export function* chooseSplit<T, F>(entries: readonly Entry<T>[], options: SplitOptions<T, F>): Steps<Split<F> | null> {
  const counts = yield* countValues(entries, options.language);
  let best: Wanted<F> | null = null;
  for (const each of counts.wanted.values()) {
    if (each.entries < options.groupMin || each.copies > options.copiesMax) continue;
    if (best === null || costOf(each, entries.length) < costOf(best, entries.length)) best = each;
  }
  if (best !== null) return { subject: best.subject, unwanted: null };
  let most: Unwanted<F> | null = null;
  for (const [key, each] of counts.unwanted) {
    if (each.entries < options.groupMin || options.ruledOut.has(key)) continue;
    if (most === null || each.entries > most.entries) most = each;
  }
  return most === null ? null : { subject: most.subject, unwanted: most.pattern };
}

/** Where among the entry's tests the one stands that the split is by; -1: the entry has none. */
export function splitPosition<T, F>(split: Split<F>, entry: Entry<T>, language: TestLanguage<T, F>): number {
  const { subject, unwanted } = split;
  return entry.tests.findIndex((test) => {
    const lookup = language.lookupOf(test);
    if (lookup === null || lookup.subject.key !== subject.key) return false;
    if (unwanted === null) return !lookup.isNegated;
    const isUnwanted = (each: Pattern<T>): boolean =>
      each.kind === unwanted.kind && each.text === unwanted.text && isDecidedByOneLook(each);
    return lookup.isNegated && lookup.patterns.some(isUnwanted);
  });
}

/** Whether facts of which a text fits the pattern are known to have the value. */
function isDecidedByOneLook<P extends Pattern<unknown>>(pattern: P): pattern is P & UnwantedPattern {
  return pattern.kind !== "template" && pattern.confirm === null;
}

/** Equal for equal patterns. */
export function patternKey({ kind, text }: ValuePattern): string {
  return `${kind} ${text}`;
}

/** As `patternKey`, with the subject. */
export function unwantedKey(subject: Subject<never>, pattern: ValuePattern): string {
  return `${subject.key}\n${patternKey(pattern)}`;
}

interface Wanted<F> {
  readonly subject: Subject<F>;
  entries: number;
  /** Entries, each as often as it has values. */
  copies: number;
  readonly byValue: Map<string, number>;
}

interface Unwanted<F> {
  readonly subject: Subject<F>;
  readonly pattern: UnwantedPattern;
  entries: number;
}

interface Counts<F> {
  readonly wanted: Map<string, Wanted<F>>;
  readonly unwanted: Map<string, Unwanted<F>>;
}

function* countValues<T, F>(entries: readonly Entry<T>[], language: TestLanguage<T, F>): Steps<Counts<F>> {
  const counts: Counts<F> = { wanted: new Map(), unwanted: new Map() };
  for (const [i, { tests }] of entries.entries()) {
    if (i % ENTRIES_PER_LOOK === ENTRIES_PER_LOOK - 1) yield;
    const seen = new Set<string>();
    for (const test of tests) {
      const lookup = language.lookupOf(test);
      if (lookup === null) continue;
      if (lookup.isNegated) countUnwanted(counts.unwanted, lookup);
      else if (!seen.has(lookup.subject.key)) {
        // Of two tests on one subject the first is looked up, and the other is asked.
        seen.add(lookup.subject.key);
        countWanted(counts.wanted, lookup);
      }
    }
  }
  return counts;
}

function countWanted<T, F>(wanted: Counts<F>["wanted"], { subject, patterns }: Lookup<T, F>): void {
  const count = wanted.get(subject.key) ?? { subject, entries: 0, copies: 0, byValue: new Map<string, number>() };
  wanted.set(subject.key, count);
  count.entries += 1;
  count.copies += patterns.length;
  for (const pattern of patterns) {
    const key = patternKey(pattern);
    count.byValue.set(key, (count.byValue.get(key) ?? 0) + 1);
  }
}

function countUnwanted<T, F>(unwanted: Counts<F>["unwanted"], { subject, patterns }: Lookup<T, F>): void {
  for (const pattern of patterns) {
    if (!isDecidedByOneLook(pattern)) continue;
    const key = unwantedKey(subject, pattern);
    const count = unwanted.get(key) ?? { subject, pattern, entries: 0 };
    unwanted.set(key, count);
    count.entries += 1;
  }
}

/** How many entries facts meet: those that are not filed, and of the others a group of the usual size. */
function costOf<F>({ entries, copies, byValue }: Wanted<F>, all: number): number {
  let squares = 0;
  for (const size of byValue.values()) squares += size * size;
  return all - entries + squares / copies;
}
