import { CardeaError } from "../../core/errors.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { TrustBundles } from "../../pki/bundle.ts";
import type { Certificate } from "../../pki/certificate.ts";
import { type KeyPair, encodePrivateKey } from "../../pki/keys.ts";
import { encodePem, parseCertificatesPem } from "../../pki/pem.ts";
import { verifyPeerChain } from "../../pki/verify.ts";
import type { Identity } from "./identity.ts";

export interface Expectation {
  readonly keys: KeyPair;
  readonly spiffeId: SpiffeId;
  readonly bundles: TrustBundles;
  readonly nowMs: number;
}

/**
 * The authority's answer as an identity, when it is what was asked for: our key, our SPIFFE ID, a chain to a pinned
 * root, valid now. Errors: `bad-input`, `peer-identity-mismatch`, and those of `verifyPeerChain`.
 */
export function acceptChain(chainPem: readonly string[], expected: Expectation): Identity {
  const verified = verifyPeerChain(parseCertificatesPem(chainPem.join("\n")), expected.bundles, expected.nowMs);
  const leaf = verified.chain[0]!;
  if (verified.spiffeId !== expected.spiffeId)
    throw mismatch(`it names ${verified.spiffeId}, not ${expected.spiffeId}`);
  if (!leaf.publicKey.equals(expected.keys.publicKey)) throw mismatch("it is for another key");
  return identityOf(verified.chain, verified.notAfterMs, expected);
}

function identityOf(chain: readonly Certificate[], notAfterMs: number, expected: Expectation): Identity {
  const leaf = chain[0]!;
  // Peers hold the root already; sending it would only make each handshake longer (RFC 8446 section 4.4.2).
  const chainDer = chain.slice(0, -1).map((certificate) => certificate.der);
  const bundles = [...expected.bundles.values()];
  const material = {
    chainPem: chainDer.map((der) => encodePem("CERTIFICATE", der)).join(""),
    keyPem: encodePrivateKey(expected.keys.privateKey),
  };
  return Object.freeze({
    spiffeId: expected.spiffeId,
    serial: leaf.serial,
    chainDer,
    material,
    notBeforeMs: leaf.notBeforeMs,
    notAfterMs,
    bundles: expected.bundles,
    rootsDer: bundles.flatMap((bundle) => bundle.roots.map((root) => root.certificate.der)),
  });
}

function mismatch(why: string): CardeaError {
  return new CardeaError("peer-identity-mismatch", `the certificate that the authority issued is refused: ${why}`);
}
