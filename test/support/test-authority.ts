import { randomBytes } from "node:crypto";
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe-id.ts";
import { parseTrustBundle, type TrustBundle, trustBundlesOf } from "../../src/pki/bundle.ts";
import { createIntermediate, createLeaf, createRoot } from "../../src/pki/certificate-build.ts";
import { parseSigningRequest } from "../../src/pki/csr.ts";
import { encodePrivateKey, generateKeyPair } from "../../src/pki/keys.ts";
import { encodePem } from "../../src/pki/pem.ts";
import type { Identity } from "../../src/proxy/identity/identity.ts";

/** A root and an intermediate of a trust domain, in memory, that signs what a test asks for. */
export interface TestAuthority {
  readonly bundle: TrustBundle;
  /** Valid from an hour ago for an hour, unless told otherwise; `trusts` adds other authorities' roots. */
  issue(spiffeId: string, options?: IssueOptions): Identity;
  /** As CreateCertificate does: leaf, intermediate, root, PEM each. The identity is the one that is asked for. */
  sign(csrPem: string, options?: IssueOptions): readonly string[];
}

export interface IssueOptions {
  readonly nowMs?: number;
  readonly notAfterMs?: number;
  readonly trusts?: readonly TrustBundle[];
}

const HOUR_MS = 3_600_000;

export function createTestAuthority(trustDomainText = "cluster.local", startMs = Date.now()): TestAuthority {
  const trustDomain = parseTrustDomain(trustDomainText);
  const validity = { notBeforeMs: startMs - 24 * HOUR_MS, notAfterMs: startMs + 24 * HOUR_MS };
  const root = createRoot(trustDomain, generateKeyPair(), validity, randomBytes);
  const keys = generateKeyPair();
  const intermediate = createIntermediate(root, trustDomain, { keys, validity, random: randomBytes });
  const bundle = parseTrustBundle(trustDomain, encodePem("CERTIFICATE", root.certificate.der));
  return {
    bundle,
    sign(csrPem, options = {}) {
      const nowMs = options.nowMs ?? startMs;
      const { publicKey, uris } = parseSigningRequest(csrPem);
      const times = { notBeforeMs: nowMs - HOUR_MS, notAfterMs: options.notAfterMs ?? nowMs + HOUR_MS };
      const request = { spiffeId: parseSpiffeId(uris[0]!), publicKey, validity: times };
      const leaf = createLeaf(intermediate, request, randomBytes);
      return [leaf, intermediate.certificate.der, root.certificate.der].map((der) => encodePem("CERTIFICATE", der));
    },
    issue(text, options = {}) {
      const nowMs = options.nowMs ?? startMs;
      const notBeforeMs = nowMs - HOUR_MS;
      const notAfterMs = options.notAfterMs ?? nowMs + HOUR_MS;
      const spiffeId = parseSpiffeId(text);
      const own = generateKeyPair();
      const request = { spiffeId, publicKey: own.publicKey, validity: { notBeforeMs, notAfterMs } };
      const chainDer = [createLeaf(intermediate, request, randomBytes), intermediate.certificate.der];
      const bundles = [bundle, ...(options.trusts ?? [])];
      return {
        spiffeId,
        serial: "00",
        chainDer,
        material: {
          chainPem: chainDer.map((der) => encodePem("CERTIFICATE", der)).join(""),
          keyPem: encodePrivateKey(own.privateKey),
        },
        notBeforeMs,
        notAfterMs,
        bundles: trustBundlesOf(...bundles),
        rootsDer: bundles.flatMap((each) => each.roots.map((signer) => signer.certificate.der)),
      };
    },
  };
}

/** For many meshes, one after the other: each name has one certificate. */
export function keepIssued(authority: TestAuthority): TestAuthority {
  const issued = new Map<string, Identity>();
  return {
    ...authority,
    issue(spiffeId, options) {
      if (options !== undefined) return authority.issue(spiffeId, options);
      const identity = issued.get(spiffeId) ?? authority.issue(spiffeId);
      issued.set(spiffeId, identity);
      return identity;
    },
  };
}

/** `spiffe://cluster.local/ns/shop/sa/<name>`. */
export function shopId(name: string): string {
  return `spiffe://cluster.local/ns/shop/sa/${name}`;
}
