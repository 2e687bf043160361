import { createPublicKey, type KeyObject } from "node:crypto";
import { CardeaError } from "../core/errors.ts";
import { isJsonList, isJsonObject, type JsonObject, type JsonValue, memberOf } from "../core/json-value.ts";
import { LIMITS } from "../core/limits.ts";
import { readPublicKey } from "./public-key.ts";

/** A public key that verifies tokens. RFC 7517 section 4. */
export interface TokenKey {
  readonly keyId: string | null;
  /** The one algorithm that it is for, or null for any of its kind. */
  readonly algorithm: string | null;
  readonly key: KeyObject;
}

/**
 * A JWK Set → the keys of it that can verify. Keys of other kinds and uses, weak ones and those that cannot be read are left
 * out, as RFC 7517 section 5 wants it: nothing is verified by them. Errors: `bad-input` when it is no JWK Set.
 */
export function parseJwks(text: string): readonly TokenKey[] {
  return jwksMembers(text).flatMap((jwk) => {
    if (!mayVerify(jwk)) return [];
    const key = publicKeyOf(jwk);
    return key === null ? [] : [{ keyId: textOf(jwk, "kid"), algorithm: textOf(jwk, "alg"), key }];
  });
}

/**
 * The JWT keys of a SPIFFE bundle, or of a JWK Set without uses: every one of them must have a key id.
 * SPIFFE Trust Domain and Bundle section 4.2, JWT-SVID section 5. Errors: `bad-input`.
 */
export function parseJwtBundle(text: string): readonly TokenKey[] {
  const others = jwksMembers(text).filter((jwk) => (textOf(jwk, "use") ?? "jwt-svid") === "jwt-svid");
  if (others.some((jwk) => textOf(jwk, "kid") === null)) throw notASet("a key for JWT-SVIDs has no kid");
  return parseJwks(JSON.stringify({ keys: others }));
}

/** The public half as a JWK, with its id. */
export function encodeJwk(keyId: string, key: KeyObject): JsonObject {
  return { ...(key.export({ format: "jwk" }) as JsonObject), kid: keyId };
}

/** The members of a JWK Set as they stand there. Errors: `bad-input`. */
export function jwksMembers(text: string): readonly JsonObject[] {
  if (text.length > LIMITS.documentBytesMax) throw notASet("it is too long");
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch {
    throw notASet("it is not JSON");
  }
  const keys = memberOf(value, "keys");
  if (!isJsonList(keys)) throw notASet("it has no list of keys");
  if (keys.length > LIMITS.bundleRootsMax) throw notASet(`it has more than ${LIMITS.bundleRootsMax} keys`);
  return keys.map((key) => {
    if (isJsonObject(key)) return key;
    throw notASet("a key of it is no object");
  });
}

/** RFC 7517 sections 4.2 and 4.3; `jwt-svid` is SPIFFE's. */
function mayVerify(jwk: JsonObject): boolean {
  const use = memberOf(jwk, "use");
  if (use !== undefined && use !== "sig" && use !== "jwt-svid") return false;
  const operations = memberOf(jwk, "key_ops");
  return operations === undefined || (isJsonList(operations) && operations.includes("verify"));
}

/** Members of a private key are passed over: nobody signs with them here. */
const PUBLIC_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  EC: ["crv", "x", "y"],
  RSA: ["n", "e"],
  OKP: ["crv", "x"],
};

function publicKeyOf(jwk: JsonObject): KeyObject | null {
  const kty = textOf(jwk, "kty");
  const names = kty === null ? undefined : PUBLIC_MEMBERS[kty];
  if (names === undefined) return null;
  const parts = Object.fromEntries(names.map((name) => [name, textOf(jwk, name) ?? ""]));
  try {
    const key = createPublicKey({ key: { kty: kty!, ...parts }, format: "jwk" });
    const spki = key.export({ type: "spki", format: "der" });
    return readPublicKey(spki).weakness === null ? key : null;
  } catch {
    return null;
  }
}

function textOf(jwk: JsonObject, name: string): string | null {
  const value = memberOf(jwk, name);
  return typeof value === "string" ? value : null;
}

function notASet(why: string): CardeaError {
  return new CardeaError("bad-input", `the keys cannot be read: ${why}`);
}
