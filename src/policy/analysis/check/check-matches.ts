import { needsHttp } from "../../attributes.ts";
import type { Clause } from "../../clause.ts";
import type { AuthorizationPolicy } from "../../document.ts";
import type { Rule } from "../../rule.ts";
import { dimensionFor, dimensionOf } from "../space/dimension.ts";
import { explore } from "../space/explore.ts";
import { PLAIN_FACTS } from "../space/facts.ts";
import type { Formula, Test } from "../space/formula.ts";
import type { CheckGround } from "./check-policies.ts";
import { addressesAsked, ANY_REQUEST, type CoverGround, formulaOn, matchesOf, type RulePlace } from "./cover.ts";
import { findingAt, type PolicyFinding } from "./policy-finding.ts";

/** Rules that match nothing or everything, and values that nothing can have. */
export function checkMatches(about: readonly AuthorizationPolicy[], ground: CheckGround): readonly PolicyFinding[] {
  const known = new Map<string, boolean>();
  return about.flatMap((policy) =>
    policy.rules.flatMap((rule) => {
      const formula = formulaOn("http", { policy, rule }, ground.settings);
      if (formula === null) return [];
      const empty = addressesAsked(rule).length > 1 ? [] : checkEmpty({ policy, rule }, formula, ground);
      return [
        ...testsOf(formula).flatMap((test) => checkValues(test, policy, ground, known)),
        ...empty,
        ...(empty.length === 0 ? checkBreadth({ policy, rule }, formula, ground) : []),
      ];
    }),
  );
}

function testsOf({ groups }: Formula): readonly Test[] {
  return groups.flat(2);
}

/** Paths that normalisation leaves of nothing that is sent, methods that no request can have, and the like. */
function checkValues(
  test: Test,
  policy: AuthorizationPolicy,
  ground: CheckGround,
  known: Map<string, boolean>,
): readonly PolicyFinding[] {
  const { clause } = test;
  if (!needsHttp(clause.attribute) || isPlain(clause)) return [];
  return clause.values.flatMap((value, i) => {
    const key = JSON.stringify([clause.attribute, clause.isNegated, policy.action, value]);
    const canMatch = known.get(key) ?? isPossible({ ...clause, values: [value] }, { policy, ground });
    known.set(key, canMatch);
    if (canMatch) return [];
    const because =
      clause.attribute === "request.path"
        ? `under pathNormalization ${ground.settings.pathNormalization} no path comes out like that`
        : "nothing that can be sent is like it";
    const at = { code: "value-never-matches", field: `${clause.field}[${i}]`, line: clause.line } as const;
    return [findingAt(policy, at, `${JSON.stringify(value)} never matches: ${because}`)];
  });
}

/** So are nearly all, and nothing is to be found of them. */
function isPlain({ attribute, values }: Clause): boolean {
  const plain = attribute === "request.path" ? /^\/?(?!.*\/\/)[\w/-]*\*?$/ : /^[A-Z]+$/;
  return values.every((value) => plain.test(value));
}

function isPossible(
  clause: Clause,
  { policy, ground }: { readonly policy: AuthorizationPolicy; readonly ground: CheckGround },
): boolean {
  const { settings, budget } = ground.forOneRule();
  const when = { index: 0, from: null, to: null, when: [clause], source: policy.source };
  const test = testsOf(formulaOn("http", { policy, rule: when }, settings)!)[0]!;
  const dimension = dimensionFor(dimensionOf(clause, settings), [test], { settings, known: ANY_REQUEST, budget });
  const matches = dimension?.values.some((value) => test.holds({ ...PLAIN_FACTS, ...value }) !== clause.isNegated);
  return matches ?? true;
}

