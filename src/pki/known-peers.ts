import { type SpiffeId, trustDomainOf } from "../core/spiffe-id.ts";
import type { TrustBundle, TrustBundles } from "./bundle.ts";
import type { Certificate } from "./certificate.ts";

/** A peer whose chain was found good. */
export interface VerifiedPeer {
  readonly spiffeId: SpiffeId;
  /** SHA-256 of its certificate, hexadecimal. */
  readonly leafHash: string;
  /** When the first certificate of the chain ends, the root included: no connection may live longer. */
  readonly notAfterMs: number;
  /** Leaf first, root last. */
  readonly chain: readonly Certificate[];
}

interface KnownPeer {
  readonly peer: VerifiedPeer;
  /** What it sent, to the octet. */
  readonly chainDer: readonly Buffer[];
  readonly bundle: TrustBundle;
  readonly notBeforeMs: number;
}

/**
 * Chains that were found good, of the peers that connected last. The same peers come again and again, and neither what
 * their certificates say nor who signed them changes by that: only the time does, and whom we trust. Both are looked at
 * anew each time. Only good chains get in, so a stranger cannot fill it.
 */
const knownByBundles = new WeakMap<TrustBundles, Map<string, KnownPeer>>();
const KNOWN_PEERS_MAX = 512;
/** Chains are a kilobyte or two; who sends more is welcome, but not remembered. */
const KNOWN_CHAIN_BYTES_MAX = 8_192;

/** The peer, when this very chain was found good by these very bundles before, and every certificate of it is in time. */
export function recallPeer(
  leafHash: string,
  chainDer: readonly Buffer[],
  bundles: TrustBundles,
  nowMs: number,
): VerifiedPeer | null {
  const known = knownByBundles.get(bundles)?.get(leafHash);
  if (known === undefined || !isSame(known.chainDer, chainDer)) return null;
  const { peer, bundle, notBeforeMs } = known;
  if (bundles.get(trustDomainOf(peer.spiffeId)) !== bundle) return null;
  return notBeforeMs <= nowMs && nowMs <= peer.notAfterMs ? peer : null;
}

/** Only for a chain that has just been found good by these bundles. */
export function rememberPeer(peer: VerifiedPeer, chainDer: readonly Buffer[], bundles: TrustBundles): void {
  if (chainDer.reduce((sum, der) => sum + der.length, 0) > KNOWN_CHAIN_BYTES_MAX) return;
  const bundle = bundles.get(trustDomainOf(peer.spiffeId))!;
  const notBeforeMs = Math.max(...peer.chain.map((certificate) => certificate.notBeforeMs));
  const known = knownByBundles.get(bundles) ?? new Map<string, KnownPeer>();
  knownByBundles.set(bundles, known);
  known.delete(peer.leafHash);
  const [oldest] = known.keys();
  if (known.size >= KNOWN_PEERS_MAX) known.delete(oldest!);
  known.set(peer.leafHash, { peer, chainDer: [...chainDer], bundle, notBeforeMs });
}

function isSame(one: readonly Buffer[], other: readonly Buffer[]): boolean {
  return one.length === other.length && one.every((der, i) => der.equals(other[i]!));
}
