import type { Decision } from "./decision.ts";

/** What policies say of a request or connection without deciding anything. */
export interface Observation {
  /** The first rule of an AUDIT policy that matches. */
  readonly audit: RuleName | null;
  /**
   * The decision as it would be, were the policies that are in a dry run enforced beside the others; null where that is
   * to allow as well, or to deny as well.
   */
  readonly dryRun: Decision | null;
}

export interface RuleName {
  /** `namespace/name`. */
  readonly policy: string;
  readonly rule: number;
}

/** `namespace/name#rule`, as records name a rule in one word. */
export function formatRuleName({ policy, rule }: { readonly policy: string; readonly rule: number | null }): string {
  return rule === null ? policy : `${policy}#${rule}`;
}
