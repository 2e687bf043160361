import { type DerValue, TAG, contextTag, derInvalid, openSequence, readDer, readElements } from "./der.ts";
import { readAscii, readBoolean, readNamedBits, readOctetString, readOid, readSmallInteger } from "./der-types.ts";
import { OID } from "./oids.ts";

/** Bits of KeyUsage. RFC 5280 section 4.2.1.3. */
export const KEY_USAGE = {
  digitalSignature: 1 << 0,
  keyEncipherment: 1 << 2,
  keyAgreement: 1 << 4,
  keyCertSign: 1 << 5,
  crlSign: 1 << 6,
} as const;

/** The extensions that we know, as facts; a fact is null when its extension is absent. */
export interface CertificateExtensions {
  readonly isCa: boolean;
  /** How many further CA certificates may follow, or null for no limit. */
  readonly pathLength: number | null;
  readonly keyUsage: number | null;
  readonly isKeyUsageCritical: boolean;
  readonly extendedKeyUsage: readonly string[] | null;
  /** URI names of the subject, as ASCII: NUL and other oddities included, for whoever judges them. */
  readonly uris: readonly string[];
  /** DNS names of the subject, for display. */
  readonly dnsNames: readonly string[];
  readonly isSubjectAltNameCritical: boolean;
  readonly subjectKeyId: Buffer | null;
  readonly authorityKeyId: Buffer | null;
  /** Critical extensions that we do not process: whoever verifies must refuse (RFC 5280 section 4.2). */
  readonly unknownCritical: readonly string[];
}

interface Extension {
  readonly isCritical: boolean;
  readonly value: Buffer;
}

type ExtensionMap = ReadonlyMap<string, Extension>;

const PROCESSED: ReadonlySet<string> = new Set([
  OID.basicConstraints,
  OID.keyUsage,
  OID.extKeyUsage,
  OID.subjectAltName,
  OID.subjectKeyIdentifier,
  OID.authorityKeyIdentifier,
]);

/** otherName, rfc822Name, dNSName, x400Address, directoryName, ediPartyName, URI, iPAddress, registeredID. */
const GENERAL_NAME_TAGS: ReadonlySet<number> = new Set([0xa0, 0x81, 0x82, 0xa3, 0xa4, 0xa5, 0x86, 0x87, 0x88]);

/** The content of `[3] EXPLICIT Extensions`, or null when it is absent. Errors: `der-invalid`. */
export function parseExtensions(explicit: DerValue | null, isVersion3: boolean): CertificateExtensions {
  if (explicit !== null && !isVersion3) throw derInvalid("a certificate below version 3 has extensions");
  const extensions = explicit === null ? new Map<string, Extension>() : readExtensions(readDer(explicit.content));
  const names = readSubjectAltNames(extensions.get(OID.subjectAltName)?.value);
  return {
    ...readBasicConstraints(extensions),
    keyUsage: valueOf(extensions, OID.keyUsage, (value) => readNamedBits(readDer(value))),
    isKeyUsageCritical: extensions.get(OID.keyUsage)?.isCritical ?? false,
    extendedKeyUsage: valueOf(extensions, OID.extKeyUsage, readExtendedKeyUsage),
    uris: names.uris,
    dnsNames: names.dnsNames,
    isSubjectAltNameCritical: extensions.get(OID.subjectAltName)?.isCritical ?? false,
    subjectKeyId: valueOf(extensions, OID.subjectKeyIdentifier, (value) => readOctetString(readDer(value))),
    authorityKeyId: valueOf(extensions, OID.authorityKeyIdentifier, readAuthorityKeyId),
    unknownCritical: [...extensions].flatMap(([oid, { isCritical }]) =>
      isCritical && !PROCESSED.has(oid) ? [oid] : [],
    ),
  };
}

/** Extensions ::= SEQUENCE SIZE (1..MAX) OF Extension, each at most once. RFC 5280 section 4.2. Errors: `der-invalid`. */
export function readExtensions(list: DerValue): ExtensionMap {
  const extensions = new Map<string, Extension>();
  for (const element of readElements(list)) {
    const fields = openSequence(element);
    const oid = readOid(fields.next(TAG.oid));
    const critical = fields.nextIf(TAG.boolean);
    // FALSE is the DEFAULT, which DER leaves out. Some CAs write it all the same; it has one meaning only.
    const isCritical = critical !== null && readBoolean(critical);
    const value = readOctetString(fields.next(TAG.octetString));
    fields.end();
    if (extensions.has(oid)) throw derInvalid(`extension ${oid} is there twice`);
    extensions.set(oid, { isCritical, value });
  }
  if (extensions.size === 0) throw derInvalid("the list of extensions is empty");
  return extensions;
}

/** GeneralNames: those of the types that we look at. RFC 5280 section 4.2.1.6. Errors: `der-invalid`. */
export function readSubjectAltNames(value: Buffer | undefined): {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly count: number;
} {
  if (value === undefined) return { uris: [], dnsNames: [], count: 0 };
  const names = readElements(readDer(value));
  if (names.length === 0) throw derInvalid("the list of subject alternative names is empty");
  // A name under a tag that we pass over could be read as a URI by somebody else.
  if (names.some((name) => !GENERAL_NAME_TAGS.has(name.tag))) throw derInvalid("a name is of no known type");
  return { uris: textsOf(names, contextTag(6)), dnsNames: textsOf(names, contextTag(2)), count: names.length };
}

function textsOf(names: readonly DerValue[], tag: number): readonly string[] {
  return names.filter((name) => name.tag === tag).map((name) => readAscii(name.content));
}

function readBasicConstraints(extensions: ExtensionMap): Pick<CertificateExtensions, "isCa" | "pathLength"> {
  const extension = extensions.get(OID.basicConstraints);
  if (extension === undefined) return { isCa: false, pathLength: null };
  const fields = openSequence(readDer(extension.value));
  const ca = fields.nextIf(TAG.boolean);
  const isCa = ca !== null && readBoolean(ca);
  const length = fields.nextIf(TAG.integer);
  fields.end();
  if (length !== null && !isCa) throw derInvalid("a path length stands in a certificate that is no CA's");
  return { isCa, pathLength: length === null ? null : readSmallInteger(length) };
}

function readExtendedKeyUsage(value: Buffer): readonly string[] {
  const purposes = readElements(readDer(value)).map(readOid);
  if (purposes.length === 0) throw derInvalid("the list of extended key usages is empty");
  return purposes;
}

/** AuthorityKeyIdentifier's keyIdentifier; its issuer and serial are not used for building chains. */
function readAuthorityKeyId(value: Buffer): Buffer | null {
  return openSequence(readDer(value)).nextIf(contextTag(0))?.content ?? null;
}

function valueOf<T>(extensions: ExtensionMap, oid: string, read: (value: Buffer) => T): T | null {
  const extension = extensions.get(oid);
  return extension === undefined ? null : read(extension.value);
}
