import { randomBytes, X509Certificate } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe-id.ts";
import { createIntermediate, createLeaf, createRoot } from "../../src/pki/certificate-build.ts";
import { encodePrivateKey, generateKeyPair, type KeyPair } from "../../src/pki/keys.ts";
import { encodePem } from "../../src/pki/pem.ts";
import { anyCertificate, dnsName, uriName } from "../../test/support/any-certificate.ts";

const HOUR_MS = 3_600_000;

/** Who calls, and whom. The same names as in our own mesh. */
export const CALLER_ID = "spiffe://cluster.local/ns/bench/sa/caller";
export const SERVER_ID = "spiffe://cluster.local/ns/bench/sa/server";

/** In the certificate `server-named` besides, for a peer that checks no server without a DNS name. */
export const SERVER_DNS = "server.bench";

/** Certificates of the peers' sidecars, made by our own pki: the same keys, chains and names as our own mesh has. */
export interface Certificates {
  readonly directory: string;
  /** Lower-case hex, for peers that can't read a SPIFFE ID. */
  readonly callerSha1: string;
}

/** Writes root.pem, and chain, key and both in one file for caller and server, and for the server with a DNS name. */
export function writeCertificates(directory: string): Certificates {
  mkdirSync(directory, { recursive: true });
  const trustDomain = parseTrustDomain("cluster.local");
  const validity = { notBeforeMs: Date.now() - HOUR_MS, notAfterMs: Date.now() + 24 * HOUR_MS };
  const root = createRoot(trustDomain, generateKeyPair(), validity, randomBytes);
  const keys = generateKeyPair();
  const signer = createIntermediate(root, trustDomain, { keys, validity, random: randomBytes });
  writeFileSync(join(directory, "root.pem"), encodePem("CERTIFICATE", root.certificate.der));
  const write = (name: string, leaf: Buffer, leafKeys: KeyPair): void => {
    const chain = [leaf, signer.certificate.der].map((der) => encodePem("CERTIFICATE", der)).join("");
    const key = encodePrivateKey(leafKeys.privateKey);
    writeFileSync(join(directory, `${name}.pem`), chain);
    writeFileSync(join(directory, `${name}.key`), key, { mode: 0o600 });
    writeFileSync(join(directory, `${name}-both.pem`), chain + key, { mode: 0o600 });
  };
  const issue = (name: string, spiffeId: string): Buffer => {
    const leafKeys = generateKeyPair();
    const request = { spiffeId: parseSpiffeId(spiffeId), publicKey: leafKeys.publicKey, validity };
    const leaf = createLeaf(signer, request, randomBytes);
    write(name, leaf, leafKeys);
    return leaf;
  };
  const { subject: name, subjectKeyId, der } = signer.certificate;
  const named = anyCertificate({
    issuer: { der, keys, name, keyId: subjectKeyId! },
    names: [uriName(SERVER_ID), dnsName(SERVER_DNS)],
    ...validity,
  });
  write("server-named", named.der, named.keys);
  issue("server", SERVER_ID);
  const caller = new X509Certificate(issue("caller", CALLER_ID));
  return { directory, callerSha1: caller.fingerprint.replaceAll(":", "").toLowerCase() };
}
