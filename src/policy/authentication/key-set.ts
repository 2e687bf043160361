import { LIMITS } from "../../core/limits.ts";
import { isJsonList, isJsonObject, type JsonObject, type JsonValue, memberOf } from "../../core/json-value.ts";
import { parseStrictJson } from "../../core/strict-json.ts";

/** A public key of a JWK Set (RFC 7517), of a kind that can verify tokens. */
export interface VerificationKey {
  readonly kty: "RSA" | "EC" | "OKP";
  /** Null: the key has no name, and is tried for tokens of any. */
  readonly kid: string | null;
  /** What the key may verify; null: whatever fits its kind. */
  readonly alg: string | null;
  /** RSA has none. */
  readonly crv: string | null;
  /** Its public members alone, as they were written. */
  readonly jwk: JsonObject;
}

/**
 * A JWK Set → the keys in it that can verify tokens. Keys for encryption and kinds that we do not know are left out, as
 * RFC 7517 section 5 has it; a set without any usable key, secret keys and private halves are refused: a set that
 * contains them has made them public. Throws an Error that says what is wrong.
 */
export function parseKeySet(text: string): readonly VerificationKey[] {
  if (Buffer.byteLength(text) > LIMITS.jwksBytesMax) throw new Error(`has more than ${LIMITS.jwksBytesMax} bytes`);
  const keys = memberOf(parseJson(text), "keys");
  if (!isJsonList(keys)) throw new Error("expected a JWK Set, which has a list named `keys`");
  if (keys.length > LIMITS.jwksKeysMax) throw new Error(`has more than ${LIMITS.jwksKeysMax} keys`);
  const usable = keys.flatMap((key, index) => readKey(key, index));
  if (usable.length > 0) return usable;
  throw new Error("has no key that can verify a token (kty RSA, EC or OKP with use `sig` or none)");
}

function parseJson(text: string): JsonValue {
  try {
    return parseStrictJson(text);
  } catch (thrown) {
    const why = thrown instanceof SyntaxError ? "is not JSON" : thrown instanceof Error ? thrown.message : "";
    throw new Error(why, { cause: thrown });
  }
}

const PUBLIC_MEMBERS: Readonly<Record<VerificationKey["kty"], readonly string[]>> = {
  RSA: ["n", "e"],
  EC: ["x", "y"],
  OKP: ["x"],
};
const CURVES: readonly string[] = ["P-256", "P-384", "P-521", "Ed25519"];
/** Base64url without padding; one of 16,384 bits is 2,731 characters. */
const NUMBER = /^[A-Za-z0-9_-]{1,2731}$/;

function readKey(key: JsonValue, index: number): readonly VerificationKey[] {
  if (!isJsonObject(key)) throw new Error(`keys[${index}]: expected a map`);
  const { kty, use } = key;
  if (kty === "oct" || Object.hasOwn(key, "k"))
    throw new Error(`keys[${index}]: is a secret key: whoever can read the set could make tokens`);
  if (Object.hasOwn(key, "d")) throw new Error(`keys[${index}]: has its private half in it`);
  if (kty !== "RSA" && kty !== "EC" && kty !== "OKP") return [];
  if (use !== undefined && use !== "sig") return [];
  const operations = key["key_ops"];
  if (operations !== undefined && !(isJsonList(operations) && operations.includes("verify"))) return [];
  const crv = kty === "RSA" ? null : (textOf(key, "crv", index) ?? "");
  if (crv !== null && (!CURVES.includes(crv) || (crv === "Ed25519") !== (kty === "OKP"))) return [];
  for (const name of PUBLIC_MEMBERS[kty])
    if (!NUMBER.test(textOf(key, name, index) ?? "")) throw new Error(`keys[${index}].${name}: expected base64url`);
  const names = ["kty", ...(crv === null ? [] : ["crv"]), ...PUBLIC_MEMBERS[kty]];
  const jwk = Object.fromEntries(names.map((name) => [name, key[name]!]));
  return [{ kty, kid: textOf(key, "kid", index), alg: textOf(key, "alg", index), crv, jwk }];
}

function textOf(key: JsonObject, name: string, index: number): string | null {
  const value = memberOf(key, name);
  if (value === undefined || typeof value === "string") return value ?? null;
  throw new Error(`keys[${index}].${name}: expected a text`);
}
