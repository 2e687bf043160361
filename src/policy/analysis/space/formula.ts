import { needsHttp } from "../../attributes.ts";
import type { Clause } from "../../clause.ts";
import {
  type ClauseContext,
  compilePeerTest,
  compileRequestTest,
  readPeer,
  requestTestHolds,
} from "../../clause-test.ts";
import type { AuthorizationPolicy } from "../../document.ts";
import type { MeshSettings } from "../../mesh-settings.ts";
import { clausesOf, type Literals, normalRule } from "../../normal-form.ts";
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

/** On bytes that are not HTTP a DENY rule's clauses about HTTP are dropped; compile-table.ts, `canMatchTcp`. */
function formulaOf(rule: Rule, policy: AuthorizationPolicy, settings: MeshSettings, protocol: Protocol): Formula {
  const { sources, operations, conditions } = normalRule(policy, rule);
  const term = (literals: Literals): Term =>
    literals
      .filter(({ clause }) => protocol === "http" || !needsHttp(clause.attribute))
      .map((literal) => {
        const context = { ...literal, settings };
        return { clause: literal.clause, context, holds: testOf(literal.clause, context) };
      });
  return { policy, rule, groups: [sources.map(term), operations.map(term), [term(conditions)]] };
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
export function asksHttp(rule: Rule): boolean {
  return clausesOf(rule).some((clause) => needsHttp(clause.attribute));
}
