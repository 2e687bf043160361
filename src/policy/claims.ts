import { isJsonList, type JsonObject, type JsonValue, memberOf } from "../core/json-value.ts";
import { mapOf, plainOf, type Schema } from "../core/schema.ts";
import { claimAt, claimTextOf } from "./matcher.ts";

/** The claims of a verified token, as policies see them. */
export type Claims = JsonObject;

/** A map of claims as a person writes it for a test; what it means is not looked into. */
export const CLAIMS: Schema<Claims> = (value, scope) => {
  if (mapOf((each) => each)(value, scope) === undefined) return undefined;
  // A located value is made of JSON, or of YAML's equivalent of it.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return plainOf(value) as Claims;
};

/** `iss/sub`, as `requestPrincipals` names an end user; null for a token that lacks one of them. */
export function requestPrincipalOf(claims: Claims | null): string | null {
  const [issuer, subject] = [claimTextOf(claims, "iss"), claimTextOf(claims, "sub")];
  return issuer === null || subject === null ? null : `${issuer}/${subject}`;
}

/** The claim's texts: itself, or those of its list. */
export function claimTexts(claims: Claims | null, path: readonly string[]): readonly string[] {
  const value = claimAt(claims, path);
  return (isJsonList(value) ? value : [value]).filter((each) => typeof each === "string");
}

/**
 * The claims with texts that are lists of words taken apart (Envoy's `normalize_payload_in_metadata`): `scope` and
 * whatever else a rule names. A name is a claim of the token itself, whatever dots are in it.
 */
export function withWordLists(claims: Claims, names: readonly string[]): Claims {
  const lists = names.flatMap((name): (readonly [string, JsonValue])[] => {
    const value = memberOf(claims, name);
    if (typeof value !== "string") return [];
    return [[name, value.split(" ").filter((word) => word !== "")]];
  });
  return lists.length === 0 ? claims : { ...claims, ...Object.fromEntries(lists) };
}
