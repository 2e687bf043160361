import { needsHttp } from "./attributes.ts";
import {
  type ClauseContext,
  compilePeerTest,
  compileRequestTest,
  headerOf,
  namesTrustDomains,
  type PeerView,
  readPeer,
  requestTestHolds,
} from "./clause-test.ts";
import { compilePolicy } from "./compile.ts";
import { type Decision, decideRequest, decideTcp } from "./decide.ts";
import type { Clause, Clauses } from "./clause.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { Rule } from "./rule.ts";
import type { Question, RequestFacts } from "./facts.ts";
import { writeGrant } from "./grant.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { selectPolicies } from "./select.ts";

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
  /** One sentence: what to do about it. Null for an allowed request. */
  readonly advice: string | null;
}

export interface NearestRule {
  readonly policy: string;
  readonly rule: number;
  readonly file: string;
  readonly line: number | null;
  /** The first clause that kept the rule from matching. */
  readonly clause: ClauseFinding;
  /** All of them. */
  readonly failing: readonly ClauseFinding[];
}

export interface ClauseFinding {
  /** e.g. `spec.rules[0].to[0].operation.methods`. */
  readonly field: string;
  readonly line: number | null;
  /** In words, e.g. `one of "GET", "HEAD"`. */
  readonly expected: string;
  readonly actual: string;
}

/** What explaining needs besides the question: nothing of it was told to the caller who was denied. */
export interface ExplainOptions {
  /** The mesh's file, to name where `defaultAction` stands. */
  readonly meshFile?: string;
}

/** Explains the decision that the documents make, by the code that makes it. Slow beside a decision: done when asked. */
export function explainDecision(
  documents: readonly AuthorizationPolicy[],
  question: Question,
  options: ExplainOptions = {},
): Explanation {
  const decision = decideQuestion(documents, question);
  const decided = ruleOf(decision, documents);
  if (decided !== null) return explainMatch(decision, decided, question);
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
    advice: decision.allow ? null : adviceFor(grant),
  };
}

/** The decision on a question whose policies are not compiled yet. */
export function decideQuestion(documents: readonly AuthorizationPolicy[], question: Question): Decision {
  const compiled = compilePolicy(documents, question.workload, question.settings);
  return question.request === null
    ? decideTcp(compiled, question.peer)
    : decideRequest(compiled, question.peer, question.request);
}

interface RulePlace {
  readonly policy: AuthorizationPolicy;
  readonly rule: Rule;
}

function ruleOf(decision: Decision, documents: readonly AuthorizationPolicy[]): RulePlace | null {
  const policy = documents.find((each) => each.id === decision.policy);
  const rule = policy?.rules.find((each) => each.index === decision.rule);
  return policy === undefined || rule === undefined ? null : { policy, rule };
}

