/** What a test looks at, as text; tests on the same subject are looked up together. */
export interface Subject<F> {
  /** Subjects of the same key are the same. */
  readonly key: string;
  /** Undefined: there is nothing to look at. Several: one of them has to fit. Per request. */
  readonly textOf: (facts: F) => string | readonly string[] | undefined;
}

/** One value that a test wants or does not want. */
export interface Pattern<T> {
  readonly kind: "exact" | "prefix" | "suffix" | "template";
  readonly text: string;
  /** What has still to be asked of facts whose text was found to fit; null: nothing. */
  readonly confirm: T | null;
}

/**
 * How a test can be looked up: it holds only if a text of the subject fits one of the patterns, or, negated, if none does.
 * A test that asks for more than that says so by its patterns' `confirm`.
 */
export interface Lookup<T, F> {
  readonly subject: Subject<F>;
  readonly patterns: readonly Pattern<T>[];
  readonly isNegated: boolean;
}

/** What a tree has to know of the tests in it. */
export interface TestLanguage<T, F> {
  readonly holds: (test: T, facts: F) => boolean;
  /** Null: only asking tells. */
  readonly lookupOf: (test: T) => Lookup<T, F> | null;
}

/** Tests that lead, when all of them hold, to what the entry stands for. */
export interface Entry<T> {
  /** Of several the lowest counts. */
  readonly order: number;
  readonly tests: readonly T[];
}
