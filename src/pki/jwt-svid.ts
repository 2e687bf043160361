import type { JsonObject } from "../core/json-value.ts";
import { memberOf } from "../core/json-value.ts";
import { parseSpiffeId, type SpiffeId, type TrustDomain, trustDomainOf } from "../core/spiffe-id.ts";
import { type Jws, type JwsAlgorithm, parseJsonObject, parseJws, tokenInvalid } from "./jws.ts";
import type { TokenKey } from "./jwks.ts";
import { audiencesOf, verifyClaims, verifyJws } from "./jwt.ts";

/** A workload's token, read. */
export interface JwtSvid {
  readonly spiffeId: SpiffeId;
  readonly audiences: readonly string[];
  readonly notAfterMs: number;
  readonly claims: JsonObject;
}

/** The keys of each trust domain: none of them can vouch for another's identities. */
export type JwtBundles = ReadonlyMap<TrustDomain, readonly TokenKey[]>;

export interface JwtSvidExpectation {
  /** Any of them. Empty: whomever it is for, but it must be for somebody. */
  readonly audiences: readonly string[];
  readonly nowMs: number;
  readonly skewMs: number;
}

/**
 * Decides whose token it is: strict in its header, signed by a key of the subject's own trust domain, for one of the
 * audiences, and not at its end. JWT-SVID sections 2 to 4. Errors: `token-invalid`.
 */
export function verifyJwtSvid(token: string, bundles: JwtBundles, expected: JwtSvidExpectation): JwtSvid {
  const svid = parseJwtSvid(token);
  const trustDomain = trustDomainOf(svid.spiffeId);
  const keys = bundles.get(trustDomain);
  if (keys === undefined) throw tokenInvalid(`no keys are known for trust domain ${trustDomain}`);
  const { jws } = verifyJws(token, keys);
  verifyClaims(jws.payload, { ...expected, issuers: [] });
  return svid;
}

/** Text → JwtSvid; nothing is said about who signed it, or when it ends. Errors: `token-invalid`. */
export function parseJwtSvid(token: string): JwtSvid {
  const jws = parseJws(token);
  assertHeader(jws);
  const claims = parseJsonObject(jws.payload, "payload");
  const spiffeId = subjectOf(claims);
  const audiences = audiencesOf(claims);
  if (audiences.length === 0 || audiences.includes("")) throw tokenInvalid("it has no aud");
  const expires = memberOf(claims, "exp");
  if (typeof expires !== "number" || !Number.isFinite(expires)) throw tokenInvalid("it has no exp");
  return { spiffeId, audiences, notAfterMs: expires * 1_000, claims };
}

/** JWT-SVID section 2.1. */
const ALGORITHMS: ReadonlySet<JwsAlgorithm> = new Set<JwsAlgorithm>([
  "RS256",
  "RS384",
  "RS512",
  "ES256",
  "ES384",
  "ES512",
  "PS256",
  "PS384",
  "PS512",
]);
/** JWT-SVID section 2: any other must not be there. */
const HEADERS: ReadonlySet<string> = new Set(["alg", "kid", "typ"]);

function assertHeader({ header, algorithm }: Jws): void {
  if (!ALGORITHMS.has(algorithm)) throw tokenInvalid(`${algorithm} is not for JWT-SVIDs`);
  const other = Object.keys(header).find((name) => !HEADERS.has(name));
  if (other !== undefined) throw tokenInvalid(`its header has ${JSON.stringify(other)}, which a JWT-SVID's may not`);
  const type = memberOf(header, "typ");
  if (type !== undefined && type !== "JWT" && type !== "JOSE")
    throw tokenInvalid(`its typ is ${JSON.stringify(type)}, neither JWT nor JOSE`);
}

function subjectOf(claims: JsonObject): SpiffeId {
  const subject = memberOf(claims, "sub");
  if (typeof subject !== "string") throw tokenInvalid("it has no sub");
  try {
    return parseSpiffeId(subject);
  } catch (error) {
    throw tokenInvalid(`its sub is no SPIFFE ID: ${(error as Error).message}`);
  }
}
