import type { Clause } from "./clause.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { Question } from "./facts.ts";
import { type ClauseFinding, findingOf } from "./finding.ts";
import { checkRule, type RulePlace } from "./rule-check.ts";
import { isEnforcedAs, selectPolicies } from "./select.ts";

/** The ALLOW rule that came closest to matching. */
export interface NearestRule {
  readonly policy: string;
  readonly rule: number;
  readonly file: string;
  readonly line: number | null;
  /** The first clause that kept the rule from matching. */
  readonly clause: ClauseFinding;
  /** All of them. */
  readonly failing: readonly ClauseFinding[];
}

/**
 * The ALLOW rule with the fewest failing clauses; of equals one whose source fits, since who calls is the last thing
 * to change; then the first. Null when no ALLOW rule selects the workload.
 */
export function nearestRule(documents: readonly AuthorizationPolicy[], question: Question): NearestRule | null {
  let nearest: NearRule | null = null;
  for (const policy of selectPolicies(documents, question.workload, question.settings.rootNamespace)) {
    if (!isEnforcedAs("ALLOW", policy)) continue;
    for (const rule of policy.rules) {
      const failing = checkRule({ policy, rule }, question).filter((check) => !check.holds);
      const candidate = { policy, rule, failing: failing.map((check) => check.clause) };
      const isNearer = nearest === null || distanceOf(candidate) < distanceOf(nearest);
      if (failing.length > 0 && isNearer) nearest = candidate;
    }
  }
  return nearest === null ? null : describeNearest(nearest, question);
}

interface NearRule extends RulePlace {
  readonly failing: readonly Clause[];
}

/** A clause counts one, and one on the source a little more: less than one, however many of them there are. */
function distanceOf({ failing }: NearRule): number {
  const sources = failing.filter(
    ({ attribute }) => attribute.startsWith("source.") || attribute === "request.auth.principal",
  );
  return failing.length + sources.length / (failing.length + 1);
}

function describeNearest(nearest: NearRule, question: Question): NearestRule {
  const { policy, rule, failing } = nearest;
  // What is known to have failed first: the others may have held.
  const findings = failing
    .map((clause) => findingOf(clause, question))
    .toSorted((a, b) => Number(a.isUnknown ?? false) - Number(b.isUnknown ?? false));
  return { policy: policy.id, rule: rule.index, ...rule.source, clause: findings[0]!, failing: findings };
}
