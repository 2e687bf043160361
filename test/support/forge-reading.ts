import forge from "node-forge";

const { asn1 } = forge;
type Asn1 = forge.asn1.Asn1;

/** What node-forge, which shares no line with ours, reads in a certificate. It knows no EC keys: those stay octets. */
export interface ForgeCertificate {
  readonly version: number;
  /** Hexadecimal. */
  readonly serial: string;
  /** The algorithm's OID as the signed part names it, and as stands beside the signature. */
  readonly algorithms: readonly [string, string];
  readonly issuer: readonly ForgeAttribute[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly subject: readonly ForgeAttribute[];
  readonly publicKey: Buffer;
  readonly extensions: readonly ForgeExtension[];
  readonly signedPart: Buffer;
  readonly signature: Buffer;
}

/** An OID and its text. */
export type ForgeAttribute = readonly [string, string];

/** An extension by forge's own reader: `id`, `critical`, and members by kind (`cA`, `altNames`, `keyCertSign`, …). */
export type ForgeExtension = { readonly id: string; readonly critical: boolean } & Readonly<Record<string, unknown>>;

export interface ForgeRequest {
  readonly version: number;
  readonly subject: readonly ForgeAttribute[];
  readonly publicKey: Buffer;
  readonly extensions: readonly ForgeExtension[];
  readonly algorithm: string;
  readonly signedPart: Buffer;
  readonly signature: Buffer;
}

/** Forge's strict reader: every octet belongs to a value. Throws what forge throws. */
export function readByForge(der: Buffer): Asn1 {
  return asn1.fromDer(der.toString("latin1"), true);
}

/** Back to octets by forge's writer. */
export function writeByForge(value: Asn1): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), "latin1");
}

/** Throws when forge cannot read it. RFC 5280 section 4.1. */
export function readCertificateByForge(der: Buffer): ForgeCertificate {
  const [signedPart, algorithm, signature] = membersOf(readByForge(der), 3);
  const members = membersOf(signedPart!);
  const [version, serial, innerAlgorithm, issuer, validity, subject, publicKey, extensions] = members;
  if (members.length !== 8) throw new Error(`forge finds ${members.length} members in a certificate`);
  const [notBefore, notAfter] = membersOf(validity!, 2);
  return {
    version: asn1.derToInteger(textOf(membersOf(version!, 1)[0]!)),
    serial: octetsOf(serial!).toString("hex"),
    algorithms: [oidOf(membersOf(innerAlgorithm!)[0]!), oidOf(membersOf(algorithm!)[0]!)],
    issuer: attributesOf(issuer!),
    notBeforeMs: timeOf(notBefore!),
    notAfterMs: timeOf(notAfter!),
    subject: attributesOf(subject!),
    publicKey: writeByForge(publicKey!),
    extensions: membersOf(membersOf(extensions!, 1)[0]!).map(readExtension),
    signedPart: writeByForge(signedPart!),
    signature: bitsOf(signature!),
  };
}

/** Throws when forge cannot read it. RFC 2986 section 4. */
export function readRequestByForge(der: Buffer): ForgeRequest {
  const [signedPart, algorithm, signature] = membersOf(readByForge(der), 3);
  const [version, subject, publicKey, attributes] = membersOf(signedPart!, 4);
  const asked = membersOf(attributes!).flatMap((attribute) => {
    const [oid, values] = membersOf(attribute, 2);
    return oidOf(oid!) === forge.pki.oids["extensionRequest"]
      ? membersOf(values!).flatMap((each) => membersOf(each))
      : [];
  });
  return {
    version: asn1.derToInteger(textOf(version!)),
    subject: attributesOf(subject!),
    publicKey: writeByForge(publicKey!),
    extensions: asked.map(readExtension),
    algorithm: oidOf(membersOf(algorithm!)[0]!),
    signedPart: writeByForge(signedPart!),
    signature: bitsOf(signature!),
  };
}

/** The URI names of a subjectAltName; forge's own reader of the extension does not look at the tags' class. */
export function uriNamesByForge(extension: ForgeExtension | undefined): readonly string[] {
  if (extension === undefined) return [];
  const names = membersOf(readByForge(Buffer.from(extension["value"] as string, "latin1")));
  return names.filter(isUri).map(textOf);
}

function isUri({ tagClass, type }: Asn1): boolean {
  return tagClass === asn1.Class.CONTEXT_SPECIFIC && (type as number) === 6;
}

/** What forge's types leave out. */
const { certificateExtensionFromAsn1: readKnownExtension } = forge.pki as unknown as {
  certificateExtensionFromAsn1(this: void, extension: Asn1): ForgeExtension;
};

/** The names under which forge reads them as RFC 5280 section 4.2.1 has them; older OIDs it takes for the same. */
const KNOWN = /^2\.5\.29\.(?:14|15|17|19|35|37)$/;

function readExtension(extension: Asn1): ForgeExtension {
  const id = oidOf(membersOf(extension)[0]!);
  return KNOWN.test(id) ? readKnownExtension(extension) : { id, critical: membersOf(extension).length === 3 };
}

function attributesOf(name: Asn1): readonly ForgeAttribute[] {
  return membersOf(name).map((set) => {
    const [oid, value] = membersOf(membersOf(set, 1)[0]!, 2);
    return [oidOf(oid!), Buffer.from(textOf(value!), "latin1").toString("utf8")];
  });
}

function timeOf(time: Asn1): number {
  const parse = time.type === asn1.Type.UTCTIME ? asn1.utcTimeToDate : asn1.generalizedTimeToDate;
  return parse(textOf(time)).getTime();
}

function oidOf(value: Asn1): string {
  return asn1.derToOid(textOf(value));
}

function octetsOf(value: Asn1): Buffer {
  return Buffer.from(textOf(value), "latin1");
}

/** Forge looks into a BIT STRING by itself and may have found values there; the octets as they came are kept beside. */
function bitsOf(value: Asn1): Buffer {
  const { bitStringContents } = value as Asn1 & { bitStringContents: string };
  return Buffer.from(bitStringContents, "latin1").subarray(1);
}

function textOf(value: Asn1): string {
  if (typeof value.value !== "string") throw new Error("forge finds values where octets belong");
  return value.value;
}

function membersOf(value: Asn1, count?: number): readonly Asn1[] {
  if (typeof value.value === "string") throw new Error("forge finds octets where values belong");
  if (count !== undefined && value.value.length !== count)
    throw new Error(`forge finds ${value.value.length} members where ${count} belong`);
  return value.value;
}
