import type { AuthorizationPolicy } from "../../document.ts";
import type { Workload } from "../../facts.ts";
import type { MeshSettings } from "../../mesh-settings.ts";
import type { Rule } from "../../rule.ts";
import { selectPolicies } from "../../select.ts";
import { coverOf, type RulePlace } from "./cover.ts";
import { findingAt, type PolicyFinding } from "./policy-finding.ts";
import type { CheckGround } from "./check-policies.ts";

/**
 * Rules that change nothing, because other rules match all that they do. Those that are called shadowed can all be taken out
 * together: each is covered by what stays. Order tells only which of two equal ones is named: the later one.
 */
export function checkCover(about: readonly AuthorizationPolicy[], ground: CheckGround): readonly PolicyFinding[] {
  const shadowed = new Set<Rule>();
  const findings: PolicyFinding[] = [];
  for (const policy of about.toSorted((a, b) => (a.id < b.id ? 1 : -1))) {
    const beside = selectedBeside(policy, ground);
    for (const rule of policy.rules.toReversed()) {
      const found = checkRule({ policy, rule }, beside, shadowed, ground);
      if (found === null) continue;
      findings.push(found);
      if (found.code === "shadowed-rule") shadowed.add(rule);
    }
  }
  return findings.toReversed();
}

function checkRule(
  place: RulePlace,
  beside: readonly AuthorizationPolicy[],
  shadowed: ReadonlySet<Rule>,
  ground: CheckGround,
): PolicyFinding | null {
  const { policy, rule } = place;
  const rulesOf = (action: AuthorizationPolicy["action"]): readonly RulePlace[] =>
    beside
      // Of CUSTOM policies with other providers each asks somebody else.
      .filter((each) => action !== "CUSTOM" || each.provider === policy.provider)
      .filter((each) => each.action === action && (policy.isDryRun || !each.isDryRun) && lastsAsLong(each, policy))
      .flatMap((each) => each.rules.map((other) => ({ policy: each, rule: other })))
      .filter((other) => other.rule !== rule && !shadowed.has(other.rule));
  if (policy.action === "ALLOW") {
    const denied = coverOf(place, rulesOf("DENY"), ground.forOneRule());
    if (denied.at === "covered") return coverFinding("unreachable-rule", place, denied.by);
  }
  const cover = coverOf(place, rulesOf(policy.action), ground.forOneRule());
  if (cover.at === "unknown") ground.unknown.add(rule);
  return cover.at === "covered" ? coverFinding("shadowed-rule", place, cover.by) : null;
}

/** A grant that ends covers nothing for longer. */
function lastsAsLong({ terms: other }: AuthorizationPolicy, { terms }: AuthorizationPolicy): boolean {
  if (other === null) return true;
  const [fromMs, untilMs] = [terms?.fromMs ?? null, terms?.untilMs ?? null];
  const beginsBefore = other.fromMs === null || (fromMs !== null && other.fromMs <= fromMs);
  return beginsBefore && (other.untilMs === null || (untilMs !== null && other.untilMs >= untilMs));
}

/** Namespace that no policy names: a policy of the root namespace holds in it, and no other does. */
const ANY_NAMESPACE = "any.namespace";

/**
 * The policies that select whatever this one does: those that select a workload with its labels and no others. On workloads
 * with more labels there may be more of them, which take nothing away from a cover.
 */
function selectedBeside(
  { namespace, matchLabels }: AuthorizationPolicy,
  { documents, settings }: { readonly documents: readonly AuthorizationPolicy[]; readonly settings: MeshSettings },
): readonly AuthorizationPolicy[] {
  const isRoot = namespace === settings.rootNamespace;
  const workload: Workload = {
    namespace: isRoot ? ANY_NAMESPACE : namespace,
    labels: Object.fromEntries(matchLabels),
  };
  return selectPolicies(documents, workload, settings.rootNamespace);
}

/** Rules that one line names. */
const NAMED_MAX = 3;

function coverFinding(
  code: "shadowed-rule" | "unreachable-rule",
  { policy, rule }: RulePlace,
  by: readonly RulePlace[],
): PolicyFinding {
  const named = by.slice(0, NAMED_MAX).map((each) => nameOf(each));
  const more = by.length - named.length;
  const list = more > 0 ? `${named.join(", ")} and ${more} more` : named.join(" and ");
  const verb = code === "unreachable-rule" ? "is denied by" : "is matched by";
  const message = `changes nothing: all that it matches ${verb} ${list} as well`;
  return findingAt(policy, { code, field: `spec.rules[${rule.index}]`, line: rule.source.line }, message);
}

function nameOf({ policy, rule }: RulePlace): string {
  const { file, line } = rule.source;
  return `rule ${rule.index} of ${policy.id} (${file}${line === null ? "" : `:${line}`})`;
}
