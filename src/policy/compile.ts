import type { Clock } from "../core/ports.ts";
import { runInSlices, runSteps, type Steps } from "../core/slices.ts";
import { ATTRIBUTE_TABLE } from "./attributes.ts";
import { type Decision, defaultDecision, NO_ALLOW_RULE_MATCHED } from "./decision.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { Workload } from "./facts.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { clausesOf } from "./normal-form.ts";
import { type LayeredTable, layerTable } from "./layered-table.ts";
import { policiesFor } from "./select.ts";

/** The policies that select one workload, compiled for deciding. Never changed once made. */
export interface CompiledPolicy extends DecidingTables {
  /** What AUDIT policies and dry runs look at; null where none selects the workload, which then costs nothing. */
  readonly unenforced: UnenforcedTables | null;
  /** What the rules ask about a peer besides its identity and port: peers that differ in nothing else are alike. */
  readonly asksFor: { readonly ip: boolean; readonly sni: boolean };
  /** What the clauses were read under. */
  readonly settings: MeshSettings;
}

/** All that a decision is made of. */
export interface DecidingTables {
  readonly deny: LayeredTable;
  readonly allow: LayeredTable;
  /** The decision when no rule matches. */
  readonly otherwise: Decision;
}

export interface UnenforcedTables {
  /** Of its rules' decisions only the names count. */
  readonly audit: LayeredTable;
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

/**
 * The same in slices of at most 5 ms, so that traffic goes on meanwhile. `before`: what was compiled for this workload; of
 * documents that it was made of, the very same objects, little is compiled again.
 */
export function compileSliced(
  documents: readonly AuthorizationPolicy[],
  workload: Workload,
  settings: MeshSettings,
  clock: Clock,
  before: CompiledPolicy | null = null,
): Promise<CompiledPolicy> {
  return runInSlices(compileSteps(documents, workload, settings, before), clock);
}

/** All steps of it. */
export function* compileSteps(
  documents: readonly AuthorizationPolicy[],
  workload: Workload,
  settings: MeshSettings,
  before: CompiledPolicy | null = null,
): Steps<CompiledPolicy> {
  const selected = policiesFor(documents, workload, settings);
  yield;
  // Under other settings the same clauses mean something else.
  const known = before !== null && isDeepEqual(before.settings, settings) ? before : null;
  const enforced = selected.filter((policy) => !policy.isDryRun);
  const tables = yield* decidingTables(enforced, settings, known);
  const unenforced = yield* unenforcedTables(selected, settings, known?.unenforced ?? null);
  return { ...tables, unenforced, asksFor: findQuestions(selected), settings };
}

function* decidingTables(
  policies: readonly AuthorizationPolicy[],
  settings: MeshSettings,
  before: DecidingTables | null,
): Steps<DecidingTables> {
  const denying = policies.filter((policy) => policy.action === "DENY");
  const deny = yield* layerTable(denying, settings, before?.deny ?? null);
  const allowing = policies.filter((policy) => policy.action === "ALLOW");
  const allow = yield* layerTable(allowing, settings, before?.allow ?? null);
  const otherwise = allowing.length === 0 ? defaultDecision(settings.defaultAction) : NO_ALLOW_RULE_MATCHED;
  return { deny, allow, otherwise };
}

function* unenforcedTables(
  selected: readonly AuthorizationPolicy[],
  settings: MeshSettings,
  before: UnenforcedTables | null,
): Steps<UnenforcedTables | null> {
  const auditing = selected.filter((policy) => policy.action === "AUDIT");
  const isAnyStaged = selected.some((policy) => policy.isDryRun);
  if (auditing.length === 0 && !isAnyStaged) return null;
  const audit = yield* layerTable(auditing, settings, before?.audit ?? null);
  const staged = isAnyStaged ? yield* decidingTables(selected, settings, before?.staged ?? null) : null;
  return { audit, staged };
}

type Questions = CompiledPolicy["asksFor"];

/** A policy asks the same as long as there is it. */
const questions = new WeakMap<AuthorizationPolicy, Questions>();

function findQuestions(policies: readonly AuthorizationPolicy[]): Questions {
  const all = policies.map(questionsOf);
  return { ip: all.some(({ ip }) => ip), sni: all.some(({ sni }) => sni) };
}

function questionsOf(policy: AuthorizationPolicy): Questions {
  const known = questions.get(policy);
  if (known !== undefined) return known;
  const asked = policy.rules.flatMap(clausesOf).map((clause) => clause.attribute);
  const found = {
    ip: asked.some((attribute) => ATTRIBUTE_TABLE[attribute].values === "ip"),
    sni: asked.includes("connection.sni"),
  };
  questions.set(policy, found);
  return found;
}

function isDeepEqual(a: MeshSettings, b: MeshSettings): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
