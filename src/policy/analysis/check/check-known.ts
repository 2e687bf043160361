import type { Clause } from "../../clause.ts";
import { compilePeerTest, readPeer } from "../../clause-test.ts";
import type { AuthorizationPolicy } from "../../document.ts";
import { withAliases } from "../../identity-matcher.ts";
import type { Rule } from "../../rule.ts";
import { selectPolicies } from "../../select.ts";
import { parsePort } from "../../values.ts";
import type { KnownPort, KnownWorkload } from "../known-workload.ts";
import { peerOf, PLAIN_FACTS } from "../space/facts.ts";
import { asksHttp } from "../space/formula.ts";
import type { CheckGround } from "./check-policies.ts";
import { findingAt, type PolicyFinding } from "./policy-finding.ts";

/** What names nothing that is there, or meets what is there in another way than it seems to. */
export function checkKnown(about: readonly AuthorizationPolicy[], ground: CheckGround): readonly PolicyFinding[] {
  const { workloads } = ground;
  if (workloads === null) return [];
  return about.flatMap((policy) => {
    const callers = policy.rules.flatMap((rule) => checkCallers(rule, policy, { ground, workloads }));
    const selected = workloads.filter(
      (workload) => selectPolicies([policy], workload, ground.settings.rootNamespace).length > 0,
    );
    if (selected.length === 0) return [selectsNothing(policy, workloads.length), ...callers];
    return [...policy.rules.flatMap((rule) => checkPorts(rule, policy, selected)), ...callers];
  });
}

function selectsNothing(policy: AuthorizationPolicy, count: number): PolicyFinding {
  const labels = [...policy.matchLabels].map(([key, value]) => `${key}=${value}`).join(", ");
  const [field, what] =
    labels === ""
      ? ["metadata.namespace", `is in namespace ${policy.namespace}`]
      : ["spec.selector.matchLabels", `has ${labels} in namespace ${policy.namespace}`];
  const message = `selects nothing: none of the ${count} known workloads ${what}`;
  return findingAt(policy, { code: "selects-nothing", field, line: policy.source.line }, message);
}

/** The ports of an operation, against those that there are. */
function checkPorts(
  rule: Rule,
  policy: AuthorizationPolicy,
  selected: readonly KnownWorkload[],
): readonly PolicyFinding[] {
  // Of a workload whose ports are not known nothing can be said.
  if (selected.some(({ ports }) => ports === null)) return [];
  const ports = selected.flatMap((workload) => (workload.ports ?? []).map((port) => ({ workload, ...port })));
  return [...checkUnknownPorts(rule, policy, ports), ...checkHttpOnTcp(rule, policy, ports)];
}

interface PlacedPort extends KnownPort {
  readonly workload: KnownWorkload;
}

function checkUnknownPorts(
  rule: Rule,
  policy: AuthorizationPolicy,
  ports: readonly PlacedPort[],
): readonly PolicyFinding[] {
  const clauses = [...(rule.to ?? []).flat(), ...rule.when].filter(
    ({ attribute, isNegated }) => attribute === "destination.port" && !isNegated,
  );
  return clauses.flatMap((clause) =>
    clause.values.flatMap((value, i) => {
      if (ports.some(({ port }) => port === parsePort(value))) return [];
      const there = [...new Set(ports.map(({ port }) => port))].join(", ");
      const message = `no workload that the policy selects has port ${value}; there are ${there === "" ? "none" : there}`;
      return [findingAt(policy, { code: "unknown-port", field: `${clause.field}[${i}]`, line: clause.line }, message)];
    }),
  );
}

/** An ALLOW rule on HTTP never matches other bytes; of a DENY rule only who calls, and the port, are left there. */
function checkHttpOnTcp(
  rule: Rule,
  policy: AuthorizationPolicy,
  ports: readonly PlacedPort[],
): readonly PolicyFinding[] {
  if (policy.action === "AUDIT" || !asksHttp(rule)) return [];
  const reached = ports.filter(({ port }) => portFits(rule, port));
  const tcp = reached.filter(({ protocols }) => !protocols.includes("http"));
  const isNeverAllowed = policy.action === "ALLOW" && tcp.length === reached.length;
  if (tcp.length === 0 || (policy.action === "ALLOW" && !isNeverAllowed)) return [];
  const where = `${tcp[0]!.workload.name}:${tcp[0]!.port}`;
  const more = tcp.length === 1 ? "" : ` and ${tcp.length - 1} more`;
  const message =
    policy.action === "ALLOW"
      ? `asks for HTTP attributes and never matches: ${where}${more} carries other bytes`
      : `asks for HTTP attributes, which are dropped on ${where}${more}: its callers are ${policy.action === "CUSTOM" ? "asked about for" : "denied"} every connection there`;
  const at = { code: "http-on-tcp", field: `spec.rules[${rule.index}]`, line: rule.source.line } as const;
  return [findingAt(policy, at, message)];
}

/** Whether the rule can be about a port. */
export function portFits({ to, when }: Rule, port: number): boolean {
  const fits = (clauses: readonly Clause[]): boolean =>
    clauses
      .filter(({ attribute }) => attribute === "destination.port")
      .every(({ values, isNegated }) => values.some((value) => parsePort(value) === port) !== isNegated);
  return fits(when) && (to ?? [[]]).some(fits);
}

const CALLERS = new Set(["source.principal", "source.namespace", "source.serviceAccount"]);

/** Values without a pattern that name somebody of the mesh's own trust domain, who is not there. */
function checkCallers(
  rule: Rule,
  policy: AuthorizationPolicy,
  known: { readonly ground: CheckGround; readonly workloads: readonly KnownWorkload[] },
): readonly PolicyFinding[] {
  const sources = rule.from ?? [];
  return [...sources, rule.when].flatMap((clauses) =>
    clauses
      .filter(({ attribute }) => CALLERS.has(attribute))
      .flatMap((clause) => checkCaller(clause, [clauses, rule.when], policy, known)),
  );
}

function checkCaller(
  clause: Clause,
  together: readonly (readonly Clause[])[],
  policy: AuthorizationPolicy,
  { ground, workloads }: { readonly ground: CheckGround; readonly workloads: readonly KnownWorkload[] },
): readonly PolicyFinding[] {
  const { settings } = ground;
  const namesForeigners = together.flat().some(({ attribute }) => attribute === "source.trustDomain");
  if (namesForeigners) return [];
  return clause.values.flatMap((value, i) => {
    if (value.includes("*") || !isLocal(value, clause, ground)) return [];
    const one = { ...clause, isNegated: false, values: [value] };
    // The context of the clause as it stands: how wide it matches does not depend on the one value.
    const attribute = one.attribute as "source.principal";
    const test = compilePeerTest(one, attribute, { policy, settings, namesTrustDomains: false });
    const isThere = workloads.some(
      ({ principal }) => principal !== null && test(readPeer(peerOf({ ...PLAIN_FACTS, principal }))),
    );
    if (isThere) return [];
    const message = `${JSON.stringify(value)} is none of the ${workloads.length} known workloads`;
    return [findingAt(policy, { code: "unknown-caller", field: `${clause.field}[${i}]`, line: clause.line }, message)];
  });
}

/** A principal of another trust domain may well be there: nothing is known of it. */
function isLocal(value: string, { attribute }: Clause, { settings }: CheckGround): boolean {
  if (attribute !== "source.principal") return true;
  const isAliased = withAliases(value, settings).length > 1 || value.startsWith("cluster.local/");
  return isAliased || value.startsWith(`${settings.trustDomain}/`);
}
