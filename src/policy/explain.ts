import { compilePolicy } from "./compile.ts";
import { whyNobodyIsAsked } from "./custom.ts";
import { type Decision, decideAndObserve } from "./decide.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { Question } from "./facts.ts";
import { type ClauseFinding, findingOf } from "./finding.ts";
import { writeGrant } from "./grant.ts";
import { type NearestRule, nearestRule } from "./nearest.ts";
import type { Observation } from "./observation.ts";
import { checkRule, type RulePlace } from "./rule-check.ts";
import { boundsOf } from "./unrecorded.ts";

export type { ClauseFinding } from "./finding.ts";
export type { NearestRule } from "./nearest.ts";

/** A decision in terms that a person can act on. */
export interface Explanation {
  readonly decision: Decision;
  /** Where the rule that decided is written; for `mesh/default` the mesh's own file. Null: nothing single decided. */
  readonly file: string | null;
  readonly line: number | null;
  /** The clauses of the rule that matched, with what they matched on; empty for a rule that matches everything. */
  readonly clauses: readonly ClauseFinding[];
  /** For a denial that no DENY rule made: the ALLOW rule that came closest. */
  readonly nearest: NearestRule | null;
  /** YAML of the smallest policy that would allow exactly this; null when none could, or none should. */
  readonly grant: string | null;
  /** One sentence: what decided. */
  readonly summary: string;
  /** A sentence each: what an AUDIT policy marked, and what a dry run would have changed. */
  readonly observed: readonly string[];
  /** One sentence: what to do about it. Null for an allowed request. */
  readonly advice: string | null;
}

/** What explaining needs besides the question: nothing of it was told to the caller who was denied. */
export interface ExplainOptions {
  /** The mesh's file, to name where `defaultAction` stands. */
  readonly meshFile?: string;
  /** What was decided, of a question that a record tells: it holds as far as nothing that is known speaks against it. */
  readonly recorded?: Decision;
}

/** Explains the decision that the documents make, by the code that makes it. Slow beside a decision: done when asked. */
export function explainDecision(
  documents: readonly AuthorizationPolicy[],
  question: Question,
  options: ExplainOptions = {},
): Explanation {
  const { observation, ...decided } = observeQuestion(documents, question);
  const decision = recordedDecision(documents, question, options.recorded) ?? decided.decision;
  const observed = describeObservation(observation, documents);
  const place = ruleOf(decision, documents);
  if (place !== null) return { ...explainMatch(decision, place, question), observed };
  const isDefault = decision.reason === "default-action";
  const nearest = decision.allow ? null : nearestRule(documents, question);
  const grant = decision.allow ? null : writeGrant(question, documents);
  return {
    decision,
    file: isDefault ? (options.meshFile ?? null) : null,
    line: null,
    clauses: [],
    nearest,
    grant,
    summary: summaryWithoutRule(decision),
    observed,
    advice: decision.allow ? null : adviceFor(grant),
  };
}

/**
 * The recorded decision, where rules ask for what the record does not carry and it may have come out so. Null: decide anew.
 */
function recordedDecision(
  documents: readonly AuthorizationPolicy[],
  question: Question,
  recorded: Decision | undefined,
): Decision | null {
  const bounds = recorded === undefined || question.request === null ? null : boundsOf(documents);
  if (recorded === undefined || bounds === null) return null;
  const isPossible = [bounds.strictest, bounds.mostLenient].some(
    (each) => decideQuestion(each, question).allow === recorded.allow,
  );
  const isPlaced = recorded.rule === null || ruleOf(recorded, documents) !== null;
  return isPossible && isPlaced ? recorded : null;
}

/** The decision on a question whose policies are not compiled yet. */
export function decideQuestion(documents: readonly AuthorizationPolicy[], question: Question): Decision {
  return observeQuestion(documents, question).decision;
}

/** The same, and what policies that decide nothing say of it. */
function observeQuestion(
  documents: readonly AuthorizationPolicy[],
  { workload, settings, peer, request }: Question,
): { readonly decision: Decision; readonly observation: Observation | null } {
  return decideAndObserve(compilePolicy(documents, workload, settings), peer, request);
}

function describeObservation(
  observation: Observation | null,
  documents: readonly AuthorizationPolicy[],
): readonly string[] {
  const { audit, dryRun } = observation ?? { audit: null, dryRun: null };
  const marked = audit === null ? null : ruleOf(audit, documents);
  const staged = dryRun === null ? null : ruleOf(dryRun, documents);
  const would = `were the policies in a dry run enforced, this would be ${dryRun?.allow === true ? "allowed" : "denied"}`;
  return [
    ...(marked === null ? [] : [`${nameOf(marked)} matches: the record is marked, and nothing decided by it`]),
    ...(dryRun === null
      ? []
      : [`${would}: ${staged === null ? summaryWithoutRule(dryRun) : `${nameOf(staged)} matches`}`]),
  ];
}

function nameOf({ policy, rule }: RulePlace): string {
  return `rule ${rule.index} of ${policy.action} policy ${policy.id} (${rule.source.file}:${rule.source.line ?? 1})`;
}

function ruleOf(
  decision: Pick<Decision, "policy" | "rule">,
  documents: readonly AuthorizationPolicy[],
): RulePlace | null {
  const policy = documents.find((each) => each.id === decision.policy);
  const rule = policy?.rules.find((each) => each.index === decision.rule);
  return policy === undefined || rule === undefined ? null : { policy, rule };
}

function explainMatch(decision: Decision, place: RulePlace, question: Question): Omit<Explanation, "observed"> {
  const { rule } = place;
  const name = nameOf(place);
  const checks = checkRule(place, question);
  return {
    decision,
    file: rule.source.file,
    line: rule.source.line,
    clauses: checks.filter((check) => !check.isDropped).map((check) => findingOf(check.clause, question)),
    nearest: null,
    grant: null,
    summary: `${name} matches`,
    advice: decision.allow ? null : adviceOnDenial(place, question, name),
  };
}

function adviceOnDenial({ policy }: RulePlace, { settings }: Question, name: string): string {
  if (policy.action === "CUSTOM")
    return `Nobody can be asked, so what it matches is denied: ${whyNobodyIsAsked(policy, settings)}.`;
  return `No ALLOW policy can override a DENY: ${name} itself would have to change.`;
}

function summaryWithoutRule(decision: Decision): string {
  if (decision.reason !== "default-action") return "ALLOW policies select the workload and none of their rules matches";
  return `no ALLOW policy selects the workload, so the mesh's defaultAction decides: ${decision.allow ? "ALLOW" : "DENY"}`;
}

function adviceFor(grant: string | null): string {
  return grant === null
    ? "The caller proved no identity, so no policy can grant it anything that it does not grant to everybody: give it a sidecar."
    : "If this should be allowed, the grant is the smallest policy that does it.";
}
