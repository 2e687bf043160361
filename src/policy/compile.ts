import type { Clock } from "../core/ports.ts";
import { runInSlices, runSteps, type Steps } from "../core/slices.ts";
import type { SpiffeId } from "../core/spiffe-id.ts";
import { ATTRIBUTE_TABLE, needsHttp } from "./attributes.ts";
import {
  type ClauseContext,
  compilePeerTest,
  compileRequestTest,
  contextFor,
  type PeerTest,
  type RequestTest,
} from "./clause-test.ts";
import { type Decision, defaultDecision, NO_ALLOW_RULE_MATCHED, ruleDecision } from "./decision.ts";
import type { Clauses } from "./clause.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { Rule } from "./rule.ts";
import type { Workload } from "./facts.ts";
import { exactPrincipals } from "./identity-matcher.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { selectPolicies } from "./select.ts";

/** The policies that select one workload, compiled for deciding. Never changed once made. */
export interface CompiledPolicy extends DecidingTables {
  /** What AUDIT policies and dry runs look at; null where none selects the workload, which then costs nothing. */
  readonly unenforced: UnenforcedTables | null;
  /** What the rules ask about a peer besides its identity and port: peers that differ in nothing else are alike. */
  readonly asksFor: { readonly ip: boolean; readonly sni: boolean };
}

/** All that a decision is made of. */
export interface DecidingTables {
  readonly deny: RuleTable;
  readonly allow: RuleTable;
  /** The decision when no rule matches. */
  readonly otherwise: Decision;
}

export interface UnenforcedTables {
  /** Of its rules' decisions only the names count. */
  readonly audit: RuleTable;
  /** As if the policies in a dry run were enforced beside the others; null where there are none. */
  readonly staged: DecidingTables | null;
}

/** Rules in the order in which they are reported, with an index by the identities that they name exactly. */
export interface RuleTable {
  readonly rules: readonly CompiledRule[];
  /** Positions of the rules that only ever match one of a few identities, by identity. */
  readonly byPrincipal: ReadonlyMap<SpiffeId, readonly number[]>;
  /** Positions of all other rules. */
  readonly rest: readonly number[];
}

export interface CompiledRule {
  readonly decision: Decision;
  /** Null: any source. */
  readonly from: readonly (readonly PeerTest[])[] | null;
  /** Null: any operation. */
  readonly to: readonly CompiledOperation[] | null;
  readonly whenPeer: readonly PeerTest[];
  readonly whenRequest: readonly RequestTest[];
  /** On bytes that are not HTTP an ALLOW rule with an HTTP clause never matches; of any other only that clause is dropped. */
  readonly canMatchTcp: boolean;
}

export interface CompiledOperation {
  readonly peer: readonly PeerTest[];
  readonly request: readonly RequestTest[];
}

/** Rules compiled between two looks at the clock. */
const RULES_PER_LOOK = 32;

/** Compiles the policies that select the workload. The order of the documents does not matter. */
export function compilePolicy(
  documents: readonly AuthorizationPolicy[],
  workload: Workload,
  settings: MeshSettings,
): CompiledPolicy {
  return runSteps(compileSteps(documents, workload, settings));
}

/** The same in slices of at most 5 ms, so that traffic goes on meanwhile. */
export function compileSliced(
  documents: readonly AuthorizationPolicy[],
  workload: Workload,
  settings: MeshSettings,
  clock: Clock,
): Promise<CompiledPolicy> {
  return runInSlices(compileSteps(documents, workload, settings), clock);
}

function* compileSteps(
  documents: readonly AuthorizationPolicy[],
  workload: Workload,
  settings: MeshSettings,
): Steps<CompiledPolicy> {
  const selected = selectPolicies(documents, workload, settings.rootNamespace);
  const tables = yield* decidingTables(
    selected.filter((policy) => !policy.isDryRun),
    settings,
  );
  const unenforced = yield* unenforcedTables(selected, settings);
  return { ...tables, unenforced, asksFor: findQuestions(selected) };
}

