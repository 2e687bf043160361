import { createHash } from "node:crypto";
import type { AuthenticationDocument } from "./document.ts";
import { ofKind } from "./document.ts";
import type { KeySource } from "./jwt-rule.ts";
import { parseKeySet, type VerificationKey } from "./key-set.ts";
import type { TokenRule } from "./verify-token.ts";

/** Keys that the control plane fetches, or what stands in the way. */
export type FetchedKeys =
  | { readonly jwks: string; readonly error: null }
  | { readonly jwks: null; readonly error: string };

/** Keys that are not in the policy itself. */
export type FetchedSource = Exclude<KeySource, { readonly from: "policy" }>;

/** By what name keys travel: rules with the same source share them. */
export function keySourceId(source: FetchedSource): string {
  const text = source.from === "uri" ? `uri ${source.uri}` : `discovery ${source.issuer}`;
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

/**
 * The rules of the documents with their keys, in Istio's order: by issuer, and among those of one as they were written.
 * Keys that have not come are none: no token of such a rule is believed.
 */
export function tokenRulesOf(
  documents: readonly AuthenticationDocument[],
  fetched: ReadonlyMap<string, FetchedKeys>,
): readonly TokenRule[] {
  const rules = ofKind(documents, "RequestAuthentication").flatMap(({ jwtRules, isExpirationRequired }) =>
    jwtRules.map((rule) => ({ rule, isExpirationRequired, keys: keysOf(rule.keys, fetched) })),
  );
  return rules.toSorted((a, b) => compare(a.rule.issuer ?? "", b.rule.issuer ?? ""));
}

function keysOf(source: KeySource, fetched: ReadonlyMap<string, FetchedKeys>): readonly VerificationKey[] | string {
  if (source.from === "policy") return source.keys;
  const found = fetched.get(keySourceId(source));
  const place = source.from === "uri" ? source.uri : `the issuer ${source.issuer}`;
  if (found === undefined) return `the keys of ${place} have not been fetched`;
  if (found.jwks === null) return `the keys of ${place} cannot be had: ${found.error}`;
  try {
    return parseKeySet(found.jwks);
  } catch (thrown) {
    return `the keys of ${place} cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
