import { CardeaError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import { requestPrincipalOf, withWordLists } from "../policy/claims.ts";
import { TOKEN_REASONS } from "../policy/decision.ts";
import {
  findTokens,
  type FoundToken,
  looksInto,
  type Place,
  placesOf,
  removeTokens,
  withoutFields,
} from "../policy/authentication/find-tokens.ts";
import { outputFieldsOf, outputNamesOf } from "../policy/authentication/output-headers.ts";
import { parseToken, refused } from "../policy/authentication/token.ts";
import { isWithinTime, type TokenRule, verifyToken } from "../policy/authentication/verify-token.ts";
import type { AdmissionStep, AskedRequest, StepAnswer } from "./admission-steps.ts";
import { type VerifiedToken, VerifiedTokens } from "./verified-tokens.ts";
import { unauthenticated } from "./unauthenticated.ts";

/**
 * Learns of the end user by the tokens that a request brings (RequestAuthentication). A request without one passes and has
 * no principal; one with a token that no rule vouches for does not pass at all. One object for each policy set, with the
 * tokens that its keys have verified.
 */
export class AuthenticateStep implements AdmissionStep {
  readonly #rules: readonly TokenRule[];
  readonly #places: readonly Place[];
  /** Fields that say what a token said: the caller's own are never passed on. */
  readonly #outputs: ReadonlySet<string>;
  readonly #required: readonly TokenRule[];
  readonly #verified = new VerifiedTokens();
  readonly #clock: Clock;

  /** `rules` in the order in which they are tried: by issuer, as Istio has it. */
  constructor(rules: readonly TokenRule[], clock: Clock) {
    this.#rules = rules;
    this.#places = placesOf(rules.map(({ rule }) => rule));
    this.#outputs = outputNamesOf(rules.map(({ rule }) => rule));
    this.#required = rules.filter(({ rule }) => rule.isRequired);
    this.#clock = clock;
  }

  ask(asked: AskedRequest): StepAnswer | Promise<StepAnswer> {
    return this.#authenticate(asked, (found) => found);
  }

  /** A token that has ended since the request came is none any more; all else is as for a request that comes now. */
  identifyAgain(asked: AskedRequest): StepAnswer | Promise<StepAnswer> {
    return this.#authenticate(asked, (found) => found.filter(({ text }) => !this.#hasEnded(text)));
  }

  #authenticate(asked: AskedRequest, choose: (found: readonly FoundToken[]) => readonly FoundToken[]) {
    try {
      const found = choose(findTokens(this.#places, asked));
      asked.userFields = this.#outputs;
      asked.headers = withoutFields(asked.headers, this.#outputs);
      if (found.length === 0) return this.#withoutToken(asked);
      this.#assertOneToken(found);
      const known = found.map((each) => this.#knownAt(each));
      if (known.every((each) => each !== null)) return this.#pass(asked, found, known);
      return this.#verifyAll(asked, found, known);
    } catch (thrown) {
      return refusal(asked, thrown);
    }
  }

  /** What cannot be read has no end: it is refused for what it is. */
  #hasEnded(text: string): boolean {
    try {
      const token = this.#verified.get(text)?.token ?? parseToken(text);
      return !isWithinTime(token, this.#clock.wallMs());
    } catch (thrown) {
      if (thrown instanceof CardeaError) return false;
      throw thrown;
    }
  }

  #withoutToken(asked: AskedRequest): StepAnswer {
    if (this.#required.length === 0 || isPreflight(asked)) return null;
    return refusal(asked, new CardeaError("token-missing", "it brings no token, and a rule requires one"));
  }

  /**
   * Which of two tokens an app heeds nobody knows; it might be the one that nobody meant. Where rules require more than one,
   * there are as many at the most as rules.
   */
  #assertOneToken(found: readonly FoundToken[]): void {
    const distinct = new Set(found.map(({ text }) => text)).size;
    if (distinct > Math.max(1, this.#required.length === 0 ? 1 : this.#rules.length))
      throw refused(`there are ${distinct} of them in one request`);
  }

  async #verifyAll(
    asked: AskedRequest,
    found: readonly FoundToken[],
    known: readonly (VerifiedToken | null)[],
  ): Promise<StepAnswer> {
    try {
      // One after the other: they are few, and nearly always one.
      const verified: VerifiedToken[] = [];
      for (const [index, each] of found.entries()) verified.push(known[index] ?? (await this.#verify(each)));
      return this.#pass(asked, found, verified);
    } catch (thrown) {
      return refusal(asked, thrown);
    }
  }

  async #verify({ text, place }: FoundToken): Promise<VerifiedToken> {
    const token = parseToken(text);
    const looking = this.#rules.filter(({ rule }) => looksInto(rule.places, place));
    const by = await verifyToken(token, looking, this.#clock.wallMs());
    const verified = { token, by, claims: withWordLists(token.claims, by.rule.spaceDelimitedClaims) };
    this.#verified.add(text, verified);
    return verified;
  }

  /** A token that was verified before, if it still holds and the rule that vouched for it looks here as well. */
  #knownAt({ text, place }: FoundToken): VerifiedToken | null {
    const known = this.#verified.get(text);
    if (known === null || !isWithinTime(known.token, this.#clock.wallMs())) return null;
    return looksInto(known.by.rule.places, place) ? known : null;
  }

  #pass(asked: AskedRequest, found: readonly FoundToken[], verified: readonly VerifiedToken[]): StepAnswer {
    const used = new Set(verified.map(({ by }) => by));
    if (this.#required.some((each) => !used.has(each)))
      throw new CardeaError("token-missing", "it lacks a token that a rule requires");
    for (const [index, { place }] of found.entries())
      if (!verified[index]!.by.rule.isTokenForwarded) removeTokens(place, asked);
    // Of several the last rule's speaks, as with Istio; each writes its own headers.
    const inOrder = [...new Map(verified.map((each) => [each.by, each])).values()].toSorted(
      (a, b) => this.#rules.indexOf(a.by) - this.#rules.indexOf(b.by),
    );
    asked.userHeaders = inOrder.flatMap(({ token, by }) => outputFieldsOf(token, by.rule));
    asked.headers.push(...asked.userHeaders);
    asked.claims = inOrder.at(-1)?.claims ?? null;
    asked.requestPrincipal = requestPrincipalOf(asked.claims);
    return null;
  }
}

/** What is no verdict on the token is a fault of ours, and refuses the request as such. */
function refusal(asked: AskedRequest, thrown: unknown): StepAnswer {
  const reason = thrown instanceof CardeaError ? TOKEN_REASONS.find((each) => each === thrown.code) : undefined;
  if (reason === undefined) throw thrown;
  return unauthenticated(asked, thrown as CardeaError, reason);
}

/** A browser asks so before it asks with credentials. Fetch, CORS-preflight request. */
function isPreflight({ head, headers }: AskedRequest): boolean {
  if (head.method !== "OPTIONS") return false;
  const names = new Set(headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()));
  return names.has("origin") && names.has("access-control-request-method");
}
