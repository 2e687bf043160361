import { LIMITS } from "../../../core/limits.ts";
import type { MeshSettings } from "../../mesh-settings.ts";
import { type Dimension, dimensionFor, type DimensionName, dimensionOf, type Known } from "./dimension.ts";
import { type Facts, PLAIN_FACTS } from "./facts.ts";
import type { Formula, Test } from "./formula.ts";
import type { Budget } from "./language.ts";

/** What is known of a formula when only some of the facts are. */
export type Truth = "true" | "false" | "open";

/**
 * Says what comes of the formulas' truths, by their index; null while it still depends on an open one. `termsOf` names the
 * terms of a formula that the facts leave possible: two requests that match a rule by other operations are told apart by it.
 */
export type Judge<O> = (
  truthOf: (formula: number) => Truth,
  termsOf: (formula: number) => string,
) => { readonly outcome: O } | null;

/** All requests that come to one outcome in one way, by an example. */
export interface Region<O> {
  readonly outcome: O;
  readonly example: Facts;
}

export interface World {
  readonly settings: MeshSettings;
  readonly known: Known;
  /** Dimensions of which every value gets an answer of its own, whether or not the clauses tell it from others. */
  readonly apart?: readonly DimensionName[];
  /** Of its own when left out: `policyAnalysisStepsMax`. */
  readonly budget?: Budget;
}

/** Who calls is what most rules ask first, and paths are what they tell apart most: so that few states stand side by side. */
const ORDER: readonly (DimensionName | "header" | "claim")[] = [
  "principal",
  "port",
  "source-ip",
  "remote-ip",
  "destination-ip",
  "sni",
  "method",
  "host",
  "header",
  "claim",
  "path",
];

/**
 * Every outcome that any request has, each with the first example found of it by `keyOf`. Exact: clauses ask about
 * dimensions that do not depend on each other, each dimension has one value of each kind that the clauses tell apart, and
 * of the values of all dimensions every combination is looked at, where those that leave the same terms possible are one
 * (like a decision diagram). Null: the budget was spent before; the answer is not known.
 */
export function explore<O>(
  formulas: readonly Formula[],
  judge: Judge<O>,
  world: World,
  keyOf: (outcome: O, example: Facts) => string,
): readonly Region<O>[] | null {
  const budget = world.budget ?? { left: LIMITS.policyAnalysisStepsMax };
  const plan = planOf(formulas, { ...world, budget });
  if (plan === null) return null;
  const found = new Map<string, Region<O>>();
  const settle = (alive: bigint, step: number, facts: Facts): boolean => {
    const judged = judge(
      (formula) => plan.truthOf(formula, alive, step),
      (formula) => plan.termsOf(formula, alive),
    );
    if (judged === null) return false;
    const key = keyOf(judged.outcome, facts);
    if (!found.has(key)) found.set(key, { outcome: judged.outcome, example: facts });
    return true;
  };
  const isSettled = plan.layers.length === 0 && settle(plan.all, 0, PLAIN_FACTS);
  const first = { alive: plan.all, apart: "", facts: PLAIN_FACTS };
  let states: ReadonlyMap<string, State> = new Map(isSettled ? [] : [["", first]]);
  for (const [step, layer] of plan.layers.entries()) {
    const next = new Map<string, State>();
    for (const { alive, apart, facts } of states.values()) {
      // Where no term asks any longer, one value is as good as another.
      const isAsked = layer.isApart || (alive & layer.asking) !== 0n;
      for (const { mask, value, name } of isAsked ? layer.values : layer.values.slice(0, 1)) {
        // Some four times the work of an automaton's step.
        budget.left -= 4 * (1 + formulas.length);
        if (budget.left < 0) return null;
        const state = { alive: plan.reduce(alive & mask), apart: apart + name, facts: withValue(facts, value) };
        const key = `${state.alive}${state.apart}`;
        if (next.has(key) || settle(state.alive, step + 1, state.facts)) continue;
        next.set(key, state);
      }
    }
    states = next;
  }
  if (states.size > 0) throw new Error("a judge left a question open whose facts are all known");
  return [...found.values()];
}

interface State {
  readonly alive: bigint;
  /** Which values of the dimensions that are kept apart. */
  readonly apart: string;
  readonly facts: Facts;
}

