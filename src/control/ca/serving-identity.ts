import type { Clock, Logger } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import { encodePrivateKey, generateKeyPair } from "../../pki/keys.ts";
import { encodePem } from "../../pki/pem.ts";
import { type HeldCertificate, holdCertificate, type OwnCertificate } from "./held-certificate.ts";
import type { IssueSvid } from "./issue.ts";

export interface ServingIdentityOptions {
  /** `spiffe://<trust domain>/ns/<root namespace>/sa/cardea-control`: what sidecars expect. */
  readonly spiffeId: SpiffeId;
  readonly issue: IssueSvid;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The control plane's own certificate, which it issues to itself. Errors: those of `issue`. */
export function holdServingIdentity(options: ServingIdentityOptions): Promise<HeldCertificate> {
  const { clock, logger } = options;
  return holdCertificate({ issue: () => issueOwn(options), clock, logger, failureEvent: "own-svid-failed" });
}

async function issueOwn({ spiffeId, issue }: ServingIdentityOptions): Promise<OwnCertificate> {
  const keys = generateKeyPair();
  const issued = await issue({ spiffeId, publicKey: keys.publicKey, ttlSec: 0 });
  // The root stays out: callers have pinned it.
  const chainPem = issued.chainDer.slice(0, -1).map((der) => encodePem("CERTIFICATE", der));
  return {
    material: {
      chainPem: chainPem.join(""),
      keyPem: encodePrivateKey(keys.privateKey),
    },
    notAfterMs: issued.notAfterMs,
  };
}
