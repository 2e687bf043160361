import { runSteps, type Steps } from "../../core/slices.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { AuthenticationDocument } from "../authentication/document.ts";
import { letsPlaintextIn, mutualTlsFor } from "../authentication/see-peer.ts";
import type { AuthorizationPolicy } from "../document.ts";
import type { MeshSettings } from "../mesh-settings.ts";
import { type Destination, destinationsOf, type KnownWorkload, nameOf } from "./known-workload.ts";
import { accessTo } from "./space/access.ts";
import { explore } from "./space/explore.ts";
import type { Facts } from "./space/facts.ts";
import type { Formula } from "./space/formula.ts";

/** One workload may call another in some way. */
export interface Edge {
  readonly from: KnownWorkload;
  readonly to: Destination;
  /** What lets it, each with an example of a request; null: no rule does, the mesh's defaultAction. */
  readonly grants: readonly { readonly formula: Formula | null; readonly example: Facts }[];
}

export interface Reach {
  readonly edges: readonly Edge[];
  /** Destinations with more to tell apart than could be looked at; what reaches them is not known. */
  readonly unknown: readonly string[];
}

/** Who may call whom directly, over all requests. */
export function reachBetween(workloads: readonly KnownWorkload[], set: PolicyGround): Reach {
  return runSteps(reachSteps(workloads, set));
}

/** The same, a destination a step. */
export function* reachSteps(workloads: readonly KnownWorkload[], set: PolicyGround): Steps<Reach> {
  const edges: Edge[] = [];
  const unknown: string[] = [];
  const callers = Map.groupBy(
    workloads.filter(({ principal }) => principal !== null),
    ({ principal }) => principal,
  );
  for (const to of workloads.flatMap(destinationsOf)) {
    yield;
    const granted = grantsOn(to, [...callers.keys()], set);
    if (granted === null) {
      unknown.push(nameOf(to));
      continue;
    }
    for (const [principal, grants] of granted) {
      // Nobody can be anybody: a breached workload need not show its identity where none is asked for.
      const those = principal === null ? workloads : (callers.get(principal) ?? []);
      for (const from of those) if (from !== to.workload) edges.push({ from, to, grants });
    }
  }
  return { edges, unknown };
}

/** What reaches are worked out from. */
export interface PolicyGround {
  readonly documents: readonly AuthorizationPolicy[];
  /** Left out: none. */
  readonly authentication?: readonly AuthenticationDocument[];
  readonly settings: MeshSettings;
}

type Grants = ReadonlyMap<SpiffeId | null, Edge["grants"]>;

function grantsOn(
  { workload, port, protocol }: Destination,
  identities: readonly (SpiffeId | null)[],
  set: PolicyGround,
): Grants | null {
  const { settings } = set;
  const mutualTls = mutualTlsFor(set.authentication ?? [], workload, settings.rootNamespace);
  const principals = letsPlaintextIn(mutualTls, port) ? [...identities, null] : identities;
  const access = accessTo(set.documents, workload, { settings, protocol });
  const known = { principals, isOpen: false, ports: port === null ? null : [port], hosts: workload.hosts };
  const regions = explore(
    access.formulas,
    (truthOf) => {
      const verdict = access.decide(truthOf);
      return verdict === null ? null : { outcome: verdict };
    },
    { settings, known, apart: ["principal"] },
    ({ allow, formula }, { principal }) =>
      allow ? `${principal} ${formula?.policy.id ?? ""} ${formula?.rule.index ?? ""}` : "denied",
  );
  const allowed = regions?.filter(({ outcome }) => outcome.allow) ?? null;
  if (allowed === null) return null;
  return new Map(
    [...Map.groupBy(allowed, ({ example }) => example.principal)].map(([principal, some]) => [
      principal,
      some.map(({ outcome, example }) => ({ formula: outcome.formula, example })),
    ]),
  );
}
