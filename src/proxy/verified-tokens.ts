import { hash } from "node:crypto";
import { LIMITS } from "../core/limits.ts";
import type { Token } from "../policy/authentication/token.ts";
import type { TokenRule } from "../policy/authentication/verify-token.ts";
import type { Claims } from "../policy/claims.ts";

/** A token that is believed, and by which rule. */
export interface VerifiedToken {
  readonly token: Token;
  readonly by: TokenRule;
  /** As policies see them. */
  readonly claims: Claims;
}

/**
 * Tokens whose signatures have been found good, by their digest: kept as long as their keys, whose set they belong to, and
 * asked for their time at each use. The one that was used longest ago goes first.
 */
export class VerifiedTokens {
  readonly #kept = new Map<string, VerifiedToken>();

  get(text: string): VerifiedToken | null {
    const key = digestOf(text);
    const known = this.#kept.get(key);
    if (known === undefined) return null;
    this.#kept.delete(key);
    this.#kept.set(key, known);
    return known;
  }

  add(text: string, verified: VerifiedToken): void {
    if (this.#kept.size >= LIMITS.verifiedTokensMax) {
      const [oldest] = this.#kept.keys();
      if (oldest !== undefined) this.#kept.delete(oldest);
    }
    this.#kept.set(digestOf(text), verified);
  }
}

/** The digest of a secret, so that a heap does not hold the tokens as keys as well. */
function digestOf(text: string): string {
  return hash("sha256", text, "base64");
}
