import type { Entry, Lookup, Pattern, TestLanguage } from "../../src/policy/lookup/lookup.ts";

// A language of its own for trees: what they do must not depend on what policies happen to ask.

/** Texts by subject. */
export type Facts = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Whether a text of the subject fits one of the patterns, and what that pattern still asks; or, negated, none does. */
export interface Asks {
  readonly subject: string;
  readonly isNegated: boolean;
  readonly patterns: readonly Pattern<Asks>[];
  /** Only asking tells. */
  readonly isHidden: boolean;
}

export const LANGUAGE: TestLanguage<Asks, Facts> = { holds, lookupOf };

export function exactly(text: string): Pattern<never> & { readonly kind: "exact" } {
  return { kind: "exact", text, confirm: null };
}

export function asks(subject: string, patterns: readonly Pattern<Asks>[]): Asks {
  return { subject, isNegated: false, isHidden: false, patterns };
}

/** Entries in the order of their tests. */
export function entriesOf(tests: readonly (readonly Asks[])[]): readonly Entry<Asks>[] {
  return tests.map((own, order) => ({ order, tests: own }));
}

/** Those that the facts fit, in order: all of them asked one after the other. */
export function fitting(all: readonly Entry<Asks>[], facts: Facts): readonly Entry<Asks>[] {
  return all.filter((entry) => entry.tests.every((each) => holds(each, facts))).toSorted((a, b) => a.order - b.order);
}

function holds({ subject, isNegated, patterns }: Asks, facts: Facts): boolean {
  const value = facts[subject];
  const texts = value === undefined ? [] : typeof value === "string" ? [value] : value;
  const isMet = patterns.some(
    (pattern) =>
      texts.some((text) => FITS[pattern.kind](pattern.text, text)) &&
      (pattern.confirm === null || holds(pattern.confirm, facts)),
  );
  return isMet !== isNegated;
}

const FITS = {
  exact: (pattern: string, text: string) => text === pattern,
  prefix: (pattern: string, text: string) => text.startsWith(pattern),
  suffix: (pattern: string, text: string) => text.endsWith(pattern),
  template: () => false,
};

function lookupOf({ subject, isNegated, patterns, isHidden }: Asks): Lookup<Asks, Facts> | null {
  return isHidden ? null : { subject: { key: subject, textOf: (facts) => facts[subject] }, patterns, isNegated };
}
