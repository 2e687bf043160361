import { hash } from "node:crypto";
import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { trustDomainOf } from "../core/spiffe-id.ts";
import type { Signer, TrustBundle, TrustBundles } from "./bundle.ts";
import { type Certificate, parseCertificate } from "./certificate.ts";
import { parsePublicKey } from "./keys.ts";
import { recallPeer, rememberPeer, type VerifiedPeer } from "./known-peers.ts";
import { readPublicKey } from "./public-key.ts";
import { isSignedBy } from "./signature.ts";
import { mayIssueFor, signerFault, svidIdOf } from "./svid.ts";

/**
 * Decides who a peer is, from the certificates that it sent, leaf first. The chain must lead to a root of the leaf's
 * own trust domain: the TLS library, given the roots of several domains, would let each vouch for all.
 * X509-SVID section 5, RFC 5280 section 6. Errors, and no others: `peer-certificate-missing`,
 * `peer-certificate-untrusted`, `peer-certificate-expired`, `peer-identity-invalid`.
 */
export function verifyPeerChain(chainDer: readonly Buffer[], bundles: TrustBundles, nowMs: number): VerifiedPeer {
  const [leafDer, ...othersDer] = chainDer;
  if (leafDer === undefined) throw new CardeaError("peer-certificate-missing", "the peer sent no certificate");
  if (chainDer.length > LIMITS.chainCertificatesMax)
    throw untrusted(`the peer sent more than ${LIMITS.chainCertificatesMax} certificates`);
  const leafHash = hash("sha256", leafDer, "hex");
  const known = recallPeer(leafHash, chainDer, bundles, nowMs);
  if (known !== null) return known;
  const leaf = parseLeaf(leafDer);
  const spiffeId = svidIdOf(leaf);
  const bundle = bundles.get(trustDomainOf(spiffeId));
  if (bundle === undefined) throw untrusted(`no roots are known for trust domain ${trustDomainOf(spiffeId)}`);
  const chain = findChain(leaf, othersDer, bundle, nowMs);
  const notAfterMs = Math.min(...chain.map((certificate) => certificate.notAfterMs));
  const peer = Object.freeze({ spiffeId, leafHash, notAfterMs, chain });
  rememberPeer(peer, chainDer, bundles);
  return peer;
}

function parseLeaf(der: Buffer): Certificate {
  try {
    return parseCertificate(der);
  } catch (error) {
    throw new CardeaError("peer-identity-invalid", `the peer's certificate: ${(error as Error).message}`, error);
  }
}

function findChain(
  leaf: Certificate,
  othersDer: readonly Buffer[],
  bundle: TrustBundle,
  nowMs: number,
): readonly Certificate[] {
  assertLeafSound(leaf);
  const known = knownSigners(bundle);
  const pool = othersDer.flatMap((der) => parseSigner(der, known));
  const signers = [...bundle.roots, ...pool];
  const found = new ChainSearch(bundle, signers, known, nowMs).from(leaf);
  if (found !== null) {
    rememberSigners(found, known);
    return found.map((link) => link.certificate);
  }
  // Only a chain that is good but for the time is called expired: a forged one stays untrusted.
  if (new ChainSearch(bundle, signers, known, null).from(leaf) === null)
    throw untrusted(`no chain of the peer's leads to a root of ${bundle.trustDomain}`);
  throw new CardeaError("peer-certificate-expired", describeValidity(leaf, nowMs));
}

/** A certificate of the chain under construction; the leaf's key is not needed. */
interface Link {
  readonly certificate: Certificate;
  readonly signer: Signer | null;
}

/** Depth-first from the leaf to a root, with a bound on signatures. Cross-signs give more than one way. */
class ChainSearch {
  readonly #bundle: TrustBundle;
  readonly #signers: readonly Signer[];
  readonly #known: KnownSigners;
  readonly #nowMs: number | null;
  #signaturesLeft = LIMITS.chainSignaturesMax;

  constructor(bundle: TrustBundle, signers: readonly Signer[], known: KnownSigners, nowMs: number | null) {
    this.#bundle = bundle;
    this.#signers = signers;
    this.#known = known;
    this.#nowMs = nowMs;
  }

  from(leaf: Certificate): readonly Link[] | null {
    return this.#isInTime(leaf) ? this.#extend([{ certificate: leaf, signer: null }]) : null;
  }

