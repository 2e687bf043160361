import type { AuthorizationPolicy } from "./document.ts";
import type { GrantTerms } from "./document-parts.ts";

/** Whether the grant holds at a time. It ends when its end is reached. */
export function holdsAt({ fromMs, untilMs }: GrantTerms, atMs: number): boolean {
  return (fromMs === null || atMs >= fromMs) && (untilMs === null || atMs < untilMs);
}

/**
 * The policies as they are at a time: a grant that does not hold has no rules. It still is an ALLOW policy of its workloads,
 * so that where `defaultAction` is ALLOW its end closes and never opens.
 */
export function policiesAt(documents: readonly AuthorizationPolicy[], atMs: number): readonly AuthorizationPolicy[] {
  if (documents.every(({ terms }) => terms === null)) return documents;
  return documents.map((policy) =>
    policy.terms === null || holdsAt(policy.terms, atMs) ? policy : { ...policy, rules: [] },
  );
}

/** When the next grant begins or ends; null: none will. */
export function nextChangeMs(documents: readonly AuthorizationPolicy[], atMs: number): number | null {
  const times = documents.flatMap(({ terms }) => (terms === null ? [] : [terms.fromMs, terms.untilMs]));
  const later = times.filter((ms): ms is number => ms !== null && ms > atMs);
  return later.length === 0 ? null : Math.min(...later);
}
