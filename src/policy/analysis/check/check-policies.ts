import { LIMITS } from "../../../core/limits.ts";
import type { AuthenticationDocument } from "../../authentication/document.ts";
import type { AuthorizationPolicy } from "../../document.ts";
import type { MeshSettings } from "../../mesh-settings.ts";
import type { Rule } from "../../rule.ts";
import type { KnownWorkload } from "../known-workload.ts";
import type { Budget } from "../space/language.ts";
import { checkCover } from "./check-cover.ts";
import { checkCustom } from "./check-custom.ts";
import { checkGrants } from "./check-grants.ts";
import { checkIdentities } from "./check-identities.ts";
import { checkKnown } from "./check-known.ts";
import { checkMatches } from "./check-matches.ts";
import { checkTokens } from "./check-tokens.ts";
import { checkValues } from "./check-values.ts";
import type { CoverGround } from "./cover.ts";
import type { PolicyFinding } from "./policy-finding.ts";

/** What policies are checked against. */
export interface PolicyCheck {
  /** Those that findings are about. */
  readonly about: readonly AuthorizationPolicy[];
  /** All that are in force together, `about` included. */
  readonly documents: readonly AuthorizationPolicy[];
  readonly settings: MeshSettings;
  /** Null: it is not known which there are. */
  readonly workloads: readonly KnownWorkload[] | null;
  /** How workloads learn of their callers. Left out or null: it is not known. */
  readonly authentication?: readonly AuthenticationDocument[] | null;
  /** Whether the settings are those of a mesh, with its extension providers; left out: they are not. */
  readonly isMeshKnown?: boolean;
  /** Null: nothing is said of time. */
  readonly nowMs: number | null;
  /** Steps for all rules together. */
  readonly stepsMax: number;
}

export interface PolicyCheckResult {
  /** In the order of the policies and of their fields. */
  readonly findings: readonly PolicyFinding[];
  /** Rules with more to tell apart than was looked at: nothing was found of them, and nothing ruled out. */
  readonly unknown: number;
}

/** What each check works with. */
export interface CheckGround {
  readonly documents: readonly AuthorizationPolicy[];
  readonly settings: MeshSettings;
  readonly workloads: readonly KnownWorkload[] | null;
  readonly authentication: readonly AuthenticationDocument[] | null;
  readonly isMeshKnown: boolean;
  readonly unknown: Set<Rule>;
  /** A budget for one rule, of what is left for all. */
  forOneRule(): CoverGround;
}

/** All that is valid and means something else than it seems to. Every finding holds for all requests; none is a guess. */
export function checkPolicies({
  about,
  documents,
  settings,
  workloads,
  authentication = null,
  isMeshKnown = false,
  nowMs,
  stepsMax,
}: PolicyCheck): PolicyCheckResult {
  const unknown = new Set<Rule>();
  const known = { settings, workloads, authentication, isMeshKnown };
  const ground = { documents, ...known, unknown, forOneRule: budgets(settings, stepsMax) };
  const found = [
    ...about.flatMap(checkValues),
    ...about.flatMap((policy) => checkGrants(policy, nowMs)),
    ...checkMatches(about, ground),
    ...checkCover(about, ground),
    ...checkKnown(about, ground),
    ...checkTokens(about, ground),
    ...checkCustom(about, ground),
    ...checkIdentities(about, ground),
  ];
  const order = new Map(about.map(({ id }, i) => [id, i]));
  const findings = once(found).toSorted(
    (a, b) => order.get(a.policy)! - order.get(b.policy)! || (a.line ?? 0) - (b.line ?? 0),
  );
  return { findings, unknown: unknown.size };
}

function budgets(settings: MeshSettings, stepsMax: number): CheckGround["forOneRule"] {
  let left = stepsMax;
  let last: Budget = { left: 0 };
  let given = 0;
  return () => {
    left -= given - Math.max(0, last.left);
    given = Math.max(0, Math.min(left, LIMITS.policyCheckStepsMax));
    last = { left: given };
    return { settings, budget: last };
  };
}

/** What one value means is said by the most particular check, which comes first. */
function once(findings: readonly PolicyFinding[]): readonly PolicyFinding[] {
  const seen = new Set<string>();
  return findings.filter(({ policy, code, field }) => {
    const key = `${policy} ${code} ${field}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
