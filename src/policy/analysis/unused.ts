import type { Clause } from "../clause.ts";
import type { AuthorizationPolicy } from "../document.ts";
import type { Question } from "../facts.ts";
import { ruleMatches } from "../interpret.ts";
import type { MeshSettings } from "../mesh-settings.ts";
import type { Rule } from "../rule.ts";
import { isEnforcedAs, selectPolicies } from "../select.ts";
import { questionOf } from "./observed-question.ts";
import type { Observation } from "./suggest.ts";

/** When a grant was last needed: a rule of an ALLOW policy, or a part of one that could be taken out alone. */
export interface GrantUse {
  readonly policy: string;
  readonly rule: number;
  readonly file: string;
  readonly line: number | null;
  /** Null: the rule as a whole. Else the field and value, e.g. `spec.rules[0].from[0].source.principals[1]`. */
  readonly field: string | null;
  readonly value: string | null;
  readonly count: number;
  /** Null: nothing that was seen needs it. */
  readonly lastMs: number | null;
}

/**
 * Of every ALLOW rule in force, and of each of its callers, methods, paths and ports where it names several, how often and
 * when it was last needed for what was seen. A request that two rules allow uses both.
 */
export function grantUses(
  documents: readonly AuthorizationPolicy[],
  observations: readonly Observation[],
  settings: MeshSettings,
): readonly GrantUse[] {
  const seen = observations.map((observation) => ({ observation, question: questionOf(observation, settings) }));
  return documents
    .filter((policy) => isEnforcedAs("ALLOW", policy))
    .flatMap((policy) => {
      const mine = seen.filter(
        ({ question }) => selectPolicies([policy], question.workload, settings.rootNamespace).length > 0,
      );
      return policy.rules.flatMap((rule) => usesOf(rule, policy, mine));
    });
}

interface Seen {
  readonly observation: Observation;
  readonly question: Question;
}

function usesOf(rule: Rule, policy: AuthorizationPolicy, seen: readonly Seen[]): readonly GrantUse[] {
  const matching = seen.filter(({ question }) => ruleMatches(rule, policy, question));
  const head = { policy: policy.id, rule: rule.index, ...rule.source };
  const whole = { ...head, field: null, value: null, ...useOf(matching) };
  // Of a rule that nothing needs its parts need not be told.
  if (matching.length === 0) return [whole];
  const parts = partsOf(rule).map(({ field, value, line, only }) => ({
    ...head,
    line,
    field,
    value,
    ...useOf(matching.filter(({ question }) => ruleMatches(only, policy, question))),
  }));
  return [whole, ...parts];
}

function useOf(seen: readonly Seen[]): Pick<GrantUse, "count" | "lastMs"> {
  const count = seen.reduce((sum, { observation }) => sum + observation.count, 0);
  const last = seen.reduce((most, { observation }) => Math.max(most, observation.lastMs), -1);
  return { count, lastMs: last < 0 ? null : last };
}

interface Part {
  readonly field: string;
  readonly value: string;
  readonly line: number | null;
  /** The rule with this value alone in its list, and the other sources or operations left out. */
  readonly only: Rule;
}

/** The values of lists that grant, where there is another in the same list or another alternative beside it. */
function partsOf(rule: Rule): readonly Part[] {
  return (["from", "to"] as const).flatMap((group) =>
    (rule[group] ?? []).flatMap((clauses) =>
      clauses
        .filter(({ isNegated }) => !isNegated)
        .flatMap((clause) => {
          const isAlone = clause.values.length === 1 && (rule[group]?.length === 1 || clauses.length > 1);
          if (isAlone) return [];
          return clause.values.map((value, i) => {
            const one: Clause = { ...clause, values: [value] };
            const only = { ...rule, [group]: [clauses.map((each) => (each === clause ? one : each))] };
            return { field: `${clause.field}[${i}]`, value, line: clause.line, only };
          });
        }),
    ),
  );
}
