import { type EdgeKey, edgeFactsOf, type Outcome } from "./flow-parts.ts";
import type { DecisionSum } from "./query.ts";

// oxlint-disable-next-line max-params -- An edge, what came of it, how often, and when last.
export function decisionOf(edge: EdgeKey, outcome: Outcome, flows: number, lastMs: number): DecisionSum {
  const { source, destination, protocol, reporter } = edgeFactsOf(edge, 0);
  const { verdict, reason, policy, rule } = outcome;
  return { source, destination, protocol, reporter, verdict, reason, policy, rule, flows, lastMs };
}

/** Of the same edge, verdict and rule one: instances, methods and statuses are not told apart. */
export function addUp(decisions: readonly DecisionSum[]): readonly DecisionSum[] {
  const sums = new Map<string, DecisionSum>();
  for (const { flows, lastMs, ...what } of decisions) {
    const key = JSON.stringify(what);
    const before = sums.get(key);
    sums.set(key, { ...what, flows: flows + (before?.flows ?? 0), lastMs: Math.max(lastMs, before?.lastMs ?? 0) });
  }
  return [...sums.values()];
}