function explainMatch(decision: Decision, place: RulePlace, question: Question): Explanation {
  const { policy, rule } = place;
  const where = `${rule.source.file}:${rule.source.line ?? 1}`;
  const name = `rule ${rule.index} of ${policy.action} policy ${policy.id} (${where})`;
  const checks = checkRule(place, question);
  return {
    decision,
    file: rule.source.file,
    line: rule.source.line,
    clauses: checks.filter((check) => !check.isDropped).map((check) => findingOf(check.clause, question)),
    nearest: null,
    grant: null,
    summary: `${name} matches`,
    advice: decision.allow ? null : `No ALLOW policy can override a DENY: ${name} itself would have to change.`,
  };
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

/**
 * The ALLOW rule with the fewest failing clauses; of equals one whose source fits, since who calls is the last thing
 * to change; then the first. Null when no ALLOW rule selects the workload.
 */
export function nearestRule(documents: readonly AuthorizationPolicy[], question: Question): NearestRule | null {
  let nearest: NearRule | null = null;
  for (const policy of selectPolicies(documents, question.workload, question.settings.rootNamespace)) {
    if (policy.action !== "ALLOW") continue;
    for (const rule of policy.rules) {
      const failing = checkRule({ policy, rule }, question).filter((check) => !check.holds);
      const candidate = { policy, rule, failing: failing.map((check) => check.clause) };
      const isNearer = nearest === null || distanceOf(candidate) < distanceOf(nearest);
      if (failing.length > 0 && isNearer) nearest = candidate;
    }
  }
  return nearest === null ? null : describeNearest(nearest, question);
}

interface NearRule extends RulePlace {
  readonly failing: readonly Clause[];
}

/** A clause counts one, and one on the source a little more: less than one, however many of them there are. */
function distanceOf({ failing }: NearRule): number {
  const sources = failing.filter((clause) => clause.attribute.startsWith("source."));
  return failing.length + sources.length / (failing.length + 1);
}

function describeNearest(
  nearest: RulePlace & { readonly failing: readonly Clause[] },
  question: Question,
): NearestRule {
  const { policy, rule, failing } = nearest;
  const findings = failing.map((clause) => findingOf(clause, question));
  return { policy: policy.id, rule: rule.index, ...rule.source, clause: findings[0]!, failing: findings };
}

interface Check {
  readonly holds: boolean;
  /** An HTTP clause of a DENY rule where there is no HTTP. */
  readonly isDropped: boolean;
  /** An HTTP clause of an ALLOW rule where there is no HTTP. */
  readonly spoilsRule: boolean;
  readonly clause: Clause;
}

/** The clauses of the source and the operation that come closest, and of the conditions. */
function checkRule(place: RulePlace, question: Question): readonly Check[] {
  const view = readPeer(question.peer);
  const checksOf = (clauses: Clauses, together: Clauses) =>
    clauses.map((clause) => checkClause(clause, { place, question, view, together }));
  const { from, to, when } = place.rule;
  const sources = (from ?? [[]]).map((source) => checksOf(source, [...source, ...when]));
  const operations = (to ?? [[]]).map((operation) => checksOf(operation, when));
  return [...closest(sources), ...closest(operations), ...checksOf(when, when)];
}

function closest(alternatives: readonly (readonly Check[])[]): readonly Check[] {
  const failures = (checks: readonly Check[]) => checks.filter((check) => !check.holds).length;
  const best = alternatives.reduce((least, each) => (failures(each) < failures(least) ? each : least));
  // One HTTP clause anywhere keeps an ALLOW rule from matching bytes that are not HTTP, in the other alternatives too.
  const others = alternatives.filter((each) => each !== best).flat();
  return [...best, ...others.filter((check) => check.spoilsRule)];
}

interface Surroundings {
  readonly place: RulePlace;
  readonly question: Question;
  readonly view: PeerView;
  /** Clauses that hold together with the one looked at. */
  readonly together: Clauses;
}

function checkClause(clause: Clause, at: Surroundings): Check {
  const { attribute } = clause;
  const { question, view } = at;
  const { policy } = at.place;
  const { request, settings } = question;
  const isHttp = needsHttp(attribute);
  if (isHttp && request === null) {
    const isDropped = policy.action === "DENY";
    return { holds: isDropped, isDropped, spoilsRule: !isDropped, clause };
  }
  const test = testFor(clause, { policy, settings, namesTrustDomains: namesTrustDomains(at.together) });
  return { holds: test(view, request), isDropped: false, spoilsRule: false, clause };
}

type ClauseTest = (view: PeerView, request: RequestFacts | null) => boolean;

/** Explaining a file of denials asks the same clauses again and again. Forgotten with the documents. */
const compiledClauses = new WeakMap<MeshSettings, WeakMap<Clause, ClauseTest>>();

function testFor(clause: Clause, context: ClauseContext): ClauseTest {
  const known = compiledClauses.get(context.settings) ?? new WeakMap<Clause, ClauseTest>();
  compiledClauses.set(context.settings, known);
  const test = known.get(clause) ?? compileClause(clause, context);
  known.set(clause, test);
  return test;
}

function compileClause(clause: Clause, context: ClauseContext): ClauseTest {
  const { attribute } = clause;
  if (!needsHttp(attribute)) return compilePeerTest(clause, attribute, context);
  const test = compileRequestTest(clause, attribute, context.policy);
  return (_view, request) => request !== null && requestTestHolds(test, request);
}

function findingOf(clause: Clause, question: Question): ClauseFinding {
  const actual = actualOf(clause, question);
  return { field: clause.field, line: clause.line, expected: expectedBy(clause), actual };
}

/** Longer lists are cut: the place is named, and the list can be read there. */
const VALUES_SHOWN = 8;

function expectedBy(clause: Clause): string {
  const shown = clause.values.slice(0, VALUES_SHOWN).map((value) => JSON.stringify(value));
  const more = clause.values.length - shown.length;
  const list = more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ");
  if (clause.isNegated) return clause.values.length === 1 ? `anything but ${list}` : `none of ${list}`;
  return clause.values.length === 1 ? list : `one of ${list}`;
}

function actualOf(clause: Clause, { peer, request }: Question): string {
  if (request === null && needsHttp(clause.attribute)) return "bytes that are not HTTP";
  switch (clause.attribute) {
    case "source.principal":
    case "source.namespace":
    case "source.serviceAccount":
    case "source.trustDomain":
      return peer.principal ?? "no identity";
    case "source.ip":
      return peer.sourceIp;
    case "remote.ip":
      return peer.remoteIp;
    case "destination.ip":
      return peer.destinationIp;
    case "destination.port":
      return String(peer.destinationPort);
    case "connection.sni":
      return peer.sni === null ? "no server name" : JSON.stringify(peer.sni);
    case "request.method":
      return JSON.stringify(request?.method ?? "");
    case "request.path":
      return JSON.stringify(request?.path ?? "");
    case "request.host":
      return request === null || request.host === "" ? "no host" : JSON.stringify(request.host);
    case "request.headers": {
      // Values of headers may be secrets: whether it is there is all that is told.
      const value = request === null ? undefined : headerOf(request, clause.header ?? "");
      return value === undefined ? "no such header" : "a header of that name";
    }
  }
}
