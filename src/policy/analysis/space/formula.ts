import { needsHttp } from "../../attributes.ts";
import type { Clause, Clauses } from "../../clause.ts";
import {
  type ClauseContext,
  compilePeerTest,
  compileRequestTest,
  contextFor,
  readPeer,
  requestTestHolds,
} from "../../clause-test.ts";
import type { AuthorizationPolicy } from "../../document.ts";
import type { MeshSettings } from "../../mesh-settings.ts";
import type { Rule } from "../../rule.ts";
import { type Facts, peerOf, type Protocol, requestOf } from "./facts.ts";

/** A rule as the analyses read it: true when of each group one term is. Terms are what stands in one `source` or `operation`. */
export interface Formula {
  readonly policy: AuthorizationPolicy;
  readonly rule: Rule;
  readonly groups: readonly (readonly Term[])[];
}

/** Tests that must all hold. */
export type Term = readonly Test[];

export interface Test {
  readonly clause: Clause;
  readonly context: ClauseContext;
  /** Asks of the facts what the clause does, by the code that enforces it. */
  readonly holds: (facts: Facts) => boolean;
}

/** A policy's rules; those that cannot match on the protocol are left out. */
export function formulasOf(
  policy: AuthorizationPolicy,
  settings: MeshSettings,
  protocol: Protocol,
): readonly Formula[] {
  return policy.rules.flatMap((rule) => {
    const canMatch = protocol === "http" || policy.action === "DENY" || !asksHttp(rule);
    return canMatch ? [formulaOf(rule, policy, settings, protocol)] : [];
  });
}

/** On bytes that are not HTTP a DENY rule's clauses about HTTP are dropped; compile.ts, `canMatchTcp`. */
function formulaOf(rule: Rule, policy: AuthorizationPolicy, settings: MeshSettings, protocol: Protocol): Formula {
  const term = (clauses: Clauses, context: ClauseContext): Term =>
    clauses
      .filter((clause) => protocol === "http" || !needsHttp(clause.attribute))
      .map((clause) => ({ clause, context, holds: testOf(clause, context) }));
  const base = contextFor(policy, settings, [rule.when]);
  const from = rule.from?.map((source) => term(source, contextFor(policy, settings, [rule.when, source])));
  const to = rule.to?.map((operation) => term(operation, base));
  const groups = [from ?? [[]], to ?? [[]], [term(rule.when, base)]];
  return { policy, rule, groups };
}

function testOf(clause: Clause, context: ClauseContext): Test["holds"] {
  const { attribute } = clause;
  if (needsHttp(attribute)) {
    const test = compileRequestTest(clause, attribute, context.policy);
    return (facts) => requestTestHolds(test, requestOf(facts));
  }
  const test = compilePeerTest(clause, attribute, context);
  return (facts) => test(readPeer(peerOf(facts)));
}

/** Whether the rule says something of requests, which other bytes do not have. */
export function asksHttp({ from, to, when }: Rule): boolean {
  return [...(from ?? []), ...(to ?? []), when].flat().some((clause) => needsHttp(clause.attribute));
}
