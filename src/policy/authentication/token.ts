import { CardeaError } from "../../core/errors.ts";
import { isJsonList, isJsonObject, type JsonObject, type JsonValue, memberOf } from "../../core/json-value.ts";
import { LIMITS } from "../../core/limits.ts";
import { parseStrictJson } from "../../core/strict-json.ts";
import type { Claims } from "../claims.ts";

/** A token as it was read; nothing in it is believed yet. RFC 7519, in the compact form of RFC 7515. */
export interface Token {
  readonly text: string;
  readonly algorithm: TokenAlgorithm;
  readonly keyId: string | null;
  readonly claims: Claims;
  readonly issuer: string | null;
  readonly audiences: readonly string[];
  /** Milliseconds since the epoch; null: not said. */
  readonly expiresAtMs: number | null;
  readonly notBeforeMs: number | null;
  readonly issuedAtMs: number | null;
  /** The claims as they were signed, base64url. */
  readonly payload: string;
}

/** By each algorithm the kind of key that it takes. `none` is not here, nor is any that a shared secret signs. */
export const TOKEN_ALGORITHMS = {
  RS256: { kty: "RSA", crv: null },
  RS384: { kty: "RSA", crv: null },
  RS512: { kty: "RSA", crv: null },
  PS256: { kty: "RSA", crv: null },
  PS384: { kty: "RSA", crv: null },
  PS512: { kty: "RSA", crv: null },
  ES256: { kty: "EC", crv: "P-256" },
  ES384: { kty: "EC", crv: "P-384" },
  ES512: { kty: "EC", crv: "P-521" },
  EdDSA: { kty: "OKP", crv: "Ed25519" },
} as const;
export type TokenAlgorithm = keyof typeof TOKEN_ALGORITHMS;

/**
 * Text → Token, strictly: what two readers could read in two ways is refused, or one of them would be the app. Errors:
 * `token-invalid`.
 */
export function parseToken(text: string): Token {
  if (text.length > LIMITS.tokenBytesMax) throw refused(`it is longer than ${LIMITS.tokenBytesMax} bytes`);
  const [head = "", payload = "", signature = "", ...more] = text.split(".");
  if (more.length > 0 || [head, payload, signature].includes("")) throw refused("it has not three parts");
  const header = parsePart(head, "header");
  // Extensions that must be understood, and are not; `b64` (RFC 7797) is one. RFC 7515 section 4.1.11.
  if (Object.hasOwn(header, "crit")) throw refused("its header has critical extensions");
  decode(signature, "signature");
  const claims = parsePart(payload, "payload");
  const subject = textIn(claims, "sub");
  const issuer = textIn(claims, "iss");
  // They become one line of a record, and `*` in a policy means a text of one line.
  for (const name of [subject, issuer])
    if (name !== null && hasControls(name)) throw refused("its issuer or subject has control characters");
  return {
    text,
    algorithm: algorithmOf(header),
    keyId: textIn(header, "kid"),
    claims,
    issuer,
    audiences: audiencesOf(claims),
    expiresAtMs: timeIn(claims, "exp"),
    notBeforeMs: timeIn(claims, "nbf"),
    issuedAtMs: timeIn(claims, "iat"),
    payload,
  };
}

/** Why a token is refused, for the record: the caller is told no more than that it is. */
export function refused(why: string): CardeaError {
  return new CardeaError("token-invalid", `the token is refused: ${why}`);
}

function parsePart(part: string, what: string): JsonObject {
  const bytes = decode(part, what);
  let value: JsonValue;
  try {
    value = parseStrictJson(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (thrown) {
    const isSyntax = thrown instanceof SyntaxError || thrown instanceof TypeError;
    throw refused(isSyntax || !(thrown instanceof Error) ? `its ${what} is not JSON` : `its ${what} ${thrown.message}`);
  }
  if (!isJsonObject(value)) throw refused(`its ${what} is no JSON object`);
  return value;
}

/** RFC 7515 section 2: no padding; bits that are left over are zero, so that one text stands for the octets. */
function decode(part: string, what: string): Buffer {
  const bytes = Buffer.from(part, "base64url");
  if (bytes.toString("base64url") !== part) throw refused(`its ${what} is not base64url`);
  return bytes;
}

function algorithmOf(header: JsonObject): TokenAlgorithm {
  const name = textIn(header, "alg");
  if (name !== null && Object.hasOwn(TOKEN_ALGORITHMS, name)) return name as TokenAlgorithm;
  throw refused(`its algorithm ${JSON.stringify(name)} is not accepted`);
}

function textIn(object: JsonObject, name: string): string | null {
  const value = memberOf(object, name);
  if (value === undefined) return null;
  if (typeof value !== "string") throw refused(`its ${name} is no text`);
  if (value.length > LIMITS.tokenNameLengthMax) throw refused(`its ${name} is too long`);
  return value;
}

function audiencesOf(claims: Claims): readonly string[] {
  const value = memberOf(claims, "aud");
  if (value === undefined) return [];
  const list: readonly JsonValue[] = isJsonList(value) ? value : [value];
  return list.map((each) => {
    if (typeof each === "string") return each;
    throw refused("its aud is neither a text nor a list of texts");
  });
}

/** A NumericDate, RFC 7519 section 2. */
function timeIn(claims: Claims, name: string): number | null {
  const value = memberOf(claims, name);
  if (value === undefined) return null;
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) throw refused(`its ${name} is no time`);
  return value * 1_000;
}

function hasControls(text: string): boolean {
  return /\p{Cc}/u.test(text);
}
