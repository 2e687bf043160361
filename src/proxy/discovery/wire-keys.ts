import { CardeaError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { AuthenticationDocument } from "../../policy/authentication/document.ts";
import { type FetchedKeys, tokenRulesOf } from "../../policy/authentication/key-source.ts";
import { loadVerifier } from "../../policy/authentication/verify-token.ts";
import type { AdmissionStep } from "../admission-steps.ts";
import { AuthenticateStep } from "../authenticate.ts";
import type { WireUnread } from "./wire-policy.ts";

/** A step, and all that it was made of. */
export interface Authenticating {
  readonly step: AdmissionStep;
  readonly madeOf: string;
}

/**
 * The step that checks tokens, by the keys that came with the set; null: no rule knows any token. Where neither rules nor keys
 * have changed it is the one before, with the tokens that it has verified. Errors: `bad-input`.
 */
export async function authenticatingStep(
  documents: readonly AuthenticationDocument[],
  keys: readonly WireUnread<"KeySet">[],
  { clock, before }: { readonly clock: Clock; readonly before: Authenticating | null },
): Promise<Authenticating | null> {
  const fetched = keys.map(readKeys);
  const rules = tokenRulesOf(documents, new Map(fetched));
  if (rules.length === 0) return null;
  const ruling = documents.filter(({ kind }) => kind === "RequestAuthentication").map(({ raw }) => raw);
  const madeOf = JSON.stringify([ruling, fetched]);
  if (before?.madeOf === madeOf) return before;
  // Before the set is in force: the first request must not wait for a module.
  await loadVerifier();
  return { step: new AuthenticateStep(rules, clock), madeOf };
}

/** `KeySet/keys/<id>` → the id, and what the control plane has. */
function readKeys({ name, document }: WireUnread<"KeySet">): readonly [string, FetchedKeys] {
  const { jwks = null, error = null } = (document ?? {}) as Partial<FetchedKeys>;
  const id = name.slice(name.lastIndexOf("/") + 1);
  if (typeof jwks === "string") return [id, { jwks, error: null }];
  if (typeof error === "string") return [id, { jwks: null, error }];
  throw new CardeaError("bad-input", `${name} has neither keys nor an error`);
}
