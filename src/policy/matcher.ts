import { isJsonList, type JsonValue, memberOf } from "../core/json-value.ts";
import type { Claims } from "./claims.ts";
import { TemplateTrie } from "./lookup/template-trie.ts";
import { TextTrie } from "./lookup/text-trie.ts";
import { matchesPathTemplate, parsePathTemplate, type TemplatePart } from "./path-template.ts";

/** Patterns compiled for matching: exact `abc`, prefix `abc*`, suffix `*abc`, and presence `*`. */
export interface TextMatcher {
  /** `*` is among the patterns. */
  readonly anyText: boolean;
  readonly exact: ReadonlySet<string>;
  readonly prefixes: readonly string[];
  readonly suffixes: readonly string[];
  /** How texts are matched where there are more than a few patterns; null: one pattern after the other. */
  readonly many: ManyPatterns | null;
}

interface ManyPatterns {
  readonly prefixes: TextTrie<true>;
  readonly suffixes: TextTrie<true>;
}

/** A few texts are compared faster than one of them is found. */
const FEW = 4;

/**
 * Patterns as Istio reads them (pilot/pkg/security/authz/matcher): a star counts only at the very start or else
 * at the very end; anywhere else it is a star like any letter.
 */
export function compileText(patterns: readonly string[]): TextMatcher {
  const others = patterns.filter((pattern) => pattern !== "*");
  const prefixes = others.filter(isPrefix).map((pattern) => pattern.slice(0, -1));
  const suffixes = others.filter(isSuffix).map((pattern) => pattern.slice(1));
  return {
    anyText: others.length !== patterns.length,
    exact: new Set(others.filter((pattern) => !isSuffix(pattern) && !isPrefix(pattern))),
    prefixes,
    suffixes,
    many: others.length > FEW ? { prefixes: trieOf("start", prefixes), suffixes: trieOf("end", suffixes) } : null,
  };
}

function isSuffix(pattern: string): boolean {
  return pattern.startsWith("*");
}

function isPrefix(pattern: string): boolean {
  return pattern.endsWith("*") && !isSuffix(pattern);
}

function trieOf(end: "start" | "end", keys: readonly string[]): TextTrie<true> {
  const trie = new TextTrie<true>(end);
  for (const key of keys) trie.at(key, () => true);
  return trie;
}

/** Whether one of the patterns matches. `*` matches every text but the empty one. Per request. */
export function matchesText(matcher: TextMatcher, text: string): boolean {
  const { anyText, exact, prefixes, suffixes, many } = matcher;
  if (anyText && text !== "") return true;
  if (many !== null) return exact.has(text) || many.prefixes.hasMatch(text) || many.suffixes.hasMatch(text);
  for (const each of exact) if (text === each) return true;
  for (const prefix of prefixes) if (text.startsWith(prefix)) return true;
  for (const suffix of suffixes) if (text.endsWith(suffix)) return true;
  return false;
}

export interface PathMatcher extends TextMatcher {
  readonly templates: readonly Template[];
  /** Where they are many: finds at least those that a path fits. */
  readonly byPath: TemplateTrie<Template> | null;
  /** See `matchesPathTemplate`. */
  readonly isWide: boolean;
}

type Template = readonly TemplatePart[];

/** `paths` patterns, templates among them. */
export function compilePath(patterns: readonly string[], isWide: boolean): PathMatcher {
  const texts = [...new Set(patterns)].filter((pattern) => pattern.includes("{"));
  const others = compileText(patterns.filter((pattern) => !pattern.includes("{")));
  const templates = texts.map(parsePathTemplate);
  const byPath = texts.length > FEW ? new TemplateTrie<Template>() : null;
  for (const [i, text] of texts.entries()) byPath?.at(text, () => templates[i]!);
  return { ...others, templates, byPath, isWide };
}

/** Per request. */
export function matchesPath(matcher: PathMatcher, path: string): boolean {
  if (matchesText(matcher, path)) return true;
  if (matcher.byPath !== null) {
    const found: Template[] = [];
    matcher.byPath.pushMatches(path, found);
    return matchesAny(found, path, matcher.isWide);
  }
  return matchesAny(matcher.templates, path, matcher.isWide);
}

function matchesAny(templates: readonly Template[], path: string, isWide: boolean): boolean {
  for (const template of templates) if (matchesPathTemplate(template, path, isWide)) return true;
  return false;
}

/** One value of `requestPrincipals`, which asks about the issuer and about the subject. */
export interface UserMatcher {
  readonly issuer: TextMatcher;
  readonly subject: TextMatcher;
}

/** Values of `requestPrincipals` → matchers. */
export function compileUsers(values: readonly string[]): readonly UserMatcher[] {
  return values.map((value) => {
    const { issuer, subject } = splitUser(value);
    return { issuer: compileText([issuer]), subject: compileText([subject]) };
  });
}

/**
 * A value of `requestPrincipals` as Istio takes it apart (requestPrincipalGenerator): at its last slash, since an issuer may
 * be an URL. Without a slash a star at the start leaves the issuer open, one at the end the subject; without either the
 * subject has to be empty.
 */
export function splitUser(value: string): { readonly issuer: string; readonly subject: string } {
  const slash = value.lastIndexOf("/");
  if (slash >= 0) return { issuer: value.slice(0, slash), subject: value.slice(slash + 1) };
  if (value.startsWith("*")) return { issuer: "*", subject: value };
  return value.endsWith("*") ? { issuer: value, subject: "*" } : { issuer: value, subject: "" };
}

/** Whether one of the matchers fits the token's issuer and subject; a request without a token fits none. */
export function matchesUser(matchers: readonly UserMatcher[], claims: Claims | null): boolean {
  const [issuer, subject] = [claimTextOf(claims, "iss"), claimTextOf(claims, "sub")];
  if (issuer === null || subject === null) return false;
  for (const matcher of matchers)
    if (matchesText(matcher.issuer, issuer) && matchesText(matcher.subject, subject)) return true;
  return false;
}

/** Whether the claim is a text that fits, or a list with one. Numbers, booleans and maps fit nothing, as Istio has it. */
export function claimMatches(matcher: TextMatcher, path: readonly string[], claims: Claims | null): boolean {
  const value = claimAt(claims, path);
  if (typeof value === "string") return matchesText(matcher, value);
  return isJsonList(value) && value.some((each) => typeof each === "string" && matchesText(matcher, each));
}

/** The value at a path of names; undefined: there is none. */
export function claimAt(claims: Claims | null, path: readonly string[]): JsonValue | undefined {
  let value: JsonValue | undefined = claims ?? undefined;
  for (const name of path) value = memberOf(value, name);
  return value;
}

/** A claim of the token itself that is a text; null: it is not. */
export function claimTextOf(claims: Claims | null, name: string): string | null {
  const value = memberOf(claims, name);
  return typeof value === "string" ? value : null;
}
