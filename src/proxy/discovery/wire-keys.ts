import { CardeaError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { AuthenticationDocument } from "../../policy/authentication/document.ts";
import { type FetchedKeys, tokenRulesOf } from "../../policy/authentication/key-source.ts";
import { loadVerifier } from "../../policy/authentication/verify-token.ts";
import type { AdmissionStep } from "../admission-steps.ts";
import { AuthenticateStep } from "../authenticate.ts";
import type { WireUnread } from "./wire-policy.ts";

/** The step that checks tokens, by the keys that came with the set; null: no rule knows any token. Errors: `bad-input`. */
export async function authenticatingStep(
  documents: readonly AuthenticationDocument[],
  keys: readonly WireUnread<"KeySet">[],
  clock: Clock,
): Promise<AdmissionStep | null> {
  const rules = tokenRulesOf(documents, new Map(keys.map(readKeys)));
  if (rules.length === 0) return null;
  // Before the set is in force: the first request must not wait for a module.
  await loadVerifier();
  return new AuthenticateStep(rules, clock);
}

/** `KeySet/keys/<id>` → the id, and what the control plane has. */
function readKeys({ name, document }: WireUnread<"KeySet">): readonly [string, FetchedKeys] {
  const { jwks = null, error = null } = (document ?? {}) as Partial<FetchedKeys>;
  const id = name.slice(name.lastIndexOf("/") + 1);
  if (typeof jwks === "string") return [id, { jwks, error: null }];
  if (typeof error === "string") return [id, { jwks: null, error }];
  throw new CardeaError("bad-input", `${name} has neither keys nor an error`);
}
