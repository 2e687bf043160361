import type { Decision } from "../decision.ts";
import type { AuthorizationPolicy } from "../document.ts";
import { decideQuestion } from "../explain.ts";
import type { MeshSettings } from "../mesh-settings.ts";
import { type Destination, destinationsOf, type KnownWorkload, nameOf } from "./known-workload.ts";
import { accessTo } from "./space/access.ts";
import { explore } from "./space/explore.ts";
import { type Facts, questionOf } from "./space/facts.ts";

/** Requests of one kind that two sets of policies decide otherwise. */
export interface Flip {
  readonly destination: Destination;
  readonly change: "newly-allowed" | "newly-denied";
  readonly before: Decision;
  readonly after: Decision;
  /**
   * An example for each who could make such a request (a known caller, somebody without identity, a stranger), and for each
   * way in which it matches the rules.
   */
  readonly examples: readonly Facts[];
}

export interface PolicyDiff {
  readonly flips: readonly Flip[];
  /** Destinations with more to tell apart than could be looked at. */
  readonly unknown: readonly string[];
  readonly looked: number;
}

/** Two sets of policies, and whom they are about. */
export interface DiffGround {
  readonly before: readonly AuthorizationPolicy[];
  readonly after: readonly AuthorizationPolicy[];
  readonly settings: MeshSettings;
  readonly workloads: readonly KnownWorkload[];
  /** Who may call them; left out: each other. */
  readonly callers?: readonly KnownWorkload[];
}

/** What changes in meaning, over all requests: a rule written in another way that decides the same is no change. */
export function diffPolicies(ground: DiffGround): PolicyDiff {
  const destinations = ground.workloads.flatMap(destinationsOf);
  const flips: Flip[] = [];
  const unknown: string[] = [];
  for (const destination of destinations) {
    const found = flipsOn(destination, ground);
    if (found === null) unknown.push(nameOf(destination));
    else flips.push(...found);
  }
  return { flips, unknown, looked: destinations.length };
}

function flipsOn(destination: Destination, ground: DiffGround): readonly Flip[] | null {
  const { workload, port, protocol } = destination;
  const { settings, callers = ground.workloads } = ground;
  const about = { settings, protocol };
  const before = accessTo(ground.before, workload, about);
  const after = accessTo(ground.after, workload, about);
  const offset = before.formulas.length;
  const known = {
    principals: [...new Set(callers.flatMap(({ principal }) => (principal === null ? [] : [principal])))],
    isOpen: true,
    ports: port === null ? null : [port],
    hosts: workload.hosts,
  };
  const regions = explore(
    [...before.formulas, ...after.formulas],
    (truthOf, termsOf) => {
      const old = before.decide(truthOf);
      const now = after.decide((formula) => truthOf(offset + formula));
      if (old === null || now === null) return null;
      if (old.allow === now.allow) return { outcome: null };
      const was = old.formula === null ? "" : termsOf(before.formulas.indexOf(old.formula));
      const is = now.formula === null ? "" : termsOf(offset + after.formulas.indexOf(now.formula));
      return { outcome: { old, now, terms: `${was} ${is}` } };
    },
    { settings, known, apart: ["principal"] },
    (flip, { principal }) =>
      flip === null ? "" : [principal, ruleName(flip.old.formula), ruleName(flip.now.formula), flip.terms].join(" "),
  );
  if (regions === null) return null;
  const flipped = regions.flatMap(({ outcome, example }) => (outcome === null ? [] : [{ ...outcome, example }]));
  const byRules = Map.groupBy(flipped, ({ old, now }) => `${ruleName(old.formula)} ${ruleName(now.formula)}`);
  return [...byRules.values()].map((same) => {
    const examples = same.map(({ example }) => example);
    const question = questionOf(examples[0]!, { workload, ...about });
    const [was, is] = [decideQuestion(ground.before, question), decideQuestion(ground.after, question)];
    if (was.allow === is.allow) throw new Error("the engine decides alike what the comparison calls a change");
    return { destination, change: is.allow ? "newly-allowed" : "newly-denied", before: was, after: is, examples };
  });
}

function ruleName(
  formula: { readonly policy: AuthorizationPolicy; readonly rule: { readonly index: number } } | null,
): string {
  return formula === null ? "-" : `${formula.policy.id}#${formula.rule.index}`;
}
