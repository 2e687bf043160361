import { needsHttp } from "./attributes.ts";
import type { Clause } from "./clause.ts";
import {
  type ClauseContext,
  compilePeerTest,
  compileRequestTest,
  type PeerView,
  readPeer,
  requestTestHolds,
} from "./clause-test.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { Question, RequestFacts } from "./facts.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { type Literal, type Literals, normalRule } from "./normal-form.ts";
import type { Rule } from "./rule.ts";
import { isUnrecorded } from "./unrecorded.ts";

/** A rule and the policy that it stands in. */
export interface RulePlace {
  readonly policy: AuthorizationPolicy;
  readonly rule: Rule;
}

export interface Check {
  /** False as well where it is not known, of a request that a record tells of. */
  readonly holds: boolean;
  /** An HTTP clause of a DENY or AUDIT rule where there is no HTTP. */
  readonly isDropped: boolean;
  /** An HTTP clause of an ALLOW rule where there is no HTTP. */
  readonly spoilsRule: boolean;
  readonly clause: Clause;
}

/** The clauses of the source and the operation that come closest, and of the conditions. */
export function checkRule(place: RulePlace, question: Question): readonly Check[] {
  const view = readPeer(question.peer);
  const checksOf = (literals: Literals) => literals.map((literal) => checkLiteral(literal, { question, view }));
  const { sources, operations, conditions } = normalRule(place.policy, place.rule);
  return [...closest(sources.map(checksOf)), ...closest(operations.map(checksOf)), ...checksOf(conditions)];
}

function closest(alternatives: readonly (readonly Check[])[]): readonly Check[] {
  const failures = (checks: readonly Check[]) => checks.filter((check) => !check.holds).length;
  const best = alternatives.reduce((least, each) => (failures(each) < failures(least) ? each : least));
  // One HTTP clause anywhere keeps an ALLOW rule from matching bytes that are not HTTP, in the other alternatives too.
  const others = alternatives.filter((each) => each !== best).flat();
  return [...best, ...others.filter((check) => check.spoilsRule)];
}

interface Surroundings {
  readonly question: Question;
  readonly view: PeerView;
}

function checkLiteral(literal: Literal, { question, view }: Surroundings): Check {
  const { clause, policy } = literal;
  const { request, settings } = question;
  if (needsHttp(clause.attribute) && request === null) {
    const isDropped = policy.action !== "ALLOW";
    return { holds: isDropped, isDropped, spoilsRule: !isDropped, clause };
  }
  if (question.isRecorded === true && isUnrecorded(clause))
    return { holds: false, isDropped: false, spoilsRule: false, clause };
  const test = testFor(clause, { ...literal, settings });
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
