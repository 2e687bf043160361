import type { KeyObject } from "node:crypto";
import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { TrustDomain } from "../core/spiffe-id.ts";
import { type Certificate, parseCertificate } from "./certificate.ts";
import { parsePublicKey } from "./keys.ts";
import { encodePem, parseCertificatesPem } from "./pem.ts";

/** A certificate that may sign others, its key read once. */
export interface Signer {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

/** The roots of one trust domain. SPIFFE Trust Domain and Bundle section 4. */
export interface TrustBundle {
  readonly trustDomain: TrustDomain;
  readonly roots: readonly Signer[];
  readonly pem: string;
}

/** Each trust domain has its own roots: none of them can vouch for another's identities. */
export type TrustBundles = ReadonlyMap<TrustDomain, TrustBundle>;

/** PEM → TrustBundle. Any number of roots up to `bundleRootsMax`; none is an error. Errors: `bad-input`. */
export function parseTrustBundle(trustDomain: TrustDomain, pem: string): TrustBundle {
  const ders = parseCertificatesPem(pem);
  if (ders.length > LIMITS.bundleRootsMax)
    throw new CardeaError("bad-input", `the bundle of ${trustDomain} has more than ${LIMITS.bundleRootsMax} roots`);
  const roots = ders.map((der) => parseRoot(trustDomain, der));
  return Object.freeze({ trustDomain, roots, pem: ders.map((der) => encodePem("CERTIFICATE", der)).join("") });
}

export function trustBundlesOf(...bundles: readonly TrustBundle[]): TrustBundles {
  return new Map(bundles.map((bundle) => [bundle.trustDomain, bundle]));
}

function parseRoot(trustDomain: TrustDomain, der: Buffer): Signer {
  try {
    const certificate = parseCertificate(der);
    const key = parsePublicKey(certificate.publicKey);
    if (key !== null) return { certificate, key };
  } catch (error) {
    throw new CardeaError("bad-input", `a root of ${trustDomain} cannot be read: ${(error as Error).message}`, error);
  }
  throw new CardeaError("bad-input", `a root of ${trustDomain} has a key of an unknown kind`);
}
