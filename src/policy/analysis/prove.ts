import { createCustomMatcher } from "../custom-match.ts";
import type { Decision } from "../decision.ts";
import type { AuthorizationPolicy } from "../document.ts";
import { decideQuestion } from "../explain.ts";
import { reachedFrom } from "./blast-radius.ts";
import type { Invariant, NeverAllowed, Target, Unreachable } from "./invariant.ts";
import { type Destination, destinationsOf, type KnownWorkload, nameOf } from "./known-workload.ts";
import { type Edge, type PolicyGround, type Reach, reachBetween } from "./reach.ts";
import { accessTo } from "./space/access.ts";
import { explore, type Truth } from "./space/explore.ts";
import { type Facts, type Protocol, questionOf } from "./space/facts.ts";
import { asksHttp, formulasOf } from "./space/formula.ts";

/** What became of one Invariant. */
export interface Proof {
  readonly invariant: Invariant;
  /** `vacuous`: it names workloads that the mesh does not have, so it says nothing. */
  readonly result: "holds" | "broken" | "unknown" | "vacuous";
  /** Requests that are allowed and must not be, one for each destination and the rule that allows it. */
  readonly counterexamples: readonly Counterexample[];
  /** Ways that lead where none should. */
  readonly ways: readonly (readonly KnownWorkload[])[];
  /** Destinations with more to tell apart than could be looked at. */
  readonly unknown: readonly string[];
  /** How many destinations were looked at. */
  readonly looked: number;
}

export interface Counterexample {
  readonly destination: Destination;
  readonly facts: Facts;
  /** As the enforcing engine decides it. */
  readonly decision: Decision;
}

/** What invariants are held against. */
export interface Ground extends PolicyGround {
  readonly workloads: readonly KnownWorkload[];
}

/**
 * Holds invariants over all requests, not over samples: exact over the finitely many kinds of request that the clauses of
 * the policies and of the invariant can tell apart (space/explore.ts).
 */
export function prove(invariants: readonly Invariant[], ground: Ground): readonly Proof[] {
  let reach: Reach | null = null;
  return invariants.map((invariant) => {
    if (invariant.kind === "never") return proveNever(invariant, ground);
    reach ??= reachBetween(ground.workloads, ground);
    return proveUnreachable(invariant, ground.workloads, reach);
  });
}

function proveNever(invariant: NeverAllowed, ground: Ground): Proof {
  const { to } = invariant;
  const destinations = ground.workloads
    .flatMap(destinationsOf)
    .filter((each) => to === null || to.some((target) => isMeant(target, each.workload, each.port)))
    .filter(({ protocol }) => rulesOn(invariant, protocol).rules.length > 0);
  const unknown: string[] = [];
  const counterexamples: Counterexample[] = [];
  for (const destination of destinations) {
    const found = allowedIn(invariant, destination, ground);
    const certain = found?.filter(({ facts }) => !isAskedOutside(facts, destination, ground)) ?? [];
    // What a server outside may yet deny is not known to be allowed.
    if (found === null || certain.length < found.length) unknown.push(nameOf(destination));
    counterexamples.push(...certain);
  }
  const looked = destinations.length;
  const result = resultOf({ looked, isBroken: counterexamples.length > 0, isUnknown: unknown.length > 0 });
  return { invariant, result, counterexamples, ways: [], unknown, looked };
}

/** What is said of requests is said of HTTP alone: a TCP port that nobody may `POST` to is not thereby closed. */
function rulesOn({ rules }: NeverAllowed, protocol: Protocol): AuthorizationPolicy {
  return protocol === "http" ? rules : { ...rules, rules: rules.rules.filter((rule) => !asksHttp(rule)) };
}

