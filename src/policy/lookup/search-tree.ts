import type { UnwantedPattern } from "./choose-split.ts";
import type { Tree } from "./decision-tree.ts";
import type { Entry, Subject, TestLanguage } from "./lookup.ts";

/** How a tree is searched for the first entry. */
export interface Search<E, T, F> {
  readonly holds: (test: T, facts: F) => boolean;
  /** Null: all entries count. */
  readonly counts: ((entry: E) => boolean) | null;
}

/** The entry of the lowest order that the facts fit and that comes before `before`; else `before`. Per request. */
export function firstFit<E extends Entry<T>, T, F>(
  tree: Tree<E, F>,
  facts: F,
  search: Search<E, T, F>,
  before: E | null,
): E | null {
  if (tree.found === null && tree.unless === null) return firstOf(tree.entries, facts, search, before);
  let best = before;
  const waiting = [tree];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (best !== null && node.first >= best.order) continue;
    best = firstOf(node.entries, facts, search, best);
    pushNext(node, facts, waiting);
  }
  return best;
}

/** All entries that the facts fit, in no order. An entry may come more than once. */
export function allFits<E extends Entry<T>, T, F>(
  tree: Tree<E, F>,
  facts: F,
  { holds }: Pick<TestLanguage<T, F>, "holds">,
): readonly E[] {
  const fits: E[] = [];
  const waiting = [tree];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    for (const entry of node.entries) if (allHold(entry.tests, facts, holds)) fits.push(entry);
    pushNext(node, facts, waiting);
  }
  return fits;
}

function pushNext<E, F>(node: Tree<E, F>, facts: F, waiting: Tree<E, F>[]): void {
  const { found, unless, rest } = node;
  if (rest !== null) waiting.push(rest);
  if (found !== null) {
    const text = found.subject.textOf(facts);
    if (typeof text === "string") found.by.pushMatches(text, waiting);
    else if (text !== undefined) for (const each of text) found.by.pushMatches(each, waiting);
  }
  if (unless !== null && !hasValue(unless.subject, unless.pattern, facts)) waiting.push(unless.tree);
}

function firstOf<E extends Entry<T>, T, F>(
  entries: readonly E[],
  facts: F,
  { holds, counts }: Search<E, T, F>,
  before: E | null,
): E | null {
  for (const entry of entries) {
    if (before !== null && entry.order >= before.order) return before;
    if (allHold(entry.tests, facts, holds) && (counts === null || counts(entry))) return entry;
  }
  return before;
}

function allHold<T, F>(tests: readonly T[], facts: F, holds: (test: T, facts: F) => boolean): boolean {
  for (const test of tests) if (!holds(test, facts)) return false;
  return true;
}

function hasValue<F>(subject: Subject<F>, pattern: UnwantedPattern, facts: F): boolean {
  const text = subject.textOf(facts);
  if (text === undefined) return false;
  return typeof text === "string" ? fitsValue(pattern, text) : text.some((each) => fitsValue(pattern, each));
}

function fitsValue({ kind, text: value }: UnwantedPattern, text: string): boolean {
  switch (kind) {
    case "exact":
      return text === value;
    case "prefix":
      return text.startsWith(value);
    case "suffix":
      return text.endsWith(value);
  }
}
