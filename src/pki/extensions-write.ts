import { TAG, contextTag } from "./der.ts";
import {
  writeDer,
  writeNamedBits,
  writeOctetString,
  writeOid,
  writeSequence,
  writeSmallInteger,
  writeTrue,
} from "./der-write.ts";
import { OID } from "./oids.ts";

/** One Extension. RFC 5280 section 4.2. */
export function writeExtension(oid: string, isCritical: boolean, value: Buffer): Buffer {
  return isCritical
    ? writeSequence(writeOid(oid), writeTrue(), writeOctetString(value))
    : writeSequence(writeOid(oid), writeOctetString(value));
}

/** The URI names, and nothing else, of a subject. RFC 5280 section 4.2.1.6. */
export function subjectAltNameExtension(uris: readonly string[], isCritical: boolean): Buffer {
  const names = uris.map((uri) => writeDer(contextTag(6), Buffer.from(uri, "latin1")));
  return writeExtension(OID.subjectAltName, isCritical, writeSequence(...names));
}

/** The DNS names of a server without a subject, so critical. RFC 5280 section 4.2.1.6. */
export function dnsNamesExtension(dnsNames: readonly string[]): Buffer {
  const names = dnsNames.map((name) => writeDer(contextTag(2), Buffer.from(name, "latin1")));
  return writeExtension(OID.subjectAltName, true, writeSequence(...names));
}

/** RFC 5280 section 4.2.1.9. A path length means a CA. */
export function basicConstraintsExtension(pathLength: number | null): Buffer {
  const value = pathLength === null ? writeSequence() : writeSequence(writeTrue(), writeSmallInteger(pathLength));
  return writeExtension(OID.basicConstraints, true, value);
}

/** RFC 5280 section 4.2.1.3. */
export function keyUsageExtension(bits: number): Buffer {
  return writeExtension(OID.keyUsage, true, writeNamedBits(bits));
}

/** For both sides of TLS. X509-SVID section 4.4. */
export function extendedKeyUsageExtension(): Buffer {
  return writeExtension(OID.extKeyUsage, false, writeSequence(writeOid(OID.serverAuth), writeOid(OID.clientAuth)));
}

/** For the server's side alone. RFC 5280 section 4.2.1.12. */
export function serverAuthExtension(): Buffer {
  return writeExtension(OID.extKeyUsage, false, writeSequence(writeOid(OID.serverAuth)));
}

export function subjectKeyIdExtension(keyId: Buffer): Buffer {
  return writeExtension(OID.subjectKeyIdentifier, false, writeOctetString(keyId));
}

export function authorityKeyIdExtension(keyId: Buffer): Buffer {
  return writeExtension(OID.authorityKeyIdentifier, false, writeSequence(writeDer(contextTag(0), keyId)));
}

/** A Name of organisation and common name. RFC 5280 section 4.1.2.4. */
export function writeName(organization: string, commonName: string): Buffer {
  return writeSequence(writeAttribute(OID.organizationName, organization), writeAttribute(OID.commonName, commonName));
}

function writeAttribute(oid: string, text: string): Buffer {
  const value = writeSequence(writeOid(oid), writeDer(TAG.utf8String, Buffer.from(text, "utf8")));
  return writeDer(TAG.set, value);
}