/** Requests within the invariant's rules that are allowed; null: not known. */
function allowedIn(
  invariant: NeverAllowed,
  destination: Destination,
  { documents, settings, workloads }: Ground,
): readonly Counterexample[] | null {
  const { workload, port, protocol } = destination;
  const access = accessTo(documents, workload, { settings, protocol });
  const forbidden = formulasOf(rulesOn(invariant, protocol), settings, protocol);
  const offset = access.formulas.length;
  const known = {
    principals: workloads.flatMap(({ principal }) => (principal === null ? [] : [principal])),
    isOpen: true,
    ports: port === null ? null : [port],
    hosts: workload.hosts,
  };
  const regions = explore(
    [...access.formulas, ...forbidden],
    (truthOf) => {
      const isForbidden = anyOf(forbidden.map((_, i) => truthOf(offset + i)));
      if (isForbidden === "false") return { outcome: null };
      const verdict = access.decide(truthOf);
      if (verdict?.allow === false) return { outcome: null };
      return verdict === null || isForbidden === "open" ? null : { outcome: verdict };
    },
    { settings, known },
    (outcome) => (outcome === null ? "" : `${outcome.formula?.policy.id} ${outcome.formula?.rule.index}`),
  );
  if (regions === null) return null;
  return regions
    .filter(({ outcome }) => outcome !== null)
    .map(({ example }) => {
      const decision = decideQuestion(documents, questionOf(example, { workload, settings, protocol }));
      if (!decision.allow) throw new Error("the engine denies what the proof calls allowed");
      return { destination, facts: example, decision };
    });
}

function isAskedOutside(facts: Facts, { workload, protocol }: Destination, { documents, settings }: Ground): boolean {
  const { peer, request } = questionOf(facts, { workload, settings, protocol });
  return createCustomMatcher(documents, workload, settings)(peer, request) !== null;
}

function anyOf(truths: readonly Truth[]): Truth {
  if (truths.includes("true")) return "true";
  return truths.includes("open") ? "open" : "false";
}

function proveUnreachable(invariant: Unreachable, workloads: readonly KnownWorkload[], reach: Reach): Proof {
  // Whoever has no identity that is known can stand for nobody's breach.
  const starts = workloads.filter(
    (each) => each.principal !== null && invariant.from.some((target) => isMeant(target, each, target.port)),
  );
  const ends = workloads.filter((each) => invariant.to.some((target) => isMeant(target, each, target.port)));
  const ways = starts.flatMap((start) => waysFrom(start, ends, invariant, reach.edges));
  const looked = starts.length * ends.length;
  const result = resultOf({ looked, isBroken: ways.length > 0, isUnknown: reach.unknown.length > 0 });
  return { invariant, result, counterexamples: [], ways, unknown: reach.unknown, looked };
}

function waysFrom(
  start: KnownWorkload,
  ends: readonly KnownWorkload[],
  { to, hops }: Unreachable,
  edges: readonly Edge[],
): readonly (readonly KnownWorkload[])[] {
  // A call to another port of the last workload is not what was forbidden, though it may lead on from there.
  const isLast = (edge: Edge): boolean => to.some((target) => isMeant(target, edge.to.workload, edge.to.port));
  const byCaller = Map.groupBy(edges, ({ from }) => from);
  const reached = reachedFrom(start, byCaller);
  const before = new Map(reached.map((each) => [each.workload, each]));
  return ends.flatMap((end) => {
    if (end === start) return [];
    const last = edges
      .filter((edge) => edge.to.workload === end && isLast(edge))
      .map(({ from }) => ({ from, hops: from === start ? 0 : (before.get(from)?.hops ?? Number.POSITIVE_INFINITY) }))
      .toSorted((a, b) => a.hops - b.hops)[0];
    if (last === undefined || last.hops + 1 > (hops ?? Number.MAX_SAFE_INTEGER)) return [];
    const way = [end];
    for (let at = last.from; at !== start; at = before.get(at)!.via) way.unshift(at);
    return [[start, ...way]];
  });
}

function isMeant(target: Target, { name }: KnownWorkload, port: number | null): boolean {
  const [namespace, service] = name.split("/");
  return (
    (target.namespace === "*" || target.namespace === namespace) &&
    (target.name === "*" || target.name === service) &&
    (target.port === null || port === null || target.port === port)
  );
}

function resultOf(of: { looked: number; isBroken: boolean; isUnknown: boolean }): Proof["result"] {
  if (of.looked === 0) return "vacuous";
  if (of.isBroken) return "broken";
  return of.isUnknown ? "unknown" : "holds";
}
