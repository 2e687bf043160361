import { mutualTlsAt, type MutualTlsMode } from "../../authentication/mutual-tls.ts";
import { mutualTlsFor } from "../../authentication/see-peer.ts";
import type { Clause } from "../../clause.ts";
import type { AuthorizationPolicy } from "../../document.ts";
import type { Rule } from "../../rule.ts";
import { selectPolicies } from "../../select.ts";
import { portFits } from "./check-known.ts";
import type { CheckGround } from "./check-policies.ts";
import { findingAt, type PolicyFinding } from "./policy-finding.ts";

interface Place {
  readonly name: string;
  readonly mode: MutualTlsMode;
  readonly by: string | null;
}

/** Rules that ask who calls, on ports where a PeerAuthentication lets callers in who prove nothing. */
export function checkIdentities(about: readonly AuthorizationPolicy[], ground: CheckGround): readonly PolicyFinding[] {
  return about.flatMap((policy) =>
    policy.rules.flatMap((rule) => {
      const clause = identityAskedBy(rule);
      return clause === null ? [] : checkPlaces(policy, clause, placesOf(rule, policy, ground));
    }),
  );
}

function checkPlaces(policy: AuthorizationPolicy, { field, line }: Clause, places: readonly Place[]) {
  const [first] = places;
  if (first === undefined) return [];
  if (places.every(({ mode }) => mode === "DISABLE")) {
    const message = `nobody has an identity where the rule holds, so it never matches: ${first.by} says DISABLE for ${first.name}`;
    return [findingAt(policy, { code: "no-identity-there", field, line }, message)];
  }
  const open = places.find(({ mode }) => mode !== "STRICT");
  if (open === undefined || (policy.action !== "DENY" && policy.action !== "CUSTOM")) return [];
  const message = `who calls ${open.name} in plaintext has no identity, and the rule does not match it: ${open.by} says ${open.mode}`;
  return [findingAt(policy, { code: "plaintext-gets-by", field, line }, message)];
}

/** The ports that the rule can be about; empty: they are not known, or not what PeerAuthentications say of them. */
function placesOf(rule: Rule, policy: AuthorizationPolicy, ground: CheckGround): readonly Place[] {
  const { workloads, authentication, settings } = ground;
  if (workloads === null || authentication === null) return [];
  const { rootNamespace } = settings;
  const selected = workloads.filter((workload) => selectPolicies([policy], workload, rootNamespace).length > 0);
  if (selected.some(({ ports }) => ports === null)) return [];
  return selected.flatMap((workload) => {
    const mutualTls = mutualTlsFor(authentication, workload, rootNamespace);
    return (workload.ports ?? [])
      .filter(({ port }) => portFits(rule, port))
      .map(({ port }) => ({ name: `${workload.name}:${port}`, ...mutualTlsAt(mutualTls, port) }));
  });
}

/** The clause that names callers, where each alternative of the rule has one; null: it matches some without identity. */
function identityAskedBy({ from, when }: Rule): Clause | null {
  const always = named(when);
  if (always !== undefined) return always;
  const each = (from ?? [[]]).map(named);
  return each.includes(undefined) ? null : (each[0] ?? null);
}

function named(clauses: readonly Clause[]): Clause | undefined {
  return clauses.find(({ attribute, isNegated }) => IDENTITIES.has(attribute) && !isNegated);
}

const IDENTITIES: ReadonlySet<string> = new Set([
  "source.principal",
  "source.namespace",
  "source.serviceAccount",
  "source.trustDomain",
]);
