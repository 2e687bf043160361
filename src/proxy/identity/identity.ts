import type { TlsMaterial } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { TrustBundles } from "../../pki/bundle.ts";

/** What this sidecar is, and how it proves it. Replaced whole at each renewal; never changed. */
export interface Identity {
  readonly spiffeId: SpiffeId;
  /** Of the leaf, hexadecimal. */
  readonly serial: string;
  /** Leaf first, without the root. */
  readonly chainDer: readonly Buffer[];
  /** For `Network.createTlsContext`. Holds the private key, which goes nowhere else. */
  readonly material: TlsMaterial;
  readonly notBeforeMs: number;
  /** When the first certificate of the chain ends. Nothing may be proved with it from then on. */
  readonly notAfterMs: number;
  /** Who may vouch for a peer: `verifyPeerChain(peerChain, identity.bundles, nowMs)`. */
  readonly bundles: TrustBundles;
  /** All roots of the bundles, DER. */
  readonly rootsDer: readonly Buffer[];
}
