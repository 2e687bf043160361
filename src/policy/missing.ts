import type { AuthorizationPolicy } from "./document.ts";
import type { Question } from "./facts.ts";
import { checkRule } from "./rule-check.ts";
import { selectPolicies } from "./select.ts";
import { asksForUnrecorded, isUnrecorded, supposedToHold, unrecordedBy } from "./unrecorded.ts";

/**
 * What a record would have to carry for its question to be decided: of the rules that match but for what is not recorded, each
 * with the policy and rule that ask for it.
 */
export function missingFor(documents: readonly AuthorizationPolicy[], question: Question): readonly string[] {
  const { workload, settings } = question;
  const missing = new Set<string>();
  for (const policy of selectPolicies(documents, workload, settings.rootNamespace))
    for (const rule of policy.rules) {
      if (!asksForUnrecorded(rule)) continue;
      if (!checkRule({ policy, rule: supposedToHold(rule) }, question).every(({ holds }) => holds)) continue;
      for (const clause of rule.when)
        if (isUnrecorded(clause)) missing.add(`${unrecordedBy(clause)} (${policy.id} rule ${rule.index})`);
    }
  return [...missing];
}