function checkEmpty(place: RulePlace, formula: Formula, ground: CheckGround): readonly PolicyFinding[] {
  const { policy, rule } = place;
  const isEmpty = (of: Formula): boolean | null => emptiness(of, ground.forOneRule());
  const whole = isEmpty(formula);
  if (whole === null) ground.unknown.add(rule);
  if (whole === null) return [];
  if (whole) {
    const code = policy.action === "DENY" ? "deny-never-matches" : "contradicting-clauses";
    const clause = clauseToBlame(place, isEmpty, ground);
    const field = `spec.rules[${rule.index}]`;
    if (clause === null) return [findingAt(policy, { code, field, line: rule.source.line }, "no request can match it")];
    const isAlone = !clause.isNegated && !isPossible(clause, { policy, ground });
    // Each of its values is a finding already; of a DENY rule it has to be said what comes of it.
    if (isAlone && policy.action !== "DENY") return [];
    const why = isAlone
      ? "none of these values can occur"
      : "this and the clauses that must hold with it exclude each other";
    const message = `no request can match rule ${rule.index}: ${why}`;
    return [findingAt(policy, { code, field: clause.field, line: clause.line }, message)];
  }
  return formula.groups.flatMap((terms, group) => {
    if (terms.length < 2) return [];
    return terms.flatMap((term, i) => {
      const alone = { ...formula, groups: formula.groups.with(group, [term]) };
      if (isEmpty(alone) !== true) return [];
      const field = `spec.rules[${rule.index}].${group === 0 ? "from" : "to"}[${i}]`;
      const line = term[0]?.clause.line ?? rule.source.line;
      const message = "no request can match this alternative: its clauses, and those of `when`, exclude each other";
      return [findingAt(policy, { code: "contradicting-clauses", field, line }, message)];
    });
  });
}

function emptiness(formula: Formula, { settings, budget }: CoverGround): boolean | null {
  const matches = matchesOf(formula, { settings, known: ANY_REQUEST, budget });
  return matches === null ? null : matches.length === 0;
}

/** The last clause without which something would match. */
function clauseToBlame(
  { policy, rule }: RulePlace,
  isEmpty: (formula: Formula) => boolean | null,
  { settings }: CheckGround,
): Clause | null {
  const clauses = [...(rule.from ?? []).flat(), ...(rule.to ?? []).flat(), ...rule.when];
  const isBlamed = (clause: Clause): boolean => {
    const without = (list: readonly Clause[]): readonly Clause[] => list.filter((each) => each !== clause);
    const rest: Rule = {
      ...rule,
      from: rule.from?.map(without) ?? null,
      to: rule.to?.map(without) ?? null,
      when: without(rule.when),
    };
    const formula = formulaOn("http", { policy, rule: rest }, settings);
    return formula !== null && isEmpty(formula) === false;
  };
  return clauses.findLast(isBlamed) ?? null;
}

/** An ALLOW rule that asks nothing, in whatever words. */
function checkBreadth({ policy, rule }: RulePlace, formula: Formula, ground: CheckGround): readonly PolicyFinding[] {
  // A rule that names a port, or a caller without a pattern, is not that broad: no need to look at all requests.
  const asksExactly = testsOf(formula).some(({ clause }) => clause.attribute === "destination.port");
  if (policy.action !== "ALLOW" || asksExactly) return [];
  const refused = refusedCallers(formula, ground.forOneRule());
  if (refused === null || refused.identified) return [];
  const whom = refused.anonymous ? "every caller that has an identity, of whichever trust domain" : "everybody";
  const at = { code: "allows-everybody", field: `spec.rules[${rule.index}]`, line: rule.source.line } as const;
  return [findingAt(policy, at, `allows every request of ${whom}, on every port`)];
}

/** Whether the rule turns anything away of callers with, and without, an identity; null: not known. */
function refusedCallers(
  formula: Formula,
  { settings, budget }: CoverGround,
): { readonly identified: boolean; readonly anonymous: boolean } | null {
  const regions = explore(
    [formula],
    (truthOf) => {
      const truth = truthOf(0);
      return truth === "open" ? null : { outcome: truth };
    },
    { settings, known: ANY_REQUEST, apart: ["principal"], budget },
    (truth, { principal }) => `${truth} ${principal === null}`,
  );
  if (regions === null) return null;
  const refused = regions.filter(({ outcome }) => outcome === "false");
  return {
    identified: refused.some(({ example }) => example.principal !== null),
    anonymous: refused.some(({ example }) => example.principal === null),
  };
}
