import { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Random } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import { createLeaf } from "../../pki/certificate-build.ts";
import { parseCertificate } from "../../pki/certificate.ts";
import type { Authority } from "./authority.ts";
import { BACKDATE_MS } from "./issuer-file.ts";

export interface IssueRequest {
  /** From the attestation, never from the signing request. */
  readonly spiffeId: SpiffeId;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  /** Seconds asked for; 0: as long as is allowed. */
  readonly ttlSec: number;
}

export interface IssuedSvid {
  /** Leaf, intermediate, root. */
  readonly chainDer: readonly Buffer[];
  readonly serial: string;
  readonly notAfterMs: number;
}

export interface IssuerOptions {
  readonly authority: Authority;
  readonly clock: Clock;
  readonly random: Random;
  /** Longest validity. Left out: `svidTtlMs`. */
  readonly ttlMsMax?: number;
}

/** Signs what was attested. Errors: `csr-invalid` for a validity below zero; `bad-input` when the root has ended. */
export type IssueSvid = (request: IssueRequest) => Promise<IssuedSvid>;

/**
 * Validity: what was asked for up to the ceiling, begun some minutes ago for clocks that are behind, and never beyond
 * the end of a certificate above it.
 */
export function createSvidIssuer(options: IssuerOptions): IssueSvid {
  const { authority, clock } = options;
  const random = (count: number): Buffer => options.random.bytes(count);
  return async ({ spiffeId, publicKey, ttlSec }) => {
    const ttlMs = allowedTtlMs(ttlSec, options.ttlMsMax ?? LIMITS.svidTtlMs);
    const { issuer, root } = await authority.signer();
    const nowMs = clock.wallMs();
    const notAfterMs = Math.min(nowMs + ttlMs, issuer.certificate.notAfterMs, root.certificate.notAfterMs);
    const validity = { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs };
    const leaf = createLeaf(issuer, { spiffeId, publicKey, validity }, random);
    const { serial, notAfterMs: writtenMs } = parseCertificate(leaf);
    return { chainDer: [leaf, issuer.certificate.der, root.certificate.der], serial, notAfterMs: writtenMs };
  };
}

function allowedTtlMs(ttlSec: number, ttlMsMax: number): number {
  if (ttlSec < 0 || !Number.isSafeInteger(ttlSec))
    throw new CardeaError("csr-invalid", `a validity of ${ttlSec} seconds is refused`);
  return ttlSec === 0 ? ttlMsMax : Math.min(ttlSec * 1000, ttlMsMax);
}