function* decidingTables(policies: readonly AuthorizationPolicy[], settings: MeshSettings): Steps<DecidingTables> {
  const deny = yield* compileTable(
    policies.filter((policy) => policy.action === "DENY"),
    settings,
  );
  const allowing = policies.filter((policy) => policy.action === "ALLOW");
  const allow = yield* compileTable(allowing, settings);
  const otherwise = allowing.length === 0 ? defaultDecision(settings.defaultAction) : NO_ALLOW_RULE_MATCHED;
  return { deny, allow, otherwise };
}

function* unenforcedTables(
  selected: readonly AuthorizationPolicy[],
  settings: MeshSettings,
): Steps<UnenforcedTables | null> {
  const auditing = selected.filter((policy) => policy.action === "AUDIT");
  const isAnyStaged = selected.some((policy) => policy.isDryRun);
  if (auditing.length === 0 && !isAnyStaged) return null;
  const audit = yield* compileTable(auditing, settings);
  return { audit, staged: isAnyStaged ? yield* decidingTables(selected, settings) : null };
}

function findQuestions(policies: readonly AuthorizationPolicy[]): CompiledPolicy["asksFor"] {
  const asked = policies.flatMap((policy) => policy.rules.flatMap(clausesOf)).map((clause) => clause.attribute);
  return {
    ip: asked.some((attribute) => ATTRIBUTE_TABLE[attribute].values === "ip"),
    sni: asked.includes("connection.sni"),
  };
}

function* compileTable(policies: readonly AuthorizationPolicy[], settings: MeshSettings): Steps<RuleTable> {
  const rules: CompiledRule[] = [];
  const byPrincipal = new Map<SpiffeId, number[]>();
  const rest: number[] = [];
  for (const policy of policies) {
    for (const rule of policy.rules) {
      const position = rules.push(compileRule(rule, policy, settings)) - 1;
      const principals = principalsOf(rule, settings);
      if (principals === null) rest.push(position);
      for (const principal of principals ?? []) {
        const known = byPrincipal.get(principal);
        if (known === undefined) byPrincipal.set(principal, [position]);
        else known.push(position);
      }
      if (position % RULES_PER_LOOK === RULES_PER_LOOK - 1) yield;
    }
  }
  return { rules, byPrincipal, rest };
}

function compileRule(rule: Rule, policy: AuthorizationPolicy, settings: MeshSettings): CompiledRule {
  const base = contextFor(policy, settings, [rule.when]);
  return {
    decision: ruleDecision(policy.action === "DENY" ? "DENY" : "ALLOW", policy.id, rule.index),
    from: rule.from?.map((source) => peerTests(source, contextFor(policy, settings, [rule.when, source]))) ?? null,
    to:
      rule.to?.map((operation) => ({
        peer: peerTests(operation, base),
        request: requestTests(operation, policy),
      })) ?? null,
    whenPeer: peerTests(rule.when, base),
    whenRequest: requestTests(rule.when, policy),
    canMatchTcp: policy.action !== "ALLOW" || !clausesOf(rule).some((clause) => needsHttp(clause.attribute)),
  };
}

function clausesOf(rule: Rule): Clauses {
  return [...(rule.from ?? []).flat(), ...(rule.to ?? []).flat(), ...rule.when];
}

function peerTests(clauses: Clauses, context: ClauseContext): readonly PeerTest[] {
  return clauses.flatMap((clause) => {
    const { attribute } = clause;
    return needsHttp(attribute) ? [] : [compilePeerTest(clause, attribute, context)];
  });
}

function requestTests(clauses: Clauses, policy: AuthorizationPolicy): readonly RequestTest[] {
  return clauses.flatMap((clause) => {
    const { attribute } = clause;
    return needsHttp(attribute) ? [compileRequestTest(clause, attribute, policy)] : [];
  });
}

/** The identities that the rule can match at all, when each of its sources names them exactly; else null. */
function principalsOf(rule: Rule, settings: MeshSettings): ReadonlySet<SpiffeId> | null {
  if (rule.from === null) return null;
  const principals = new Set<SpiffeId>();
  for (const source of rule.from) {
    const clause = source.find((each) => each.attribute === "source.principal" && !each.isNegated);
    const exact = clause === undefined ? null : exactPrincipals(clause.values, settings);
    if (exact === null) return null;
    for (const principal of exact) principals.add(principal);
  }
  return principals;
}
