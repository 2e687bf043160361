import type { Clause, Clauses } from "./clause.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { Rule } from "./rule.ts";

/**
 * A rule as everybody reads it who asks whether it matches: the compiler, the interpreter, explanations and analyses.
 * It holds when all literals of one of `sources`, of one of `operations`, and of `conditions` do.
 */
export interface NormalRule {
  readonly policy: AuthorizationPolicy;
  readonly rule: Rule;
  /** Never empty; an empty one holds for everybody. */
  readonly sources: readonly Literals[];
  /** Never empty; an empty one holds for everything. */
  readonly operations: readonly Literals[];
  readonly conditions: Literals;
}

export type Literals = readonly Literal[];

/** A clause with all that its meaning depends on besides the mesh's settings. */
export interface Literal {
  readonly clause: Clause;
  readonly policy: AuthorizationPolicy;
  /** The clauses that hold together with this one name trust domains themselves. */
  readonly namesTrustDomains: boolean;
}

/** A policy's rule in its normal form. */
export function normalRule(policy: AuthorizationPolicy, rule: Rule): NormalRule {
  const { from, to, when } = rule;
  const isNamedByAll = namesTrustDomains(when);
  const literals = (clauses: Clauses, isNamed: boolean): Literals =>
    clauses.map((clause) => ({ clause, policy, namesTrustDomains: isNamed }));
  return {
    policy,
    rule,
    sources: (from ?? [[]]).map((source) => literals(source, isNamedByAll || namesTrustDomains(source))),
    operations: (to ?? [[]]).map((operation) => literals(operation, isNamedByAll)),
    conditions: literals(when, isNamedByAll),
  };
}

/** All that a rule's clauses say, alternatives beside each other. */
export function clausesOf({ from, to, when }: Rule): Clauses {
  return [...(from ?? []).flat(), ...(to ?? []).flat(), ...when];
}

/** Whether clauses that hold together say themselves which trust domains they mean. */
function namesTrustDomains(clauses: Clauses): boolean {
  return clauses.some((clause) => clause.attribute === "source.trustDomain" && !clause.isNegated);
}
