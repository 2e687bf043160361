import { CardeaError } from "../core/errors.ts";
import { type SpiffeId, type TrustDomain, parseSpiffeId, trustDomainOf } from "../core/spiffe-id.ts";
import type { Certificate } from "./certificate.ts";
import { KEY_USAGE } from "./extensions.ts";
import { OID } from "./oids.ts";

/** A Name without a single attribute. */
const EMPTY_NAME = Buffer.from("3000", "hex");

/**
 * The identity that a leaf claims, when the certificate is an X.509-SVID at all. Nothing is said about who signed it:
 * see verify.ts. X509-SVID sections 2, 3.1, 4 and 5.2. Errors: `peer-identity-invalid`.
 */
export function svidIdOf(leaf: Certificate): SpiffeId {
  const fault = leafFault(leaf);
  if (fault !== null) throw invalid(fault);
  const spiffeId = parseUri(leaf.uris);
  // Section 3.1: an id without a path names the trust domain, that is its authority, never a workload.
  if (`spiffe://${trustDomainOf(spiffeId)}` === spiffeId) throw invalid("its SPIFFE ID has no path");
  return spiffeId;
}

/** What forbids a certificate to sign SVIDs of a trust domain, or null. X509-SVID sections 3.2 and 4. */
export function signerFault(signer: Certificate, role: "root" | "intermediate"): string | null {
  if (!signer.isCa) return "it is not a CA certificate";
  // A root is trusted by decision; an organisation's old one may lack the extension.
  if (signer.keyUsage === null) return role === "root" ? null : "it has no key usage";
  if ((signer.keyUsage & KEY_USAGE.keyCertSign) === 0) return "its key usage does not allow signing certificates";
  if (!isForBothSides(signer.extendedKeyUsage)) return "its extended key usage is not for both TLS sides";
  return signerIds(signer).every(isTrustDomainId) ? null : "its SPIFFE ID has a path";
}

/**
 * Whether a signer may stand right above the leaf: when it has a SPIFFE ID itself, it must be that of the leaf's trust
 * domain, or an authority to which a root delegated another domain could name our workloads. X509-SVID section 3.2.
 */
export function mayIssueFor(signer: Certificate, trustDomain: TrustDomain): boolean {
  return signerIds(signer).every((id) => id === `spiffe://${trustDomain}`);
}

function leafFault(leaf: Certificate): string | null {
  if (leaf.isCa) return "it is a CA certificate";
  if (leaf.keyUsage === null) return "it has no key usage";
  if (!leaf.isKeyUsageCritical) return "its key usage is not critical";
  if ((leaf.keyUsage & (KEY_USAGE.keyCertSign | KEY_USAGE.crlSign)) !== 0) return "its key may sign certificates";
  if ((leaf.keyUsage & KEY_USAGE.digitalSignature) === 0) return "its key usage lacks digitalSignature";
  if (!isForBothSides(leaf.extendedKeyUsage)) return "its extended key usage is not for both TLS sides";
  const isNameless = leaf.subject.equals(EMPTY_NAME) && !leaf.isSubjectAltNameCritical;
  return isNameless ? "its subject is empty and its alternative name not critical" : null;
}

/** Section 4.4: when the extension is there, it must allow both sides of TLS. */
function isForBothSides(purposes: readonly string[] | null): boolean {
  if (purposes === null || purposes.includes(OID.anyExtendedKeyUsage)) return true;
  return purposes.includes(OID.serverAuth) && purposes.includes(OID.clientAuth);
}

function parseUri(uris: readonly string[]): SpiffeId {
  const [uri] = uris;
  if (uri === undefined) throw invalid("it has no URI name");
  if (uris.length > 1) throw invalid(`it has ${uris.length} URI names where one is allowed`);
  try {
    return parseSpiffeId(uri);
  } catch (error) {
    throw invalid(`its URI name is no SPIFFE ID: ${(error as Error).message}`, error);
  }
}

function signerIds(signer: Certificate): readonly string[] {
  return signer.uris.filter((uri) => uri.startsWith("spiffe://"));
}

function isTrustDomainId(uri: string): boolean {
  try {
    const id = parseSpiffeId(uri);
    return id === `spiffe://${trustDomainOf(id)}`;
  } catch {
    return false;
  }
}

function invalid(why: string, cause?: unknown): CardeaError {
  return new CardeaError("peer-identity-invalid", `the certificate is not an X.509-SVID: ${why}`, cause);
}
