import type { Attribute } from "./attributes.ts";
import type { Clause, Clauses } from "./clause.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { Rule } from "./rule.ts";

/**
 * Whether no flow record carries what the clause asks for. Headers may be secrets, and what a token says of a person is that
 * person's affair: of both nothing is recorded but the host and the request's principal.
 */
export function isUnrecorded({ attribute, header }: Clause): boolean {
  return attribute === "request.headers" ? header !== "host" : UNRECORDED.has(attribute);
}

const UNRECORDED: ReadonlySet<Attribute> = new Set([
  "request.auth.audiences",
  "request.auth.presenter",
  "request.auth.claims",
]);

/** What a record lacks for the clause, in words. */
export function unrecordedBy({ attribute, header, claim }: Clause): string {
  return attribute === "request.headers" ? `the header ${header}` : `the claim ${(claim ?? []).join(".")}`;
}

/** Documents as they decide at their strictest and at their most lenient, whatever the record does not carry. */
export interface Bounds {
  readonly strictest: readonly AuthorizationPolicy[];
  readonly mostLenient: readonly AuthorizationPolicy[];
}

/** Null: no rule asks for what a record does not carry, so that the documents decide alone. */
export function boundsOf(documents: readonly AuthorizationPolicy[]): Bounds | null {
  if (!documents.some(({ rules }) => rules.some(asksForUnrecorded))) return null;
  return {
    strictest: documents.map((policy) => assuming(policy, policy.action !== "ALLOW")),
    mostLenient: documents.map((policy) => assuming(policy, policy.action === "ALLOW")),
  };
}

/** Whether a rule asks for what a record does not carry. */
export function asksForUnrecorded(rule: Rule): boolean {
  return rule.when.some(isUnrecorded);
}

/** The rule where all that is not recorded holds. */
export function supposedToHold(rule: Rule): Rule {
  return { ...rule, when: recorded(rule.when) };
}

function assuming(policy: AuthorizationPolicy, holds: boolean): AuthorizationPolicy {
  const rules = holds ? policy.rules.map(supposedToHold) : policy.rules.filter((rule) => !asksForUnrecorded(rule));
  return { ...policy, rules };
}

function recorded(clauses: Clauses): Clauses {
  return clauses.filter((clause) => !isUnrecorded(clause));
}
