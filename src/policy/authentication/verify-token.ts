import type { CryptoKey } from "jose";
import { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { JwtRule } from "./jwt-rule.ts";
import type { VerificationKey } from "./key-set.ts";
import { refused, type Token, TOKEN_ALGORITHMS, type TokenAlgorithm } from "./token.ts";

/** Loaded with the first rule there is: a sidecar without any never has it. */
let jose: typeof import("jose") | null = null;

/** To be awaited before the first token comes, which then need not wait for it. */
export async function loadVerifier(): Promise<void> {
  jose ??= await import("jose");
}

/** A rule with the keys that it is to be verified by, as they are now. */
export interface TokenRule {
  readonly rule: JwtRule;
  readonly isExpirationRequired: boolean;
  /** A text: why there are none. No token of the rule is believed then. */
  readonly keys: readonly VerificationKey[] | string;
}

/**
 * The first of the rules that vouches for the token: it is of the rule's issuer, now, for one of its audiences, and signed by
 * one of its keys. Errors: `token-invalid`, `token-audience` when nothing else is wrong with it.
 */
export async function verifyToken(token: Token, rules: readonly TokenRule[], nowMs: number): Promise<TokenRule> {
  const ofIssuer = rules.filter(({ rule }) => rule.issuer === null || rule.issuer === token.issuer);
  if (ofIssuer.length === 0) throw refused(`no rule is for its issuer ${JSON.stringify(token.issuer)}`);
  let failure: CardeaError | null = null;
  for (const candidate of ofIssuer) {
    try {
      assertTimes(token, candidate, nowMs);
      await assertSigned(token, candidate);
      assertAudience(token, candidate.rule);
      return candidate;
    } catch (thrown) {
      if (!(thrown instanceof CardeaError)) throw thrown;
      if (failure === null || thrown.code === "token-audience") failure = thrown;
    }
  }
  throw failure!;
}

/** Whether a token that was verified is still within its time. */
export function isWithinTime(token: Token, nowMs: number): boolean {
  return token.expiresAtMs === null || nowMs < token.expiresAtMs + LIMITS.tokenSkewMs;
}

function assertTimes(token: Token, { isExpirationRequired }: TokenRule, nowMs: number): void {
  const { expiresAtMs, notBeforeMs, issuedAtMs } = token;
  if (expiresAtMs === null && isExpirationRequired) throw refused("it has no exp, and would never end");
  if (!isWithinTime(token, nowMs)) throw refused(`it ended at ${timeOf(expiresAtMs)}`);
  for (const [name, timeMs] of [
    ["nbf", notBeforeMs],
    ["iat", issuedAtMs],
  ] as const)
    if (timeMs !== null && nowMs + LIMITS.tokenSkewMs < timeMs)
      throw refused(`its ${name} is yet to come: ${timeOf(timeMs)}`);
}

function assertAudience({ audiences }: Token, { audiences: wanted }: JwtRule): void {
  if (wanted.length === 0 || wanted.some((each) => audiences.includes(each))) return;
  const told = audiences.length === 0 ? "nobody" : audiences.map((each) => JSON.stringify(each)).join(", ");
  throw new CardeaError("token-audience", `the token is for ${told}`);
}

async function assertSigned(token: Token, { keys }: TokenRule): Promise<void> {
  if (typeof keys === "string") throw refused(keys);
  const { algorithm, keyId } = token;
  const { kty, crv } = TOKEN_ALGORITHMS[algorithm];
  const named = keys.filter(({ kid }) => kid === null || keyId === null || kid === keyId);
  if (named.length === 0) throw refused(`there is no key ${JSON.stringify(keyId)}`);
  const fitting = named.filter((key) => key.kty === kty && key.crv === crv && (key.alg ?? algorithm) === algorithm);
  if (fitting.length === 0) throw refused(`no key of it is for ${algorithm}`);
  for (const key of fitting.slice(0, LIMITS.tokenKeysTriedMax)) if (await isSignedBy(token, key)) return;
  throw refused("its signature is not good");
}

async function isSignedBy({ text, algorithm }: Token, key: VerificationKey): Promise<boolean> {
  await loadVerifier();
  const { compactVerify, errors } = jose!;
  try {
    await compactVerify(text, await importedKey(key, algorithm), { algorithms: [algorithm] });
    return true;
  } catch (thrown) {
    // A TypeError: the key itself is not fit, an RSA modulus below 2048 bits say.
    if (thrown instanceof errors.JOSEError || thrown instanceof TypeError || thrown instanceof DOMException)
      return false;
    throw thrown;
  }
}

/** Keys as the platform wants them, made once for each algorithm. They go with the sets that they came in. */
const imported = new WeakMap<VerificationKey, Map<TokenAlgorithm, Promise<CryptoKey>>>();

function importedKey(key: VerificationKey, algorithm: TokenAlgorithm): Promise<CryptoKey> {
  const known = imported.get(key) ?? new Map<TokenAlgorithm, Promise<CryptoKey>>();
  imported.set(key, known);
  const made = known.get(algorithm) ?? (jose!.importJWK({ ...key.jwk }, algorithm) as Promise<CryptoKey>);
  known.set(algorithm, made);
  return made;
}

function timeOf(timeMs: number | null): string {
  const time = new Date(timeMs ?? 0);
  return Number.isNaN(time.getTime()) ? String(timeMs) : time.toISOString();
}
