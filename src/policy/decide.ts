import { LIMITS } from "../core/limits.ts";
import { bindRules, type BoundRules, firstForTcp, firstMatch } from "./bound-rules.ts";
import { type PeerView, readPeer } from "./clause-test.ts";
import type { CompiledPolicy, DecidingTables, UnenforcedTables } from "./compile.ts";
import type { Decision, RuleDecision } from "./decision.ts";
import type { PeerFacts, RequestFacts } from "./facts.ts";
import type { Observation } from "./observation.ts";

export type { CompiledPolicy } from "./compile.ts";
export { type Decision, POLICY_NOT_LOADED } from "./decision.ts";
export type { PeerFacts, RequestFacts } from "./facts.ts";

/** A compiled policy with all decided that the peer alone decides. Had once a connection, asked for each request. */
export interface BoundPolicy extends BoundTables {
  /** Null: no AUDIT policy and no dry run selects the workload. */
  readonly unenforced: { readonly audit: BoundRules; readonly staged: BoundTables | null } | null;
}

interface BoundTables {
  readonly deny: BoundRules;
  readonly allow: BoundRules;
  readonly otherwise: Decision;
}

/** Decides one HTTP request of a peer: DENY rules first, then ALLOW rules, then the default. */
export function decideRequest(policy: CompiledPolicy, peer: PeerFacts, request: RequestFacts): Decision {
  return decideBound(bindPeer(policy, peer), request);
}

/** Decides a connection that carries something other than HTTP. */
export function decideTcp(policy: CompiledPolicy, peer: PeerFacts): Decision {
  return decideBoundTcp(bindPeer(policy, peer));
}

function decideBoundTcp({ deny, allow, otherwise }: BoundTables): Decision {
  return firstForTcp(deny) ?? firstForTcp(allow) ?? otherwise;
}

/** Decides one HTTP request of a bound peer. */
export function decideBound(bound: BoundTables, request: RequestFacts): Decision {
  return firstMatch(bound.deny, request) ?? firstMatch(bound.allow, request) ?? bound.otherwise;
}

/** What AUDIT policies and dry runs say of a request of which `decided` was decided. */
export function observeBound(bound: BoundPolicy, request: RequestFacts, decided: Decision): Observation | null {
  if (bound.unenforced === null) return null;
  const { audit, staged } = bound.unenforced;
  const wouldBe = staged === null ? decided : decideBound(staged, request);
  return observationOf(firstMatch(audit, request), wouldBe, decided);
}

/** The same of a connection that carries something other than HTTP. */
export function observeTcp(policy: CompiledPolicy, peer: PeerFacts, decided: Decision): Observation | null {
  if (policy.unenforced === null) return null;
  const { audit, staged } = bindPeer(policy, peer).unenforced!;
  return observationOf(firstForTcp(audit), staged === null ? decided : decideBoundTcp(staged), decided);
}

/** Decides a question whose peer is asked about but once, with all that is observed of it. */
export function decideAndObserve(
  policy: CompiledPolicy,
  peer: PeerFacts,
  request: RequestFacts | null,
): { readonly decision: Decision; readonly observation: Observation | null } {
  if (request === null) {
    const decision = decideTcp(policy, peer);
    return { decision, observation: observeTcp(policy, peer, decision) };
  }
  const bound = bindPeer(policy, peer);
  const decision = decideBound(bound, request);
  return { decision, observation: observeBound(bound, request, decision) };
}

function observationOf(mark: RuleDecision | null, wouldBe: Decision, decided: Decision): Observation | null {
  const dryRun = wouldBe.allow === decided.allow ? null : wouldBe;
  if (mark === null) return dryRun === null ? null : { audit: null, dryRun };
  return { audit: { policy: mark.policy, rule: mark.rule }, dryRun };
}

/** Bindings that are kept, for peers that come back. Each goes with its policy. */
const bindings = new WeakMap<CompiledPolicy, Map<string, BoundPolicy>>();

/** Leaves of a policy what the peer cannot decide; for `decideBound`. Peers that no clause can tell apart share one. */
export function bindPeer(policy: CompiledPolicy, peer: PeerFacts): BoundPolicy {
  const kept = bindings.get(policy) ?? new Map<string, BoundPolicy>();
  const key = keyOf(policy, peer);
  const known = kept.get(key);
  if (known !== undefined) return known;
  if (kept.size >= LIMITS.peerBindingsMax) kept.clear();
  const view = readPeer(peer);
  const bound = { ...bindTables(policy, view), unenforced: bindUnenforced(policy.unenforced, view) };
  bindings.set(policy, kept.set(key, bound));
  return bound;
}

/** All that the policy's clauses ask about a peer. A line feed stands in none of the parts but, perhaps, the last. */
function keyOf({ asksFor }: CompiledPolicy, peer: PeerFacts): string {
  const who = `${peer.destinationPort}\n${peer.principal ?? ""}`;
  if (!asksFor.ip && !asksFor.sni) return who;
  const ips = asksFor.ip ? `${peer.sourceIp}\n${peer.remoteIp}\n${peer.destinationIp}` : "";
  return `${who}\n${ips}\n${asksFor.sni ? (peer.sni ?? "") : ""}`;
}

function bindTables({ deny, allow, otherwise }: DecidingTables, view: PeerView): BoundTables {
  return { deny: bindRules(deny, view), allow: bindRules(allow, view), otherwise };
}

function bindUnenforced(tables: UnenforcedTables | null, view: PeerView): BoundPolicy["unenforced"] {
  if (tables === null) return null;
  const { audit, staged } = tables;
  return { audit: bindRules(audit, view), staged: staged === null ? null : bindTables(staged, view) };
}
