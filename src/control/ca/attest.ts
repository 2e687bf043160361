import { createHash } from "node:crypto";
import { CardeaError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { type SpiffeId, type TrustDomain, trustDomainOf } from "../../core/spiffe-id.ts";
import type { StateFiles } from "../../core/state-files.ts";
import { spendJoinToken } from "./join-token.ts";

/** What a caller brings to prove who it is. */
export interface Evidence {
  /** From the metadata `authorization: Bearer …`, or null. */
  readonly joinToken: string | null;
  /** The identity of the caller's verified certificate, or null. */
  readonly caller: SpiffeId | null;
  /** The key that it holds, as its signing request proves; SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
}

/** Who the caller is, and how we know. Recorded with each issuance. */
export interface Attestation {
  readonly spiffeId: SpiffeId;
  readonly method: "join-token" | "svid" | "token-review";
}

/** Decides who a caller is. Errors: `attestation-failed`; `bad-input` when the state cannot be read. */
export type Attest = (evidence: Evidence) => Promise<Attestation>;

export interface AttestorOptions {
  readonly files: StateFiles;
  readonly clock: Clock;
  readonly trustDomain: TrustDomain;
}

/**
 * A join token decides alone when there is one; else the caller's certificate does, for the very identity that it
 * names. Never anything that the request says of itself.
 */
export function createAttestor(options: AttestorOptions): Attest {
  const spent = new SpentTokens(options.clock);
  return async ({ joinToken, caller, publicKey }) => {
    if (joinToken !== null) {
      const redeem = (): Promise<SpiffeId> => spendJoinToken(options.files, options.clock, joinToken);
      const spiffeId = await spent.redeemOnce(joinToken, publicKey, redeem);
      return attested(options.trustDomain, { spiffeId, method: "join-token" });
    }
    if (caller === null)
      throw new CardeaError("attestation-failed", "neither a join token nor a certificate was shown");
    return attested(options.trustDomain, { spiffeId: caller, method: "svid" });
  };
}

function attested(trustDomain: TrustDomain, attestation: Attestation): Attestation {
  if (trustDomainOf(attestation.spiffeId) === trustDomain) return attestation;
  throw new CardeaError("attestation-failed", `${attestation.spiffeId} is not of trust domain ${trustDomain}`);
}

interface SpentToken {
  readonly keyHash: string;
  readonly spiffeId: SpiffeId;
  readonly untilMs: number;
}

const RETRY_MS = 60_000;
const REMEMBERED_MAX = 1_024;

/**
 * An answer can be lost on its way, and the token is gone by then. So the key that spent it may ask again for a
 * minute: it is the same caller, which alone can sign for that key. Any other key is refused as before.
 */
class SpentTokens {
  readonly #clock: Clock;
  readonly #byHash = new Map<string, SpentToken>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async redeemOnce(token: string, key: Buffer, redeem: () => Promise<SpiffeId>): Promise<SpiffeId> {
    const tokenHash = hashOf(token);
    const keyHash = hashOf(key);
    const known = this.#byHash.get(tokenHash);
    if (known?.keyHash === keyHash && this.#clock.monotonicMs() < known.untilMs) return known.spiffeId;
    const spiffeId = await redeem();
    this.#remember(tokenHash, { keyHash, spiffeId, untilMs: this.#clock.monotonicMs() + RETRY_MS });
    return spiffeId;
  }

  #remember(tokenHash: string, spent: SpentToken): void {
    // Only tokens that were good get here, so a stranger cannot push others out.
    for (const [hash, { untilMs }] of this.#byHash) {
      if (this.#byHash.size < REMEMBERED_MAX && untilMs > this.#clock.monotonicMs()) break;
      this.#byHash.delete(hash);
    }
    this.#byHash.set(tokenHash, spent);
  }
}

function hashOf(bytes: string | Buffer): string {
  return createHash("sha256").update(bytes).digest("base64");
}
