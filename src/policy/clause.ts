import type { Attribute } from "./attributes.ts";

/** Clauses that must all hold. */
export type Clauses = readonly Clause[];

/** One list of a policy, e.g. `notPrincipals: [...]`: holds when one value matches, or, negated, when none does. */
export interface Clause {
  readonly attribute: Attribute;
  /** The header's lower-case name, for `request.headers`. */
  readonly header: string | null;
  /** Where in the token's claims, for `request.auth.claims` and those that mean one of them. */
  readonly claim: readonly string[] | null;
  readonly isNegated: boolean;
  /** As written; never empty. */
  readonly values: readonly string[];
  /** e.g. `spec.rules[0].from[1].source.principals`. */
  readonly field: string;
  readonly line: number | null;
}
