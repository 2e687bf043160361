import type { Attribute } from "../../attributes.ts";
import type { AuthorizationPolicy } from "../../document.ts";
import type { MeshSettings } from "../../mesh-settings.ts";
import type { Rule } from "../../rule.ts";
import type { Known } from "../space/dimension.ts";
import { explore } from "../space/explore.ts";
import type { Facts, Protocol } from "../space/facts.ts";
import { type Formula, formulasOf } from "../space/formula.ts";
import type { Budget } from "../space/language.ts";
import { mayOverlap } from "./overlap.ts";

/** A rule and the policy it stands in. */
export interface RulePlace {
  readonly policy: AuthorizationPolicy;
  readonly rule: Rule;
}

/** What other rules leave of one. */
export type Cover =
  /** Some request matches it and none of the others. */
  | { readonly at: "free" }
  /** Whatever matches it, one of these matches as well. */
  | { readonly at: "covered"; readonly by: readonly RulePlace[] }
  /** Nothing matches it. */
  | { readonly at: "empty" }
  | { readonly at: "unknown" };

/** All requests there can be. */
export const ANY_REQUEST: Known = { principals: [], isOpen: true, ports: null, hosts: [] };

export interface CoverGround {
  readonly settings: MeshSettings;
  readonly budget: Budget;
}

/** Whether other rules of policies that select all that the rule's does leave anything to it, over HTTP and other bytes. */
export function coverOf(place: RulePlace, others: readonly RulePlace[], ground: CoverGround): Cover {
  const asked = addressesAsked(place.rule);
  if (asked.length > 1) return { at: "unknown" };
  const [address = "source.ip"] = asked;
  const comparable = others.filter(({ rule }) => addressesAsked(rule).every((each) => each === address));
  const by = new Set<RulePlace>();
  let isEmpty = true;
  for (const protocol of ["http", "tcp"] as const) {
    const found = coverOn(protocol, place, comparable, ground);
    if (found.at === "free" || found.at === "unknown") return found;
    if (found.at === "empty") continue;
    isEmpty = false;
    for (const each of found.by) by.add(each);
  }
  return isEmpty ? { at: "empty" } : { at: "covered", by: [...by] };
}

/** With trusted proxies before the mesh the two addresses differ, and the space takes them for one. */
export function addressesAsked({ from, when }: Rule): readonly Attribute[] {
  const asked = new Set([...(from ?? []), when].flat().map(({ attribute }) => attribute));
  return (["source.ip", "remote.ip"] as const).filter((attribute) => asked.has(attribute));
}

function coverOn(
  protocol: Protocol,
  place: RulePlace,
  others: readonly RulePlace[],
  { settings, budget }: CoverGround,
): Cover {
  const formula = formulaOn(protocol, place, settings);
  if (formula === null) return { at: "empty" };
  const world = { settings, known: ANY_REQUEST, budget };
  const examples = matchesOf(formula, world);
  if (examples === null) return { at: "unknown" };
  if (examples.length === 0) return { at: "empty" };
  const candidates = others
    .filter((other) => mayOverlap(place.rule, other.rule))
    .flatMap((other) => {
      const its = formulaOn(protocol, other, settings);
      return its === null ? [] : [{ place: other, formula: its }];
    });
  // Most rules have an example that no other matches; that is the end of it, without looking at all requests.
  if (examples.some((facts) => !candidates.some((each) => holds(each.formula, facts)))) return { at: "free" };
  for (const each of candidates) {
    if (!examples.every((facts) => holds(each.formula, facts))) continue;
    if (firstCovering(formula, [each.formula], world) !== null) return { at: "covered", by: [each.place] };
  }
  const used = firstCovering(
    formula,
    candidates.map((each) => each.formula),
    world,
  );
  if (used === null) return budget.left < 0 ? { at: "unknown" } : { at: "free" };
  return { at: "covered", by: used.map((i) => candidates[i]!.place) };
}

/** The rule as the space has it; null when it can match nothing on the protocol. */
export function formulaOn(protocol: Protocol, { policy, rule }: RulePlace, settings: MeshSettings): Formula | null {
  return formulasOf({ ...policy, rules: [rule] }, settings, protocol)[0] ?? null;
}

interface Ground {
  readonly settings: MeshSettings;
  readonly known: Known;
  readonly budget: Budget;
}

/** A request for each way in which the rule can match; null: not known. */
export function matchesOf(formula: Formula, world: Ground): readonly Facts[] | null {
  const regions = explore(
    [formula],
    (truthOf, termsOf) => {
      const truth = truthOf(0);
      if (truth === "open") return null;
      return { outcome: truth === "true" ? termsOf(0) : null };
    },
    world,
    (terms) => terms ?? "",
  );
  return regions?.filter(({ outcome }) => outcome !== null).map(({ example }) => example) ?? null;
}

/** Which of the formulas are there first for some request that the first one matches; null: one is left to it, or unknown. */
function firstCovering(formula: Formula, others: readonly Formula[], world: Ground): readonly number[] | null {
  const regions = explore(
    [formula, ...others],
    (truthOf) => {
      const truth = truthOf(0);
      if (truth === "false") return { outcome: "outside" as const };
      let isOpen = truth === "open";
      for (const i of others.keys()) {
        const its = truthOf(i + 1);
        if (its === "true") return isOpen ? null : { outcome: i };
        if (its === "open") isOpen = true;
      }
      return isOpen ? null : { outcome: "free" as const };
    },
    world,
    String,
  );
  if (regions === null || regions.some(({ outcome }) => outcome === "free")) return null;
  return regions.flatMap(({ outcome }) => (typeof outcome === "number" ? [outcome] : []));
}

function holds({ groups }: Formula, facts: Facts): boolean {
  return groups.every((terms) => terms.some((tests) => tests.every((test) => test.holds(facts))));
}
