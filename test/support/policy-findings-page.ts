import { POLICY_FINDINGS } from "../../src/policy/analysis/check/finding-table.ts";
import { page, table } from "./markdown-page.ts";

/** What `cardea policy check` warns of, from its table. */
export function policyFindingsPage(): string {
  const rows = Object.entries(POLICY_FINDINGS).map(([code, { means, mend }]) => [`\`${code}\``, means, mend]);
  const intro = [
    "What `cardea policy check` warns of in AuthorizationPolicies, and the validating webhook in its warnings. The policies are",
    "valid; they mean something else than they seem to. What is said of rules holds for all requests: it is worked out over",
    "every kind of request that the clauses can tell apart, and where that is too much nothing is said. With `--strict` a",
    "warning makes the exit code 1. What names workloads, ports and providers needs `--mesh`.",
  ];
  return page("Findings in policies", "src/policy/analysis/check/finding-table.ts", intro, [
    table(["code", "what it means", "how to mend it"], rows),
  ]);
}
