import type { Clock } from "../core/ports.ts";
import { runInSlices, runSteps, type Steps } from "../core/slices.ts";
import { ATTRIBUTE_TABLE } from "./attributes.ts";
import { type Decision, defaultDecision, NO_ALLOW_RULE_MATCHED } from "./decision.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { Workload } from "./facts.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { clausesOf } from "./normal-form.ts";
import { compileTable, type RuleTable } from "./rule-table.ts";
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