function withValue(facts: Facts, value: Partial<Facts>): Facts {
  const headers = { ...facts.headers, ...value.headers };
  const claims = value.claims == null ? facts.claims : { ...facts.claims, ...value.claims };
  return { ...facts, ...value, headers, claims };
}

interface Layer {
  /** Terms with a test on this dimension. */
  readonly asking: bigint;
  readonly isApart: boolean;
  /** What each value leaves possible: all terms but those whose tests it fails. */
  readonly values: readonly { readonly mask: bigint; readonly value: Partial<Facts>; readonly name: string }[];
}

interface Plan {
  readonly all: bigint;
  readonly layers: readonly Layer[];
  /** Drops the terms of formulas that can no longer be true. */
  reduce(alive: bigint): bigint;
  /** `step`: how many layers are known. */
  truthOf(formula: number, alive: bigint, step: number): Truth;
  termsOf(formula: number, alive: bigint): string;
}

interface Bit {
  readonly bit: bigint;
  readonly tests: readonly Test[];
}

type BoundWorld = World & { readonly budget: Budget };

function planOf(formulas: readonly Formula[], world: BoundWorld): Plan | null {
  let next = 1n;
  const bits: Bit[] = [];
  const groups = formulas.map((formula) =>
    formula.groups.map((terms) => {
      let mask = 0n;
      for (const tests of terms) {
        bits.push({ bit: next, tests });
        mask |= next;
        next <<= 1n;
      }
      return mask;
    }),
  );
  const all = next - 1n;
  const dimensions = dimensionsOf(bits, world);
  if (dimensions === null) return null;
  const layers = dimensions.map((each) => layerOf(each, bits, all, world.apart?.includes(each.name) ?? false));
  const complete = completeAfter(layers, all);
  return {
    all,
    layers,
    reduce: (alive) => reduced(alive, groups),
    termsOf: (formula, alive) => groups[formula]!.map((group) => (alive & group).toString(36)).join("."),
    truthOf(formula, alive, step) {
      let isTrue = true;
      for (const group of groups[formula]!) {
        const left = alive & group;
        if (left === 0n) return "false";
        if ((left & complete[step]!) === 0n) isTrue = false;
      }
      return isTrue ? "true" : "open";
    },
  };
}

function dimensionsOf(bits: readonly Bit[], world: BoundWorld): readonly Dimension[] | null {
  const tests = Map.groupBy(
    bits.flatMap((bit) => bit.tests),
    ({ clause, context }) => dimensionOf(clause, context.settings),
  );
  const names = new Set<DimensionName>([...(world.apart ?? []), ...tests.keys()]);
  const dimensions = [...names].toSorted((a, b) => placeOf(a) - placeOf(b));
  const found = dimensions.map((name) => dimensionFor(name, tests.get(name) ?? [], world));
  return found.every((dimension) => dimension !== null) ? found : null;
}

function placeOf(name: DimensionName): number {
  return ORDER.findIndex((each) => name === each || name.startsWith(`${each} `));
}

function layerOf({ name, values }: Dimension, bits: readonly Bit[], all: bigint, isApart: boolean): Layer {
  let asking = 0n;
  const asked: Bit[] = [];
  for (const { bit, tests } of bits) {
    const here = tests.filter(({ clause, context }) => dimensionOf(clause, context.settings) === name);
    if (here.length === 0) continue;
    asking |= bit;
    asked.push({ bit, tests: here });
  }
  const distinct = new Map<string, Layer["values"][number]>();
  for (const value of values) {
    const facts = { ...PLAIN_FACTS, ...value };
    let mask = all;
    for (const { bit, tests } of asked) if (!tests.every((test) => test.holds(facts))) mask ^= bit;
    const apart = isApart ? `/${JSON.stringify(value)}` : "";
    const key = `${mask}${apart}`;
    if (!distinct.has(key)) distinct.set(key, { mask, value, name: apart });
  }
  return { asking, isApart, values: [...distinct.values()] };
}

/** The terms that ask nothing more once so many layers are known. */
function completeAfter(layers: readonly Layer[], all: bigint): readonly bigint[] {
  const complete = [all];
  for (const layer of layers.toReversed()) complete.unshift(complete[0]! & (all ^ layer.asking));
  return complete;
}

function reduced(alive: bigint, groups: readonly (readonly bigint[])[]): bigint {
  let left = alive;
  for (const group of groups) if (group.some((mask) => (left & mask) === 0n)) for (const mask of group) left &= ~mask;
  return left;
}
