import { CardeaError } from "../core/errors.ts";
import type { AuthenticationDocument } from "../policy/authentication/document.ts";
import { tokenRulesOf } from "../policy/authentication/key-source.ts";
import { parseToken } from "../policy/authentication/token.ts";
import { verifyToken } from "../policy/authentication/verify-token.ts";
import { type Claims, withWordLists } from "../policy/claims.ts";
import { TOKEN_REASONS, type TokenReason } from "../policy/decision.ts";
import type { Workload } from "../policy/facts.ts";
import { selectPolicies } from "../policy/select.ts";

/** Whose request it is: by its claims, or why no sidecar would let it come as far as a policy. */
export type Authenticated =
  | { readonly ok: true; readonly claims: Claims | null }
  | { readonly ok: false; readonly reason: TokenReason; readonly status: 401 | 403; readonly error: string };

/** What a line says of its user. */
export interface EvalUser {
  /** Taken for verified. */
  readonly claims: Claims | null;
  /** To be verified; it goes before the claims. */
  readonly token: string | null;
}

interface EvalWorld {
  readonly authentication: readonly AuthenticationDocument[];
  readonly rootNamespace: string;
  readonly nowMs: number;
}

/**
 * The check that a sidecar makes, wherever in the request the token stands. Keys that the control plane would fetch are not
 * at hand here: a token of such a rule is refused, as it is where they cannot be had.
 */
export async function authenticate(user: EvalUser, workload: Workload, world: EvalWorld): Promise<Authenticated> {
  const rules = tokenRulesOf(selectPolicies(world.authentication, workload, world.rootNamespace), new Map());
  const words = ["permission", "scope", ...rules.flatMap(({ rule }) => rule.spaceDelimitedClaims)];
  if (user.token === null || rules.length === 0) {
    const isMissing = user.claims === null && rules.some(({ rule }) => rule.isRequired);
    if (isMissing)
      return { ok: false, reason: "token-missing", status: 401, error: "it brings no token, and a rule requires one" };
    return { ok: true, claims: user.claims === null ? null : withWordLists(user.claims, words) };
  }
  try {
    const token = parseToken(user.token);
    const { rule } = await verifyToken(token, rules, world.nowMs);
    return { ok: true, claims: withWordLists(token.claims, rule.spaceDelimitedClaims) };
  } catch (thrown) {
    const reason = thrown instanceof CardeaError ? TOKEN_REASONS.find((each) => each === thrown.code) : undefined;
    if (reason === undefined) throw thrown;
    const status = reason === "token-audience" ? 403 : 401;
    return { ok: false, reason, status, error: (thrown as CardeaError).message };
  }
}
