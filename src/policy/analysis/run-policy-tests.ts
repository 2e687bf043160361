import { spiffeIdFor } from "../../core/spiffe-id.ts";
import type { AuthenticationDocument } from "../authentication/document.ts";
import { mutualTlsFor, seePeer } from "../authentication/see-peer.ts";
import type { Decision } from "../decision.ts";
import type { AuthorizationPolicy } from "../document.ts";
import type { Rule } from "../rule.ts";
import { decideQuestion, explainDecision } from "../explain.ts";
import type { PeerFacts, Question } from "../facts.ts";
import { ruleMatches } from "../interpret.ts";
import type { MeshSettings } from "../mesh-settings.ts";
import { selectPolicies } from "../select.ts";
import type { PolicyTest, PolicyTestCase, TestPeer } from "./policy-test.ts";

/** What running PolicyTests needs besides them. */
export interface TestBench {
  readonly documents: readonly AuthorizationPolicy[];
  /** Left out: none. */
  readonly authentication?: readonly AuthenticationDocument[];
  readonly settings: MeshSettings;
  /** The path as it is matched and forwarded, or null when it is refused. wire/path.ts has it; policy does not see wire. */
  readonly normalizePath: (path: string) => string | null;
}

export interface PolicyTestReport {
  readonly results: readonly CaseResult[];
  /** Every rule of the documents, and whether some case matches it. */
  readonly coverage: readonly RuleCoverage[];
}

export interface CaseResult {
  readonly test: string;
  readonly file: string;
  readonly line: number | null;
  readonly name: string;
  /** e.g. `shop/web → shop/orders:8080 GET /orders`. */
  readonly asked: string;
  readonly expected: "allow" | "deny";
  readonly actual: "allow" | "deny";
  /** Null when the request was refused before any policy was asked. */
  readonly decision: Decision | null;
  readonly isPassed: boolean;
  /** For a failure: what decided, and what would have to change. */
  readonly why: string | null;
}

export interface RuleCoverage {
  readonly policy: string;
  readonly rule: number;
  readonly file: string;
  readonly line: number | null;
  readonly isCovered: boolean;
}

/** Runs every case through the code that enforces. */
export function runPolicyTests(tests: readonly PolicyTest[], bench: TestBench): PolicyTestReport {
  const covered = new Set<Rule>();
  const results = tests.flatMap((test) => test.cases.map((each) => runCase(test, each, { bench, covered })));
  const coverage = bench.documents.flatMap((policy) =>
    policy.rules.map((rule) => ({
      policy: policy.id,
      rule: rule.index,
      ...rule.source,
      isCovered: covered.has(rule),
    })),
  );
  return { results, coverage };
}

interface Run {
  readonly bench: TestBench;
  readonly covered: Set<Rule>;
}

function runCase(test: PolicyTest, each: PolicyTestCase, { bench, covered }: Run): CaseResult {
  const given = questionOf(each, bench);
  const head = {
    test: test.name,
    file: test.file,
    line: each.line,
    name: each.name,
    asked: describe(each),
    expected: each.expect,
  };
  if (given === null) {
    const isPassed = each.expect === "deny" && each.policy === null;
    const why = isPassed ? null : "the path is refused with 400 before any policy is asked";
    return { ...head, actual: "deny", decision: null, isPassed, why };
  }
  const { workload, settings } = given;
  const seen = seePeer(mutualTlsFor(bench.authentication ?? [], workload, settings.rootNamespace), given.peer);
  const question = { ...given, peer: seen.peer };
  // Where no PeerAuthentication speaks, what policies deny is told as theirs: the test is of them. What they allow is refused.
  const isRefusedByDefault = seen.refusal !== null && seen.refusal.policy === null;
  const decided = seen.refusal === null || isRefusedByDefault ? decideQuestion(bench.documents, question) : null;
  const decision = decided === null || (decided.allow && seen.refusal !== null) ? seen.refusal! : decided;
  // No policy is asked of a caller that is refused before.
  if (decided !== null) addCoverage(question, bench, covered);
  const actual = decision.allow ? "allow" : "deny";
  const isPassed = actual === each.expect && (each.policy === null || each.policy === decision.policy);
  const whyNot = () => (decision === decided ? whyFailed(each, question, bench) : whyRefused(decision));
  return { ...head, actual, decision, isPassed, why: isPassed ? null : whyNot() };
}

/** Null: the path is refused. */
function questionOf({ from, to, request }: PolicyTestCase, { settings, normalizePath }: TestBench): Question | null {
  const peer: PeerFacts = {
    principal: principalOf(from, settings),
    sourceIp: from.ip,
    remoteIp: from.remoteIp,
    destinationIp: to.ip,
    destinationPort: to.port,
    sni: from.sni,
  };
  if (request === null) return { workload: to, settings, peer, request: null };
  const path = normalizePath(request.path);
  if (path === null) return null;
  const header = (name: string): string | undefined => request.headers.get(name);
  return { workload: to, settings, peer, request: { ...request, path, header } };
}

function principalOf({ identity }: TestPeer, settings: MeshSettings): PeerFacts["principal"] {
  if (identity.kind === "anonymous") return null;
  if (identity.kind === "principal") return identity.id;
  return spiffeIdFor(settings.trustDomain, identity.namespace, identity.serviceAccount);
}

/** A rule is covered when it matches, whether or not another one before it decided. */
function addCoverage(question: Question, { documents, settings }: TestBench, covered: Set<Rule>): void {
  for (const policy of selectPolicies(documents, question.workload, settings.rootNamespace)) {
    for (const rule of policy.rules) {
      if (!covered.has(rule) && ruleMatches(rule, policy, question)) covered.add(rule);
    }
  }
}

function whyRefused({ policy }: Decision): string {
  const who =
    policy === null ? "no PeerAuthentication lets plaintext in" : `the PeerAuthentication ${policy} demands mutual TLS`;
  return `${who}, and the caller has no identity`;
}

function whyFailed(each: PolicyTestCase, question: Question, { documents }: TestBench): string {
  const { decision, summary, nearest } = explainDecision(documents, question);
  const wanted = each.policy === null || each.policy === decision.policy ? "" : `; expected ${each.policy} to decide`;
  if (nearest === null) return `${summary}${wanted}`;
  const { policy, rule, file, line, clause } = nearest;
  const place = `${file}:${clause.line ?? line ?? 1}`;
  return `${summary}; nearest is rule ${rule} of ${policy}, whose ${clause.field} (${place}) wants ${clause.expected}, found ${clause.actual}${wanted}`;
}

function describe({ from, to, request }: PolicyTestCase): string {
  const labels = Object.entries(to.labels).map(([key, value]) => `${key}=${value}`);
  const what = request === null ? "tcp" : `${request.method} ${request.path}`;
  return `${callerOf(from)} → ${to.namespace}/${to.labels["app"] ?? labels.join(",")}:${to.port} ${what}`;
}

function callerOf({ identity }: TestPeer): string {
  if (identity.kind === "anonymous") return "anonymous";
  return identity.kind === "principal" ? identity.id : `${identity.namespace}/${identity.serviceAccount}`;
}
