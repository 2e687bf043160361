import { type PeerTest, type PeerView, type RequestTest, readPeer, requestTestHolds } from "./clause-test.ts";
import type { CompiledOperation, CompiledPolicy, CompiledRule, RuleTable } from "./compile.ts";
import type { Decision } from "./decision.ts";
import type { PeerFacts, RequestFacts } from "./facts.ts";

export type { CompiledPolicy } from "./compile.ts";
export { type Decision, type DecisionReason, MESH_DEFAULT_POLICY, POLICY_NOT_LOADED } from "./decision.ts";
export type { PeerFacts, RequestFacts } from "./facts.ts";

/** A compiled policy with all decided that the peer alone decides. Made once a connection, asked for each request. */
export interface BoundPolicy {
  readonly deny: readonly BoundRule[];
  readonly allow: readonly BoundRule[];
  readonly otherwise: Decision;
}

/** A rule whose clauses on the peer hold. Matches when one alternative and all of `when` do. */
interface BoundRule {
  readonly decision: Decision;
  readonly alternatives: readonly (readonly RequestTest[])[];
  readonly when: readonly RequestTest[];
}

/** Decides one HTTP request of a peer: DENY rules first, then ALLOW rules, then the default. Pure. */
export function decideRequest(policy: CompiledPolicy, peer: PeerFacts, request: RequestFacts): Decision {
  return decideBound(bindPeer(policy, peer), request);
}

/** Decides a connection that carries something other than HTTP. Pure. */
export function decideTcp(policy: CompiledPolicy, peer: PeerFacts): Decision {
  const view = readPeer(peer);
  return firstForTcp(policy.deny, view) ?? firstForTcp(policy.allow, view) ?? policy.otherwise;
}

/** Leaves of a policy what the peer cannot decide; for `decideBound`. */
export function bindPeer(policy: CompiledPolicy, peer: PeerFacts): BoundPolicy {
  const view = readPeer(peer);
  return { deny: bindRules(policy.deny, view), allow: bindRules(policy.allow, view), otherwise: policy.otherwise };
}

/** Decides one HTTP request of a bound peer. Allocates nothing. */
export function decideBound(bound: BoundPolicy, request: RequestFacts): Decision {
  return firstForRequest(bound.deny, request) ?? firstForRequest(bound.allow, request) ?? bound.otherwise;
}

function firstForRequest(rules: readonly BoundRule[], request: RequestFacts): Decision | null {
  for (const rule of rules) {
    if (requestTestsHold(rule.when, request) && someAlternativeHolds(rule.alternatives, request)) return rule.decision;
  }
  return null;
}

function someAlternativeHolds(alternatives: readonly (readonly RequestTest[])[], request: RequestFacts): boolean {
  for (const tests of alternatives) if (requestTestsHold(tests, request)) return true;
  return false;
}

function requestTestsHold(tests: readonly RequestTest[], request: RequestFacts): boolean {
  for (const test of tests) if (!requestTestHolds(test, request)) return false;
  return true;
}

const ANY_OPERATION: readonly (readonly RequestTest[])[] = [[]];

function bindRules(table: RuleTable, view: PeerView): readonly BoundRule[] {
  const bound: BoundRule[] = [];
  for (const position of candidates(table, view)) {
    const rule = table.rules[position]!;
    if (!peerFits(rule, view)) continue;
    const alternatives = rule.to === null ? ANY_OPERATION : operationsFor(rule.to, view);
    if (alternatives.length === 0) continue;
    bound.push({ decision: rule.decision, alternatives, when: rule.whenRequest });
    // Nothing after a rule that every request matches is ever reached.
    if (rule.whenRequest.length === 0 && alternatives.some((tests) => tests.length === 0)) break;
  }
  return bound;
}

function firstForTcp(table: RuleTable, view: PeerView): Decision | null {
  for (const position of candidates(table, view)) {
    const rule = table.rules[position]!;
    if (!rule.canMatchTcp || !peerFits(rule, view)) continue;
    if (rule.to === null || operationsFor(rule.to, view).length > 0) return rule.decision;
  }
  return null;
}

/** Positions of the rules that may match the peer, in order: those that name it and those that name nobody. */
function candidates(table: RuleTable, view: PeerView): readonly number[] {
  const named = view.principal === null ? undefined : table.byPrincipal.get(view.principal);
  if (named === undefined) return table.rest;
  return table.rest.length === 0 ? named : [...named, ...table.rest].toSorted((a, b) => a - b);
}

function peerFits(rule: CompiledRule, view: PeerView): boolean {
  return (
    peerTestsHold(rule.whenPeer, view) && (rule.from === null || rule.from.some((tests) => peerTestsHold(tests, view)))
  );
}

function operationsFor(to: readonly CompiledOperation[], view: PeerView): readonly (readonly RequestTest[])[] {
  return to.filter((operation) => peerTestsHold(operation.peer, view)).map((operation) => operation.request);
}

function peerTestsHold(tests: readonly PeerTest[], view: PeerView): boolean {
  for (const test of tests) if (!test(view)) return false;
  return true;
}
