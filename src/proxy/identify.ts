import { toCardeaError } from "../core/errors.ts";
import { createLatest, type Latest } from "../core/latest.ts";
import type { Logger, Network, SecureConnection, TlsContext } from "../core/ports.ts";
import type { SpiffeId } from "../core/spiffe-id.ts";
import { verifyPeerChain } from "../pki/verify.ts";
import type { Identity } from "./identity/identity.ts";
import { type Lifetime, lifetimeOf } from "./lifetime.ts";

/** What this sidecar is, with the TLS context that was built of it once. */
export interface OwnIdentity {
  readonly identity: Identity;
  readonly context: TlsContext;
}

interface FollowOptions {
  readonly identity: Latest<Identity | null>;
  readonly network: Network;
  readonly logger: Logger;
}

/**
 * Builds a TLS context at each rotation. Live connections keep the one that they began with, and an identity that
 * cannot be used leaves the one before in its place.
 */
export function followIdentity({ identity, network, logger }: FollowOptions): Latest<OwnIdentity | null> {
  const own = createLatest<OwnIdentity | null>(null);
  const follow = (value: Identity | null) => {
    try {
      own.set(value === null ? null : { identity: value, context: network.createTlsContext(value.material) });
    } catch (thrown) {
      logger.log("error", "svid-unusable", { message: toCardeaError(thrown).message });
    }
  };
  follow(identity.get());
  identity.subscribe(follow);
  return own;
}

/** A caller that has proved who it is. */
export interface Caller {
  readonly spiffeId: SpiffeId;
  /** SHA-256 of its certificate, hexadecimal. */
  readonly certificateHash: string;
  /** Of the connection: until the first certificate of either chain ends. */
  readonly lifetime: Lifetime;
}

/**
 * The caller's chain → who it is. The TLS library has let the handshake pass whatever the certificate; this is where
 * it counts. Errors: as `verifyPeerChain`.
 */
export function identifyCaller(secure: SecureConnection, own: OwnIdentity, nowMs: number): Caller {
  const { spiffeId, leafHash, notAfterMs } = verifyPeerChain(secure.tls.peerChain, own.identity.bundles, nowMs);
  const endsAtMs = Math.min(notAfterMs, own.identity.notAfterMs);
  return { spiffeId, certificateHash: leafHash, lifetime: lifetimeOf("downstream", endsAtMs, nowMs) };
}
