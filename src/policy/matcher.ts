import { matchesPathTemplate, parsePathTemplate, type TemplatePart } from "./path-template.ts";

/** Patterns compiled for matching: exact `abc`, prefix `abc*`, suffix `*abc`, and presence `*`. */
export interface TextMatcher {
  /** `*` is among the patterns. */
  readonly anyText: boolean;
  readonly exact: ReadonlySet<string>;
  readonly prefixes: readonly string[];
  readonly suffixes: readonly string[];
}

/**
 * Patterns as Istio reads them (pilot/pkg/security/authz/matcher): a star counts only at the very start or else
 * at the very end; anywhere else it is a star like any letter.
 */
export function compileText(patterns: readonly string[]): TextMatcher {
  const others = patterns.filter((pattern) => pattern !== "*");
  const suffixes = others.filter((pattern) => pattern.startsWith("*"));
  const prefixes = others.filter((pattern) => pattern.endsWith("*") && !pattern.startsWith("*"));
  return {
    anyText: others.length !== patterns.length,
    exact: new Set(others.filter((pattern) => !pattern.startsWith("*") && !pattern.endsWith("*"))),
    prefixes: prefixes.map((pattern) => pattern.slice(0, -1)),
    suffixes: suffixes.map((pattern) => pattern.slice(1)),
  };
}

/** Whether one of the patterns matches. `*` matches every text but the empty one. */
export function matchesText(matcher: TextMatcher, text: string): boolean {
  if (matcher.exact.has(text)) return true;
  if (matcher.anyText && text !== "") return true;
  for (const prefix of matcher.prefixes) if (text.startsWith(prefix)) return true;
  for (const suffix of matcher.suffixes) if (text.endsWith(suffix)) return true;
  return false;
}

export interface PathMatcher extends TextMatcher {
  readonly templates: readonly (readonly TemplatePart[])[];
  /** See `matchesPathTemplate`. */
  readonly isWide: boolean;
}

/** `paths` patterns, templates among them. */
export function compilePath(patterns: readonly string[], isWide: boolean): PathMatcher {
  const templates = patterns.filter((pattern) => pattern.includes("{"));
  const text = compileText(patterns.filter((pattern) => !pattern.includes("{")));
  return { ...text, templates: templates.map(parsePathTemplate), isWide };
}

export function matchesPath(matcher: PathMatcher, path: string): boolean {
  if (matchesText(matcher, path)) return true;
  for (const template of matcher.templates) if (matchesPathTemplate(template, path, matcher.isWide)) return true;
  return false;
}
