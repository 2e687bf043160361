import { randomBytes, X509Certificate } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe-id.ts";
import { createIntermediate, createLeaf, createRoot } from "../../src/pki/certificate-build.ts";
import { encodePrivateKey, generateKeyPair } from "../../src/pki/keys.ts";
import { encodePem } from "../../src/pki/pem.ts";

const HOUR_MS = 3_600_000;

/** Who calls, and whom. The same names as in our own mesh. */
export const CALLER_ID = "spiffe://cluster.local/ns/bench/sa/caller";
export const SERVER_ID = "spiffe://cluster.local/ns/bench/sa/server";

/** Certificates of the peers' sidecars, made by our own pki: the same keys, chains and names as our own mesh has. */
export interface Certificates {
  readonly directory: string;
  /** Lower-case hex, for peers that can't read a SPIFFE ID. */
  readonly callerSha1: string;
}

/** Writes root.pem, and chain, key and both in one file for caller and server. */
export function writeCertificates(directory: string): Certificates {
  mkdirSync(directory, { recursive: true });
  const trustDomain = parseTrustDomain("cluster.local");
  const validity = { notBeforeMs: Date.now() - HOUR_MS, notAfterMs: Date.now() + 24 * HOUR_MS };
  const root = createRoot(trustDomain, generateKeyPair(), validity, randomBytes);
  const signer = createIntermediate(root, trustDomain, { keys: generateKeyPair(), validity, random: randomBytes });
  writeFileSync(join(directory, "root.pem"), encodePem("CERTIFICATE", root.certificate.der));
  const issue = (name: string, spiffeId: string): Buffer => {
    const keys = generateKeyPair();
    const request = { spiffeId: parseSpiffeId(spiffeId), publicKey: keys.publicKey, validity };
    const leaf = createLeaf(signer, request, randomBytes);
    const chain = [leaf, signer.certificate.der].map((der) => encodePem("CERTIFICATE", der)).join("");
    const key = encodePrivateKey(keys.privateKey);
    writeFileSync(join(directory, `${name}.pem`), chain);
    writeFileSync(join(directory, `${name}.key`), key, { mode: 0o600 });
    writeFileSync(join(directory, `${name}-both.pem`), chain + key, { mode: 0o600 });
    return leaf;
  };
  issue("server", SERVER_ID);
  const caller = new X509Certificate(issue("caller", CALLER_ID));
  return { directory, callerSha1: caller.fingerprint.replaceAll(":", "").toLowerCase() };
}
