import type { Clock, Logger, Random } from "../../core/ports.ts";
import { createServerLeaf } from "../../pki/certificate-build.ts";
import { encodePrivateKey, generateKeyPair } from "../../pki/keys.ts";
import { encodePem } from "../../pki/pem.ts";
import type { Authority } from "./authority.ts";
import { type HeldCertificate, holdCertificate, type OwnCertificate } from "./held-certificate.ts";
import { BACKDATE_MS } from "./issuer-file.ts";

export interface ServerCertificateOptions {
  readonly authority: Authority;
  /** As its clients call us, such as `<service>.<namespace>.svc`. */
  readonly dnsNames: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** What is logged when it could not be renewed. Left out: `webhook-certificate-failed`. */
  readonly failureEvent?: string;
}

/** Long enough that half of it outlasts a night without us; short enough that a lost key is no loss for long. */
export const SERVER_CERTIFICATE_TTL_MS = 86_400_000;

/** A certificate to serve clients that know names and no SPIFFE IDs, by our own authority, renewed at half of its life. */
export function holdServerCertificate(options: ServerCertificateOptions): Promise<HeldCertificate> {
  const { clock, logger, failureEvent = "webhook-certificate-failed" } = options;
  return holdCertificate({ issue: () => issue(options), clock, logger, failureEvent });
}

async function issue({ authority, dnsNames, clock, random }: ServerCertificateOptions): Promise<OwnCertificate> {
  const { issuer, root } = await authority.signer();
  const nowMs = clock.wallMs();
  const ends = [nowMs + SERVER_CERTIFICATE_TTL_MS, issuer.certificate.notAfterMs, root.certificate.notAfterMs];
  const notAfterMs = Math.min(...ends);
  const keys = generateKeyPair();
  const validity = { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs };
  const leaf = createServerLeaf(issuer, { dnsNames, publicKey: keys.publicKey, validity }, (n) => random.bytes(n));
  const chain = [leaf, issuer.certificate.der].map((der) => encodePem("CERTIFICATE", der));
  const keyPem = encodePrivateKey(keys.privateKey);
  return { material: { chainPem: chain.join(""), keyPem }, notAfterMs };
}
