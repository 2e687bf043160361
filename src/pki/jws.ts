import { constants, type KeyObject, verify } from "node:crypto";
import { CardeaError } from "../core/errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../core/json-value.ts";
import { LIMITS } from "../core/limits.ts";

/** A JWS in its compact form, read and not yet believed. RFC 7515 sections 3.1 and 7.1. */
export interface Jws {
  readonly header: JsonObject;
  readonly algorithm: JwsAlgorithm;
  readonly keyId: string | null;
  readonly payload: Buffer;
  readonly signature: Buffer;
  /** What is signed. */
  readonly signingInput: Buffer;
}

export type JwsAlgorithm = keyof typeof ALGORITHMS;

interface Algorithm {
  readonly keyType: "rsa" | "rsa-pss" | "ec" | "ed25519";
  readonly hash: "sha256" | "sha384" | "sha512" | null;
  /** As node:crypto names it. */
  readonly curve: string | null;
}

/**
 * What we verify: RFC 7518 sections 3.3 to 3.5, RFC 8037 section 3.1. `none` is not here, nor are the MACs: a public key
 * must never serve as a secret one.
 */
const ALGORITHMS = {
  RS256: { keyType: "rsa", hash: "sha256", curve: null },
  RS384: { keyType: "rsa", hash: "sha384", curve: null },
  RS512: { keyType: "rsa", hash: "sha512", curve: null },
  PS256: { keyType: "rsa-pss", hash: "sha256", curve: null },
  PS384: { keyType: "rsa-pss", hash: "sha384", curve: null },
  PS512: { keyType: "rsa-pss", hash: "sha512", curve: null },
  ES256: { keyType: "ec", hash: "sha256", curve: "prime256v1" },
  ES384: { keyType: "ec", hash: "sha384", curve: "secp384r1" },
  ES512: { keyType: "ec", hash: "sha512", curve: "secp521r1" },
  EdDSA: { keyType: "ed25519", hash: null, curve: null },
} as const satisfies Record<string, Algorithm>;

/** Text → Jws. Strict: three parts, base64url without padding or stray bits, no `crit`. Errors: `token-invalid`. */
export function parseJws(text: string): Jws {
  if (text.length > LIMITS.tokenBytesMax) throw tokenInvalid(`it is longer than ${LIMITS.tokenBytesMax} bytes`);
  const parts = text.split(".");
  const [head, body, tail] = parts;
  if (parts.length !== 3 || head === "" || tail === "") throw tokenInvalid("it is no JWS in the compact form");
  const header = parseJsonObject(decodeBase64url(head!, "header"), "header");
  // An extension that must be understood, and is not; `b64` (RFC 7797) is one. RFC 7515 section 4.1.11.
  if (Object.hasOwn(header, "crit")) throw tokenInvalid("its header has critical extensions");
  return {
    header,
    algorithm: readAlgorithm(header),
    keyId: readText(header, "kid"),
    payload: decodeBase64url(body!, "payload"),
    signature: decodeBase64url(tail!, "signature"),
    signingInput: Buffer.from(`${head}.${body}`, "latin1"),
  };
}

/** Whether a key is of the kind that an algorithm takes. */
export function isKeyFor(algorithm: JwsAlgorithm, key: KeyObject): boolean {
  const { keyType, curve } = ALGORITHMS[algorithm];
  const wanted = keyType === "rsa-pss" ? "rsa" : keyType;
  if (key.asymmetricKeyType !== wanted) return false;
  return curve === null || key.asymmetricKeyDetails?.namedCurve === curve;
}

/** Whether this key made the signature, by the algorithm that the header names. */
export function isJwsSignedBy({ algorithm, signingInput, signature }: Jws, key: KeyObject): boolean {
  if (!isKeyFor(algorithm, key)) return false;
  const { keyType, hash } = ALGORITHMS[algorithm];
  try {
    return verify(hash, signingInput, { key, ...OPTIONS[keyType] }, signature);
  } catch {
    // The TLS library throws at some malformed signatures instead of finding them wrong.
    return false;
  }
}

const OPTIONS = {
  rsa: { padding: constants.RSA_PKCS1_PADDING },
  // RFC 7518 section 3.5: the salt is as long as the hash.
  "rsa-pss": { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
  ec: { dsaEncoding: "ieee-p1363" },
  ed25519: {},
} as const;

/** The octets as a JSON object in UTF-8. Errors: `token-invalid`. */
export function parseJsonObject(bytes: Buffer, what: string): JsonObject {
  let value: JsonValue;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)) as JsonValue;
  } catch {
    throw tokenInvalid(`its ${what} is not JSON`);
  }
  if (!isJsonObject(value)) throw tokenInvalid(`its ${what} is no JSON object`);
  return value;
}

export function tokenInvalid(why: string): CardeaError {
  return new CardeaError("token-invalid", `the token is refused: ${why}`);
}

function readAlgorithm(header: JsonObject): JwsAlgorithm {
  const name = readText(header, "alg");
  if (name !== null && Object.hasOwn(ALGORITHMS, name)) return name as JwsAlgorithm;
  throw tokenInvalid(`its algorithm ${JSON.stringify(name)} is not accepted`);
}

function readText(header: JsonObject, name: string): string | null {
  const value = Object.hasOwn(header, name) ? header[name] : undefined;
  if (value === undefined) return null;
  if (typeof value !== "string") throw tokenInvalid(`its header's ${name} is no text`);
  return value;
}

/** RFC 7515 section 2: no padding, no line ends; the bits that are left over are zero, so one text stands for the octets. */
function decodeBase64url(text: string, what: string): Buffer {
  const bytes = Buffer.from(text, "base64url");
  if (!/^[A-Za-z0-9_-]*$/.test(text) || bytes.toString("base64url") !== text)
    throw tokenInvalid(`its ${what} is not base64url`);
  return bytes;
}
