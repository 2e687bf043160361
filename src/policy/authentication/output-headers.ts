import { isJsonObject, type JsonValue, memberOf } from "../../core/json-value.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Claims } from "../claims.ts";
import type { JwtRule } from "./jwt-rule.ts";
import type { Token } from "./token.ts";

/** The fields, in lower case and with `-` for `_`, that rules write of tokens: nobody else may. */
export function outputNamesOf(rules: readonly JwtRule[]): ReadonlySet<string> {
  const names = rules.flatMap(({ payloadHeader, claimHeaders }) => [
    ...(payloadHeader === null ? [] : [payloadHeader]),
    ...claimHeaders.map(({ header }) => header),
  ]);
  return new Set(names.map((name) => name.replaceAll("_", "-")));
}

/** What the app gets of a verified token: name, value, name, value. */
export function outputFieldsOf(
  { payload, claims }: Token,
  { payloadHeader, claimHeaders }: JwtRule,
): readonly string[] {
  return [
    ...(payloadHeader === null ? [] : [payloadHeader, payload]),
    ...claimHeaders.flatMap(({ claim, header }) => {
      const text = textOf(claimNamed(claims, claim));
      return text === null ? [] : [header, text];
    }),
  ];
}

/** A claim of that very name, or, where there is none, the one that dots lead to. */
function claimNamed(claims: Claims, name: string): JsonValue | undefined {
  const whole = memberOf(claims, name);
  if (whole !== undefined) return whole;
  let value: JsonValue | undefined = claims;
  for (const step of name.split(".")) value = isJsonObject(value) ? memberOf(value, step) : undefined;
  return value;
}

/** Texts, numbers and booleans; null for all else, and for what no field can carry (RFC 9110 section 5.5). */
function textOf(value: JsonValue | undefined): string | null {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value !== "string" || value === "" || value.length > LIMITS.claimHeaderLengthMax) return null;
  return /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value) ? value : null;
}