  #extend(path: readonly Link[]): readonly Link[] | null {
    if (path.length > LIMITS.chainCertificatesMax) return null;
    for (const signer of this.#signers) {
      if (!this.#mayFollow(path, signer)) continue;
      const longer = [...path, { certificate: signer.certificate, signer }];
      if (this.#bundle.roots.includes(signer)) return longer;
      const whole = this.#extend(longer);
      if (whole !== null) return whole;
    }
    return null;
  }

  #mayFollow(path: readonly Link[], signer: Signer): boolean {
    const child = path.at(-1)!;
    const role = this.#bundle.roots.includes(signer) ? "root" : "intermediate";
    return (
      isNamedIssuer(child.certificate, signer.certificate) &&
      path.every((link) => link.signer !== signer) &&
      this.#isInTime(signer.certificate) &&
      signer.certificate.unknownCritical.length === 0 &&
      keyWeakness(signer.certificate) === null &&
      signerFault(signer.certificate, role) === null &&
      (path.length > 1 || mayIssueFor(signer.certificate, this.#bundle.trustDomain)) &&
      hasRoomBelow(path, signer.certificate) &&
      this.#isSignedBy(child, signer)
    );
  }

  #isInTime(certificate: Certificate): boolean {
    return this.#nowMs === null || (certificate.notBeforeMs <= this.#nowMs && this.#nowMs <= certificate.notAfterMs);
  }

  #isSignedBy(child: Link, signer: Signer): boolean {
    if (child.signer !== null && this.#known.signedBy.get(child.signer)?.has(signer) === true) return true;
    if (this.#signaturesLeft === 0) return false;
    this.#signaturesLeft -= 1;
    return isSignedBy(child.certificate.signed, signer.key);
  }
}

function assertLeafSound(leaf: Certificate): void {
  const [oid] = leaf.unknownCritical;
  if (oid !== undefined) throw untrusted(`the peer's certificate has a critical extension ${oid} that is not known`);
  const weakness = keyWeakness(leaf);
  if (weakness !== null) throw untrusted(`the peer's key is refused: ${weakness}`);
}

function isNamedIssuer(child: Certificate, issuer: Certificate): boolean {
  if (!child.issuer.equals(issuer.subject)) return false;
  // Two keys of one name (a rotated CA) are told apart by their ids; without ids the signature decides.
  return (
    child.authorityKeyId === null || issuer.subjectKeyId === null || child.authorityKeyId.equals(issuer.subjectKeyId)
  );
}

/** RFC 5280 section 4.2.1.9: the path length counts CA certificates below, not the leaf, not the self-issued. */
function hasRoomBelow(path: readonly Link[], signer: Certificate): boolean {
  if (signer.pathLength === null) return true;
  const between = path.slice(1).filter(({ certificate }) => !certificate.issuer.equals(certificate.subject));
  return between.length <= signer.pathLength;
}

function keyWeakness(certificate: Certificate): string | null {
  try {
    return readPublicKey(certificate.publicKey).weakness;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * Intermediates that stood in a good chain before: parsed once, their signatures checked once. A signature does not
 * age; validity is checked each time. Only good chains get in, so a stranger cannot fill it.
 */
interface KnownSigners {
  readonly byHash: Map<string, Signer>;
  readonly signedBy: WeakMap<Signer, WeakSet<Signer>>;
}

const knownByBundle = new WeakMap<TrustBundle, KnownSigners>();
const KNOWN_SIGNERS_MAX = 256;

function knownSigners(bundle: TrustBundle): KnownSigners {
  const known = knownByBundle.get(bundle) ?? { byHash: new Map(), signedBy: new WeakMap() };
  knownByBundle.set(bundle, known);
  return known;
}

/** A certificate that cannot be read is left out: the chain may do without it. */
function parseSigner(der: Buffer, known: KnownSigners): readonly Signer[] {
  const remembered = known.byHash.get(hash("sha256", der, "base64"));
  if (remembered !== undefined) return [remembered];
  try {
    const certificate = parseCertificate(der);
    const key = certificate.isCa ? parsePublicKey(certificate.publicKey) : null;
    return key === null ? [] : [{ certificate, key }];
  } catch {
    return [];
  }
}

function rememberSigners(chain: readonly Link[], known: KnownSigners): void {
  for (const [index, { signer }] of chain.entries()) {
    const above = chain[index + 1]?.signer;
    // The leaf has no signer, the root no link above it.
    if (signer === null || above === undefined || above === null) continue;
    if (known.byHash.size >= KNOWN_SIGNERS_MAX) known.byHash.clear();
    known.byHash.set(hash("sha256", signer.certificate.der, "base64"), signer);
    known.signedBy.set(signer, (known.signedBy.get(signer) ?? new WeakSet()).add(above));
  }
}

function describeValidity(leaf: Certificate, nowMs: number): string {
  const now = new Date(nowMs).toISOString();
  const from = new Date(leaf.notBeforeMs).toISOString();
  const to = new Date(leaf.notAfterMs).toISOString();
  return `a certificate of the peer's chain is not valid at ${now}; its leaf is from ${from} to ${to}`;
}

function untrusted(why: string): CardeaError {
  return new CardeaError("peer-certificate-untrusted", why);
}
