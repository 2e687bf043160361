import { LIMITS } from "../core/limits.ts";
import type { PeerView } from "./clause-test.ts";
import type { Decision } from "./decision.ts";
import type { RequestFacts } from "./facts.ts";
import { buildTree } from "./lookup/decision-tree.ts";
import { allFits, firstFit } from "./lookup/search-tree.ts";
import { PEER_CHECKS } from "./peer-lookup.ts";
import { REQUEST_TESTS } from "./request-lookup.ts";
import type { Candidate, PeerCondition, RequestTree, RuleTable } from "./rule-table.ts";

/** What a table's rules leave to be asked of the requests of some peers. Peers that fulfil the same conditions share it. */
export interface BoundRules {
  readonly conditions: readonly PeerCondition[];
  /** Trees of the conditions, made when the first request comes. */
  trees: readonly RequestTree[] | null;
}

/** So many conditions' own trees are asked one after the other; what is more is put together. */
const OWN_TREES_MAX = 4;

const shared = new WeakMap<RuleTable, Map<string, BoundRules>>();

/** Decides of a table all that the peer alone decides. Once a peer. */
export function bindRules(table: RuleTable, peer: PeerView): BoundRules {
  const fulfilled = allFits(table.byPeer, peer, PEER_CHECKS).map(({ condition }) => condition);
  const conditions = [...new Set(fulfilled)].toSorted((a, b) => a.index - b.index);
  const kept = shared.get(table) ?? new Map<string, BoundRules>();
  shared.set(table, kept);
  const key = conditions.map(({ index }) => index).join();
  const known = kept.get(key);
  if (known !== undefined) return known;
  if (kept.size >= LIMITS.peerBindingsMax) kept.clear();
  const bound = { conditions, trees: null };
  kept.set(key, bound);
  return bound;
}

/** The decision of the first rule that the request fits, or null. Per request. */
export function firstMatch(bound: BoundRules, request: RequestFacts): Decision | null {
  const trees = bound.trees ?? (bound.trees = treesOf(bound.conditions));
  let first: Candidate | null = null;
  for (const tree of trees) first = firstFit(tree, request, REQUEST_TESTS, first);
  return first === null ? null : first.decision;
}

/** The same for bytes that are not HTTP. */
export function firstForTcp({ conditions }: BoundRules): Decision | null {
  let first: Candidate | null = null;
  for (const { candidates } of conditions) {
    const own = candidates.find(({ canMatchTcp }) => canMatchTcp);
    if (own !== undefined && (first === null || own.order < first.order)) first = own;
  }
  return first === null ? null : first.decision;
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
