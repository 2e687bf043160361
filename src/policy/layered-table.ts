import type { Steps } from "../core/slices.ts";
import type { Decision } from "./decision.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { compileTable, type RuleTable } from "./rule-table.ts";

/** The rules of one action: those of a table that was compiled whole, and what has changed since. */
export interface LayeredTable {
  readonly base: RuleTable;
  /** Names of policies of `base` that do not count any more; null: all count. */
  readonly gone: ReadonlySet<string> | null;
  /** Policies that came later, with orders between those of `base`; null: none. */
  readonly added: RuleTable | null;
  /** What each rule decides, in their order. */
  readonly rules: readonly Decision[];
}

/** More changes than this share are compiled into a new base. */
const CHANGED_SHARE_MAX = 1 / 8;
/** A few never are: a small table is compiled as fast as layered. */
const BASE_MIN = 64;

/**
 * Compiles the policies of one action, in the order in which they are reported. Of policies that `before` has too, the very
 * same objects, nothing is compiled again.
 */
export function* layerTable(
  policies: readonly AuthorizationPolicy[],
  settings: MeshSettings,
  before: LayeredTable | null,
): Steps<LayeredTable> {
  const change = before === null || before.base.places.size < BASE_MIN ? null : changeOf(policies, before.base);
  if (before === null || change === null) {
    const base = yield* compileTable(policies, settings);
    return { base, gone: null, added: null, rules: base.rules };
  }
  const { added, gone, orders } = change;
  const table = added.length === 0 ? null : yield* compileTable(added, settings, orders);
  return {
    base: before.base,
    gone: gone.size === 0 ? null : gone,
    added: table,
    rules: rulesOf(policies, before.base, table),
  };
}

interface Change {
  readonly added: readonly AuthorizationPolicy[];
  /** Of each rule of `added`, in turn. */
  readonly orders: readonly number[];
  readonly gone: ReadonlySet<string>;
}

/** What makes the policies of the base; null where that is too much. */
function changeOf(policies: readonly AuthorizationPolicy[], { places }: RuleTable): Change | null {
  const added: AuthorizationPolicy[] = [];
  const gaps: number[] = [];
  let gap = 0;
  for (const policy of policies) {
    const place = places.get(policy);
    if (place === undefined) {
      added.push(policy);
      for (const _ of policy.rules) gaps.push(gap);
    } else gap = place.first + policy.rules.length;
  }
  const kept = policies.length - added.length;
  if (added.length + places.size - kept > places.size * CHANGED_SHARE_MAX) return null;
  const gone = new Set<string>();
  if (kept < places.size) {
    const still = new Set(policies);
    for (const policy of places.keys()) if (!still.has(policy)) gone.add(policy.id);
  }
  // Past the last rule before the gap and short of the first one after it.
  const orders = gaps.map((each, i) => each - 1 + (i + 1) / (gaps.length + 1));
  return { added, orders, gone };
}

function rulesOf(
  policies: readonly AuthorizationPolicy[],
  base: RuleTable,
  added: RuleTable | null,
): readonly Decision[] {
  return policies.flatMap((policy) => {
    const table = base.places.has(policy) ? base : added!;
    const { first } = table.places.get(policy)!;
    return table.rules.slice(first, first + policy.rules.length);
  });
}
