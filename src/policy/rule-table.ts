import type { Steps } from "../core/slices.ts";
import { needsHttp } from "./attributes.ts";
import { compilePeerTest, compileRequestTest, type PeerView, type RequestTest } from "./clause-test.ts";
import { type Decision, type RuleDecision, ruleDecision } from "./decision.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { RequestFacts } from "./facts.ts";
import { growTree, type Tree } from "./lookup/decision-tree.ts";
import type { Entry } from "./lookup/lookup.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { clausesOf, type Literals, normalRule } from "./normal-form.ts";
import { PEER_CHECKS, type PeerCheck, peerCheck } from "./peer-lookup.ts";
import { REQUEST_TESTS } from "./request-lookup.ts";
import type { Rule } from "./rule.ts";

/** The rules of one action. A peer finds the conditions that it fulfils, and these have what is left to ask of its requests. */
export interface RuleTable {
  /** What each rule decides, in their order. */
  readonly rules: readonly Decision[];
  /** Where in `rules` each policy begins. */
  readonly places: ReadonlyMap<AuthorizationPolicy, { readonly first: number }>;
  readonly byPeer: Tree<PeerWay, PeerView>;
}

/** One way to fulfil a condition on peers. Its order is the condition's number. */
export interface PeerWay extends Entry<PeerCheck> {
  readonly condition: PeerCondition;
}

/** What rules ask of a peer; rules that ask the same share it. */
export interface PeerCondition {
  readonly index: number;
  /** In the order of the rules. */
  readonly candidates: readonly Candidate[];
  /** The same as a tree, where they are many; shared by all peers that fulfil the condition. */
  readonly tree: RequestTree | null;
}

export type RequestTree = Tree<Candidate, RequestFacts>;

/** One way for a rule to match, of which only the request has still to be asked. Its order is the rule's place. */
export interface Candidate extends Entry<RequestTest> {
  readonly decision: RuleDecision;
  /** On bytes that are not HTTP an ALLOW rule with an HTTP clause never matches; of any other only that clause is dropped. */
  readonly canMatchTcp: boolean;
}

/** Rules compiled between two looks at the clock. */
const RULES_PER_LOOK = 16;
/** From so many on a condition has a tree of its own; fewer are put together with a peer's others. */
const OWN_TREE_MIN = 64;

/** Compiles the policies of one action, in the order in which they are reported. `orders`: other than 0, 1, 2 …, but rising. */
export function* compileTable(
  policies: readonly AuthorizationPolicy[],
  settings: MeshSettings,
  orders: readonly number[] | null = null,
): Steps<RuleTable> {
  const conditions = new Map<string, OpenCondition>();
  const rules: Decision[] = [];
  const places = new Map<AuthorizationPolicy, { readonly first: number }>();
  for (const policy of policies) {
    places.set(policy, { first: rules.length });
    for (const rule of policy.rules) {
      const decision = ruleDecision(policy.action === "DENY" ? "DENY" : "ALLOW", policy, rule.index);
      const position = rules.push(decision) - 1;
      addRule({ policy, rule, settings, order: orders?.[position] ?? position, decision }, conditions);
      if (position % RULES_PER_LOOK === RULES_PER_LOOK - 1) yield;
    }
  }
  const ways: PeerWay[] = [];
  for (const { checks, candidates } of conditions.values()) {
    const tree = candidates.length < OWN_TREE_MIN ? null : yield* growTree(candidates, REQUEST_TESTS);
    const condition = { index: ways.length, candidates, tree };
    for (const tests of checks()) ways.push({ order: condition.index, tests, condition });
  }
  return { rules, places, byPeer: yield* growTree(ways, PEER_CHECKS) };
}

interface OpenCondition {
  readonly checks: () => readonly (readonly PeerCheck[])[];
  readonly candidates: Candidate[];
}

interface RulePlace {
  readonly policy: AuthorizationPolicy;
  readonly rule: Rule;
  readonly settings: MeshSettings;
  readonly order: number;
  readonly decision: RuleDecision;
}

function addRule({ policy, rule, settings, order, decision }: RulePlace, conditions: Map<string, OpenCondition>): void {
  const { sources, operations, conditions: always } = normalRule(policy, rule);
  const canMatchTcp = policy.action !== "ALLOW" || !clausesOf(rule).some((clause) => needsHttp(clause.attribute));
  const whenTests = requestTests(always);
  for (const alike of sourcesByRequest(sources)) {
    const ofPeer = alike.map((source) => source.filter(isOfPeer));
    const sourceTests = requestTests(alike[0]!);
    for (const operation of operations) {
      const rest = [...operation, ...always].filter(isOfPeer);
      const key = JSON.stringify([ofPeer.map(keysOf), keysOf(rest)]);
      const condition = conditions.get(key) ?? {
        checks: () => ofPeer.map((source) => peerChecks([...source, ...rest], settings)),
        candidates: [],
      };
      conditions.set(key, condition);
      const tests = [...requestTests(operation), ...sourceTests, ...whenTests];
      condition.candidates.push({ order, decision, canMatchTcp, tests });
    }
  }
}

/** Sources that ask the same of a request, which nearly always is nothing: such differ in whom they take alone. */
function sourcesByRequest(sources: readonly Literals[]): Iterable<readonly Literals[]> {
  if (sources.every((source) => source.every(isOfPeer))) return [sources];
  return Map.groupBy(sources, askedOfRequest).values();
}

function askedOfRequest(source: Literals): string {
  const asked = source.filter((literal) => !isOfPeer(literal));
  return JSON.stringify(asked.map(({ clause }) => [clause.attribute, clause.isNegated, clause.values]));
}

/**
 * Equal for literals that hold for the same peers: those of a table are of one action, and what else widens a literal, a
 * clause that names trust domains, is another literal of the same key.
 */
function keysOf(literals: Literals): readonly unknown[] {
  return literals.map(({ clause, policy }) => {
    // Where accounts are written without a namespace, the policy's own is meant.
    const namespace = clause.attribute === "source.serviceAccount" ? policy.namespace : "";
    return [clause.attribute, clause.isNegated, namespace, clause.values];
  });
}

function isOfPeer({ clause }: Literals[number]): boolean {
  return !needsHttp(clause.attribute);
}

function peerChecks(literals: Literals, settings: MeshSettings): readonly PeerCheck[] {
  return literals.flatMap((literal) => {
    const { attribute } = literal.clause;
    if (needsHttp(attribute)) return [];
    const holds = compilePeerTest(literal.clause, attribute, { ...literal, settings });
    return [peerCheck(literal, attribute, holds, settings)];
  });
}

function requestTests(literals: Literals): readonly RequestTest[] {
  return literals.flatMap(({ clause, policy }) => {
    const { attribute } = clause;
    return needsHttp(attribute) ? [compileRequestTest(clause, attribute, policy)] : [];
  });
}
