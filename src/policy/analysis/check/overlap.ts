import type { Attribute } from "../../attributes.ts";
import type { Clauses } from "../../clause.ts";
import type { Rule } from "../../rule.ts";

/**
 * False only when no request can match both: each names exact values of the same thing, and none of them is the other's.
 * A quick look, so that rules for other callers and ports need not be looked at in earnest.
 */
export function mayOverlap(a: Rule, b: Rule): boolean {
  return (
    mayShare("source.principal", a.from, b.from) &&
    mayShare("destination.port", a.to, b.to) &&
    mayShare("request.method", a.to, b.to)
  );
}

type Alternatives = readonly Clauses[] | null;

function mayShare(attribute: Attribute, a: Alternatives, b: Alternatives): boolean {
  const [ones, others] = [exactValues(attribute, a), exactValues(attribute, b)];
  return ones === null || others === null || [...ones].some((value) => others.has(value));
}

/** Null where an alternative does not ask, or by a pattern. */
function exactValues(attribute: Attribute, alternatives: Alternatives): ReadonlySet<string> | null {
  if (alternatives === null) return null;
  const values = new Set<string>();
  for (const clauses of alternatives) {
    const clause = clauses.find((each) => each.attribute === attribute && !each.isNegated);
    if (clause === undefined || clause.values.some((value) => value.includes("*"))) return null;
    for (const value of clause.values) values.add(attribute === "source.principal" ? withoutDomain(value) : value);
  }
  return values;
}

/** Aliases make several domains one; what stands behind them is the same in all. */
function withoutDomain(principal: string): string {
  return principal.slice(principal.indexOf("/") + 1);
}
