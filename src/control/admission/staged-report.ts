import type { AuthenticationDocument } from "../../policy/authentication/document.ts";
import type { AuthorizationPolicy } from "../../policy/document.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import { isEnforcedAs, type Selecting, selectPolicies } from "../../policy/select.ts";
import type { TrafficDocument } from "../../traffic/document.ts";
import type { RegisteredWorkload } from "../distribute/registry-content.ts";

/** What is in force now, to measure a new policy against. */
export interface PolicyWorld {
  readonly settings: MeshSettings;
  /** Milliseconds since the epoch. */
  nowMs(): number;
  workloads(): readonly RegisteredWorkload[];
  policies(): readonly AuthorizationPolicy[];
  authentication(): readonly AuthenticationDocument[];
  traffic(): readonly TrafficDocument[];
  /** Full host names; null: they are not known. */
  services(): ReadonlySet<string> | null;
}

const NAMES_SHOWN = 5;

/** Whom a policy would touch, before it does: one sentence each. `before` is the same policy as it is until now. */
export function reportPolicy(
  policy: AuthorizationPolicy,
  before: AuthorizationPolicy | null,
  world: PolicyWorld,
): readonly string[] {
  const workloads = world.workloads();
  const touched = selectedBy(policy, workloads, world);
  if (touched.length === 0) return reportSelection(policy, world);
  const lost = before === null ? [] : selectedBy(before, workloads, world).filter((each) => !touched.includes(each));
  return [
    ...reportSelection(policy, world),
    ...(lost.length === 0 ? [] : [`no longer selects ${countOf(lost)}`]),
    ...reportForce(policy, before),
    ...reportClosed(policy, touched, world),
  ];
}

/** Which workloads a document of any security kind selects. */
export function reportSelection(document: Selecting, world: PolicyWorld): readonly string[] {
  const workloads = world.workloads();
  const touched = selectedBy(document, workloads, world);
  if (touched.length > 0) return [`selects ${countOf(touched)} (${scopeOf(document, world)})`];
  return [`selects none of the ${workloads.length} workloads that are there (${scopeOf(document, world)})`];
}

/** A policy that decides nothing must not be taken for one that does. */
function reportForce(policy: AuthorizationPolicy, before: AuthorizationPolicy | null): readonly string[] {
  const wasEnforced = before !== null && before.action !== "AUDIT" && !before.isDryRun;
  const until = wasEnforced ? "; until now it was enforced" : "";
  if (policy.action === "AUDIT") return [`only marks what it matches in the flow records${until}`];
  return policy.isDryRun ? [`is in a dry run: what it would change is recorded, and nothing enforced${until}`] : [];
}

/** The first ALLOW policy of a workload turns "everything" into "what a policy allows": Istio's most frequent surprise. */
function reportClosed(
  policy: AuthorizationPolicy,
  touched: readonly RegisteredWorkload[],
  world: PolicyWorld,
): readonly string[] {
  const { settings } = world;
  if (!isEnforcedAs("ALLOW", policy) || settings.defaultAction !== "ALLOW") return [];
  const others = world.policies().filter((each) => each.id !== policy.id && isEnforcedAs("ALLOW", each));
  const closed = touched.filter((each) => selectPolicies(others, each, settings.rootNamespace).length === 0);
  if (closed.length === 0) return [];
  return [`is the first ALLOW policy of ${countOf(closed)}: whatever no policy allows is denied there from now on`];
}

function selectedBy(
  policy: Selecting,
  workloads: readonly RegisteredWorkload[],
  { settings }: PolicyWorld,
): readonly RegisteredWorkload[] {
  return workloads.filter((workload) => selectPolicies([policy], workload, settings.rootNamespace).length > 0);
}

function scopeOf({ namespace, matchLabels }: Selecting, { settings }: PolicyWorld): string {
  const labels = [...matchLabels].map(([name, value]) => `${name}=${value}`).join(", ");
  const where = namespace === settings.rootNamespace ? "all namespaces" : `namespace ${namespace}`;
  return labels === "" ? `all of ${where}` : `${labels} in ${where}`;
}

function countOf(workloads: readonly RegisteredWorkload[]): string {
  const names = workloads.slice(0, NAMES_SHOWN).map(({ namespace, name }) => `${namespace}/${name}`);
  const more = workloads.length - names.length;
  const list = more > 0 ? `${names.join(", ")} and ${more} more` : names.join(", ");
  return `${workloads.length} ${workloads.length === 1 ? "workload" : "workloads"}: ${list}`;
}
