import { LIMITS } from "../../../core/limits.ts";
import type { JsonObject, JsonValue } from "../../../core/json-value.ts";
import { isJsonObject } from "../../../core/json-value.ts";
import { compileText, matchesText, splitUser, type TextMatcher } from "../../matcher.ts";
import { patternOf } from "./clause-patterns.ts";
import type { Facts } from "./facts.ts";
import type { Test } from "./formula.ts";
import { type Budget, examplesOf } from "./language.ts";
import { CLAIM_TEXTS } from "./universes.ts";

/** What a token says of its user, and one for each other claim that it has; a map's claims are one with the map. */
export type ClaimDimension = "claim user" | `claim "${string}"`;

/** The issuer and the subject: `requestPrincipals` asks about both at once. */
const USER_CLAIMS: readonly string[] = ["iss", "sub"];

type Path = readonly string[];

/** `claim`: a clause's path into the claims; null: it asks about the user. */
export function claimDimensionOf(claim: Path | null): ClaimDimension {
  const root = claim?.[0];
  return root === undefined || USER_CLAIMS.includes(root) ? "claim user" : `claim "${root}"`;
}

export function isClaimDimension(name: string): name is ClaimDimension {
  return name.startsWith("claim ");
}

/**
 * Claims of each kind that the tests tell apart: none, texts, and lists of texts that fit several tests at once; null: there
 * are too many of them.
 */
export function claimValues(
  name: ClaimDimension,
  tests: readonly Test[],
  budget: Budget,
): readonly Partial<Facts>[] | null {
  const questions = tests.flatMap(({ clause }) => questionsOf(clause.claim, clause.values));
  const byPath = Map.groupBy(questions, ({ path }) => JSON.stringify(path));
  let tokens: readonly JsonObject[] = [{}];
  // A map comes before what is in it, and what has become a text has nothing in it.
  for (const same of [...byPath.values()].toSorted((a, b) => a[0]!.path.length - b[0]!.path.length)) {
    const { path } = same[0]!;
    const isUser = name === "claim user";
    const values = isUser && path.length > 1 ? [] : textsOf(same, isUser, budget);
    if (values === null || tokens.length * (values.length + 1) > LIMITS.policyAnalysisClaimsMax) return null;
    tokens = tokens.flatMap((token) => [token, ...values.flatMap((value) => withClaim(token, path, value))]);
  }
  return tokens.map((claims) => (Object.keys(claims).length === 0 ? {} : { claims }));
}

/** One thing that is asked of a text in the claims. */
interface ClaimQuestion {
  readonly path: Path;
  readonly values: readonly string[];
}

function questionsOf(claim: Path | null, values: readonly string[]): readonly ClaimQuestion[] {
  if (claim !== null) return [{ path: claim, values }];
  return values.map(splitUser).flatMap(({ issuer, subject }) => [
    { path: ["iss"], values: [issuer] },
    { path: ["sub"], values: [subject] },
  ]);
}

/** A text, or a list of them, for each set of questions that can be answered with yes together. */
function textsOf(questions: readonly ClaimQuestion[], isText: boolean, budget: Budget): readonly JsonValue[] | null {
  const languages = questions.map(({ values }) => values.map((value) => patternOf(value)));
  const examples = examplesOf(languages, CLAIM_TEXTS, budget);
  if (examples === null || isText) return examples;
  const matchers = questions.map(({ values }) => compileText(values));
  const found = new Map<string, readonly string[]>(examples.map((text) => [answersTo([text], matchers), [text]]));
  // Grows while it is walked: a queue.
  for (const list of found.values()) {
    for (const text of examples) {
      const longer = [...list, text];
      const answers = answersTo(longer, matchers);
      if (!found.has(answers)) found.set(answers, longer);
    }
    if (found.size > LIMITS.policyAnalysisClaimsMax) return null;
  }
  return [...found.values()].map((list) => (list.length === 1 ? list[0]! : list));
}

function answersTo(texts: readonly string[], matchers: readonly TextMatcher[]): string {
  return matchers.map((matcher) => (texts.some((text) => matchesText(matcher, text)) ? "y" : "n")).join("");
}

/** Empty: where the path leads through a text, there is nothing in it. */
function withClaim(token: JsonObject, path: Path, value: JsonValue): readonly JsonObject[] {
  const [name, ...rest] = path;
  const there = Object.hasOwn(token, name!) ? token[name!] : undefined;
  if (rest.length === 0) return there === undefined ? [{ ...token, [name!]: value }] : [];
  if (there !== undefined && !isJsonObject(there)) return [];
  return withClaim(there ?? {}, rest, value).map((inner) => ({ ...token, [name!]: inner }));
}
