import { isJsonList, type JsonObject, type JsonValue, memberOf } from "../core/json-value.ts";
import { isJwsSignedBy, isKeyFor, type Jws, parseJsonObject, parseJws, tokenInvalid } from "./jws.ts";
import type { TokenKey } from "./jwks.ts";

/** A token whose signature is good. */
export interface VerifiedJws {
  readonly jws: Jws;
  /** Of the key that made the signature. */
  readonly keyId: string | null;
}

/**
 * The token with a signature of one of the keys. With a `kid` only keys of that id are tried, without one all that the
 * algorithm takes; a key that is for one algorithm is used for no other. Errors: `token-invalid`.
 */
export function verifyJws(token: string, keys: readonly TokenKey[]): VerifiedJws {
  const jws = parseJws(token);
  const named = jws.keyId === null ? keys : keys.filter(({ keyId }) => keyId === jws.keyId);
  if (named.length === 0) throw tokenInvalid(`there is no key ${JSON.stringify(jws.keyId)}`);
  const fitting = named.filter(
    ({ algorithm, key }) => (algorithm ?? jws.algorithm) === jws.algorithm && isKeyFor(jws.algorithm, key),
  );
  if (fitting.length === 0) throw tokenInvalid(`no key of it is for ${jws.algorithm}`);
  const signer = fitting.find(({ key }) => isJwsSignedBy(jws, key));
  if (signer === undefined) throw tokenInvalid("its signature is not good");
  return { jws, keyId: signer.keyId };
}

export interface JwtExpectation {
  /** Any of them; empty: whoever issued it. */
  readonly issuers: readonly string[];
  /** Any of them; empty: whomever it is for. */
  readonly audiences: readonly string[];
  readonly nowMs: number;
  /** How far the clock of who issued it may be off. */
  readonly skewMs: number;
}

/** The claims of a payload, when they hold now and for us. RFC 7519 sections 4.1 and 7.2. Errors: `token-invalid`. */
export function verifyClaims(payload: Buffer, expected: JwtExpectation): JsonObject {
  const claims = parseJsonObject(payload, "payload");
  const { issuers, audiences, nowMs, skewMs } = expected;
  const expiresMs = timeOf(claims, "exp");
  // One that never ends could not be taken back.
  if (expiresMs === null) throw tokenInvalid("it has no exp");
  if (nowMs - skewMs >= expiresMs) throw tokenInvalid(`it ended at ${formatTime(expiresMs)}`);
  const notBeforeMs = timeOf(claims, "nbf");
  if (notBeforeMs !== null && nowMs + skewMs < notBeforeMs)
    throw tokenInvalid(`it is not good before ${formatTime(notBeforeMs)}`);
  timeOf(claims, "iat");
  const issuer = memberOf(claims, "iss");
  if (issuers.length > 0 && !issuers.some((each) => each === issuer))
    throw tokenInvalid(`its issuer is ${JSON.stringify(issuer ?? null)}`);
  const told = audiencesOf(claims);
  if (audiences.length > 0 && !audiences.some((each) => told.includes(each)))
    throw tokenInvalid(
      `it is for ${told.length === 0 ? "nobody" : told.map((each) => JSON.stringify(each)).join(", ")}`,
    );
  return claims;
}

/** `aud`, a text or a list of texts; empty when there is none. RFC 7519 section 4.1.3. Errors: `token-invalid`. */
export function audiencesOf(claims: JsonObject): readonly string[] {
  const value = memberOf(claims, "aud");
  if (value === undefined) return [];
  const list: readonly JsonValue[] = isJsonList(value) ? value : [value];
  return list.map((each) => {
    if (typeof each === "string") return each;
    throw tokenInvalid("its aud is neither a text nor a list of texts");
  });
}

/** A NumericDate in milliseconds. RFC 7519 section 2. */
function timeOf(claims: JsonObject, name: "exp" | "nbf" | "iat"): number | null {
  const value = memberOf(claims, name);
  if (value === undefined) return null;
  if (typeof value !== "number" || !Number.isFinite(value)) throw tokenInvalid(`its ${name} is no number`);
  return value * 1_000;
}

function formatTime(timeMs: number): string {
  const time = new Date(timeMs);
  return Number.isNaN(time.getTime()) ? `${timeMs / 1_000}` : time.toISOString();
}
