import type { TextMatcher } from "../matcher.ts";
import type { Pattern } from "./lookup.ts";

/** The patterns that a matcher is made of, or null where it takes any text, which finds nothing. */
export function patternsOf(matcher: TextMatcher): readonly Pattern<never>[] | null {
  if (matcher.anyText) return null;
  const { exact, prefixes, suffixes } = matcher;
  return [...of("exact", exact), ...of("prefix", prefixes), ...of("suffix", suffixes)];
}

function of(kind: "exact" | "prefix" | "suffix", texts: Iterable<string>): readonly Pattern<never>[] {
  return [...texts].map((text) => ({ kind, text, confirm: null }));
}
