import type { AuthorizationPolicy } from "./document.ts";

/** Why a decision came out as it did. */
export type DecisionReason =
  | "allow-rule-matched"
  | "break-glass"
  | "deny-rule-matched"
  | "custom-denied"
  | "custom-failed"
  | "no-allow-rule-matched"
  | "default-action"
  | "plaintext-refused"
  | "policy-not-loaded"
  | TokenReason;

/** What a request is refused for before any policy is asked, when RequestAuthentication does not take its tokens. */
export const TOKEN_REASONS = ["token-invalid", "token-missing", "token-audience"] as const;
export type TokenReason = (typeof TOKEN_REASONS)[number];

export interface Decision {
  readonly allow: boolean;
  /**
   * `namespace/name` of the policy that decided; `mesh/default` for the mesh's defaultAction; null when ALLOW
   * policies select the workload and none of them matched, or when no policy is loaded. Of a PeerAuthentication where that
   * refuses plaintext.
   */
  readonly policy: string | null;
  /** Index of the rule that matched, from 0. */
  readonly rule: number | null;
  readonly reason: DecisionReason;
  /** Of a grant that names one: what it was asked for by. */
  readonly ticket?: string;
}

/** What a rule decides: it names itself. */
export interface RuleDecision extends Decision {
  readonly policy: string;
  readonly rule: number;
}

/** How decisions name the mesh's own defaultAction. */
export const MESH_DEFAULT_POLICY = "mesh/default";

/** Before the first policy set has arrived nothing is let through. */
export const POLICY_NOT_LOADED: Decision = denial("policy-not-loaded", null);

/** ALLOW policies select the workload and none of them matched. */
export const NO_ALLOW_RULE_MATCHED: Decision = denial("no-allow-rule-matched", null);

/** No ALLOW policy selects the workload. */
export function defaultDecision(defaultAction: "DENY" | "ALLOW"): Decision {
  const allow = defaultAction === "ALLOW";
  return Object.freeze({ allow, policy: MESH_DEFAULT_POLICY, rule: null, reason: "default-action" });
}

/** The caller proved no identity, and a PeerAuthentication, or nobody (null), demands that. No AuthorizationPolicy was asked. */
export function plaintextRefused(peerAuthentication: string | null): Decision {
  return denial("plaintext-refused", peerAuthentication);
}

/** A rule of a policy matched. */
export function ruleDecision(
  action: "ALLOW" | "DENY",
  { id: policy, terms }: Pick<AuthorizationPolicy, "id" | "terms">,
  rule: number,
): RuleDecision {
  if (action === "DENY") return Object.freeze({ allow: false, policy, rule, reason: "deny-rule-matched" });
  const reason = terms?.isBreakGlass === true ? "break-glass" : "allow-rule-matched";
  const ticket = terms?.ticket ?? null;
  return Object.freeze({ allow: true, policy, rule, reason, ...(ticket === null ? {} : { ticket }) });
}

function denial(reason: DecisionReason, policy: string | null): Decision {
  return Object.freeze({ allow: false, policy, rule: null, reason });
}
