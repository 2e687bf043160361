import type { Clock, Logger, Random } from "../../core/ports.ts";
import { createServerLeaf } from "../../pki/certificate-build.ts";
import { encodePrivateKey, generateKeyPair } from "../../pki/keys.ts";
import { encodePem } from "../../pki/pem.ts";
import type { Authority } from "../ca/authority.ts";
import { type HeldCertificate, holdCertificate, type OwnCertificate } from "../ca/held-certificate.ts";
import { BACKDATE_MS } from "../ca/issuer-file.ts";

export interface WebhookCertificateOptions {
  readonly authority: Authority;
  /** As the API server calls us: `<service>.<namespace>.svc`. */
  readonly dnsNames: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Long enough that half of it outlasts a night without us; short enough that a lost key is no loss for long. */
export const WEBHOOK_CERTIFICATE_TTL_MS = 86_400_000;

/** The certificate that the webhooks serve with, by our own authority, renewed at half of its life. */
export function holdWebhookCertificate(options: WebhookCertificateOptions): Promise<HeldCertificate> {
  const { clock, logger } = options;
  return holdCertificate({ issue: () => issue(options), clock, logger, failureEvent: "webhook-certificate-failed" });
}

async function issue({ authority, dnsNames, clock, random }: WebhookCertificateOptions): Promise<OwnCertificate> {
  const { issuer, root } = await authority.signer();
  const nowMs = clock.wallMs();
  const ends = [nowMs + WEBHOOK_CERTIFICATE_TTL_MS, issuer.certificate.notAfterMs, root.certificate.notAfterMs];
  const notAfterMs = Math.min(...ends);
  const keys = generateKeyPair();
  const validity = { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs };
  const leaf = createServerLeaf(issuer, { dnsNames, publicKey: keys.publicKey, validity }, (n) => random.bytes(n));
  const chain = [leaf, issuer.certificate.der].map((der) => encodePem("CERTIFICATE", der));
  const keyPem = encodePrivateKey(keys.privateKey);
  return { material: { chainPem: chain.join(""), keyPem }, notAfterMs };
}
