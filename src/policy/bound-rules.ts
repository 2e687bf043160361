import { LIMITS } from "../core/limits.ts";
import { type PeerView, type RequestTest, requestTestHolds } from "./clause-test.ts";
import type { RuleDecision } from "./decision.ts";
import type { RequestFacts } from "./facts.ts";
import type { LayeredTable } from "./layered-table.ts";
import { buildTree } from "./lookup/decision-tree.ts";
import { allFits, firstFit, type Search } from "./lookup/search-tree.ts";
import { PEER_CHECKS } from "./peer-lookup.ts";
import { REQUEST_TESTS } from "./request-lookup.ts";
import type { Candidate, PeerCondition, RequestTree, RuleTable } from "./rule-table.ts";

/** What a table's rules leave to be asked of the requests of some peers, layer by layer. */
export type BoundRules = readonly BoundLayer[];

interface BoundLayer {
  readonly rules: SharedRules;
  readonly search: CandidateSearch;
}

type CandidateSearch = Search<Candidate, RequestTest, RequestFacts>;

/** Peers that fulfil the same conditions share it, as long as there is the table. */
interface SharedRules {
  readonly conditions: readonly PeerCondition[];
  /** Trees of the conditions, made when the first request comes. */
  trees: readonly RequestTree[] | null;
}

/** So many conditions' own trees are asked one after the other; what is more is put together. */
const OWN_TREES_MAX = 4;

const ALL_COUNT: CandidateSearch = { holds: requestTestHolds, counts: null };

/** Decides of a table all that the peer alone decides. Once a peer. */
export function bindRules({ base, gone, added }: LayeredTable, peer: PeerView): BoundRules {
  const search =
    gone === null ? ALL_COUNT : { ...ALL_COUNT, counts: ({ decision }: Candidate) => !gone.has(decision.policy) };
  const layers = [{ rules: rulesFor(base, peer), search }];
  if (added !== null) layers.push({ rules: rulesFor(added, peer), search: ALL_COUNT });
  return layers.filter(({ rules }) => rules.conditions.length > 0);
}

/** The decision of the first rule that the request fits, or null. Per request. */
export function firstMatch(bound: BoundRules, request: RequestFacts): RuleDecision | null {
  let first: Candidate | null = null;
  for (const { rules, search } of bound) {
    const trees = rules.trees ?? (rules.trees = treesOf(rules.conditions));
    for (const tree of trees) first = firstFit(tree, request, search, first);
  }
  return first === null ? null : first.decision;
}

/** The same for bytes that are not HTTP. */
export function firstForTcp(bound: BoundRules): RuleDecision | null {
  let first: Candidate | null = null;
  for (const { rules, search } of bound) {
    for (const { candidates } of rules.conditions) {
      const own = candidates.find((each) => each.canMatchTcp && (search.counts?.(each) ?? true));
      if (own !== undefined && (first === null || own.order < first.order)) first = own;
    }
  }
  return first === null ? null : first.decision;
}

const shared = new WeakMap<RuleTable, Map<string, SharedRules>>();

function rulesFor(table: RuleTable, peer: PeerView): SharedRules {
  const fulfilled = allFits(table.byPeer, peer, PEER_CHECKS).map(({ condition }) => condition);
  const conditions = [...new Set(fulfilled)].toSorted((a, b) => a.index - b.index);
  const kept = shared.get(table) ?? new Map<string, SharedRules>();
  shared.set(table, kept);
  const key = conditions.map(({ index }) => index).join();
  const known = kept.get(key);
  if (known !== undefined) return known;
  if (kept.size >= LIMITS.peerBindingsMax) kept.clear();
  const rules = { conditions, trees: null };
  kept.set(key, rules);
  return rules;
}

function treesOf(conditions: readonly PeerCondition[]): readonly RequestTree[] {
  const bySize = conditions
    .filter(({ tree }) => tree !== null)
    .toSorted((a, b) => b.candidates.length - a.candidates.length);
  const own = new Set(bySize.slice(0, OWN_TREES_MAX));
  const others = conditions.filter((condition) => !own.has(condition)).flatMap(({ candidates }) => candidates);
  const trees = [...own].map(({ tree }) => tree!);
  return others.length === 0 ? trees : [...trees, buildTree(others, REQUEST_TESTS)];
}
