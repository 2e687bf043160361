import { type KeyObject, createHash, sign } from "node:crypto";
import type { SpiffeId, TrustDomain } from "../core/spiffe-id.ts";
import { type Certificate, parseCertificate } from "./certificate.ts";
import { TAG, constructedContextTag, openSequence, readDer } from "./der.ts";
import { readOctetAlignedBits } from "./der-types.ts";
import {
  writeBits,
  writeDer,
  writeOid,
  writeSequence,
  writeSmallInteger,
  writeTime,
  writeUnsigned,
} from "./der-write.ts";
import {
  authorityKeyIdExtension,
  basicConstraintsExtension,
  dnsNamesExtension,
  extendedKeyUsageExtension,
  keyUsageExtension,
  serverAuthExtension,
  subjectAltNameExtension,
  subjectKeyIdExtension,
  writeName,
} from "./extensions-write.ts";
import { KEY_USAGE } from "./extensions.ts";
import type { KeyPair } from "./keys.ts";
import { OID } from "./oids.ts";

/** A CA certificate with its key, and what each certificate it signs has in common, encoded once. */
export interface Issuer {
  readonly certificate: Certificate;
  readonly privateKey: KeyObject;
  readonly authorityKeyId: Buffer;
}

export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Random octets for serial numbers (`Random.bytes`). */
type RandomBytes = (count: number) => Buffer;

export interface LeafRequest {
  readonly spiffeId: SpiffeId;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  readonly validity: Validity;
}

/** A key that signs ECDSA P-256 with the certificate that is for it. */
export function createIssuer(certificate: Certificate, privateKey: KeyObject): Issuer {
  const keyId = certificate.subjectKeyId ?? keyIdOf(certificate.publicKey);
  return Object.freeze({ certificate, privateKey, authorityKeyId: authorityKeyIdExtension(keyId) });
}

/** A self-signed root of a trust domain. One intermediate may stand below it. X509-SVID section 3.2. */
export function createRoot(trustDomain: TrustDomain, keys: KeyPair, validity: Validity, random: RandomBytes): Issuer {
  const name = writeName(trustDomain, "Cardea root");
  const spki = keys.publicKey;
  const der = signCertificate({
    issuerName: name,
    privateKey: keys.privateKey,
    subject: name,
    spki,
    validity,
    serial: newSerial(random),
    // A root's own id is its authority's: -x509_strict asks for none on a self-signed one, others ask for it.
    extensions: [...caExtensions(trustDomain, spki, 1), authorityKeyIdExtension(keyIdOf(spki))],
  });
  return createIssuer(parseCertificate(der), keys.privateKey);
}

/** An intermediate that signs leaves and no further CA. */
export function createIntermediate(root: Issuer, trustDomain: TrustDomain, options: IntermediateOptions): Issuer {
  const spki = options.keys.publicKey;
  const der = signCertificate({
    issuerName: root.certificate.subject,
    privateKey: root.privateKey,
    subject: writeName(trustDomain, "Cardea intermediate"),
    spki,
    validity: options.validity,
    serial: newSerial(options.random),
    extensions: [...caExtensions(trustDomain, spki, 0), root.authorityKeyId],
  });
  return createIssuer(parseCertificate(der), options.keys.privateKey);
}

export interface IntermediateOptions {
  readonly keys: KeyPair;
  readonly validity: Validity;
  readonly random: RandomBytes;
}

/**
 * An X.509-SVID, DER: one URI name, both sides of TLS, no subject, so its alternative name is critical.
 * X509-SVID sections 2 to 4.
 */
export function createLeaf(issuer: Issuer, request: LeafRequest, random: RandomBytes): Buffer {
  const names = subjectAltNameExtension([request.spiffeId], true);
  return signLeaf(issuer, { ...request, usage: LEAF_EXTENSIONS, names }, random);
}

export interface ServerLeafRequest {
  /** At least one; ASCII. */
  readonly dnsNames: readonly string[];
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  readonly validity: Validity;
}

/**
 * A certificate for an HTTPS server that callers know by DNS name, as the Kubernetes API server calls webhooks. It has no
 * URI name and is for the server's side alone, so nobody takes it for an SVID.
 */
export function createServerLeaf(issuer: Issuer, request: ServerLeafRequest, random: RandomBytes): Buffer {
  const names = dnsNamesExtension(request.dnsNames);
  return signLeaf(issuer, { ...request, usage: SERVER_EXTENSIONS, names }, random);
}

interface LeafToSign {
  readonly publicKey: Buffer;
  readonly validity: Validity;
  readonly usage: readonly Buffer[];
  readonly names: Buffer;
}

function signLeaf(issuer: Issuer, leaf: LeafToSign, random: RandomBytes): Buffer {
  const { publicKey, validity, usage, names } = leaf;
  return signCertificate({
    issuerName: issuer.certificate.subject,
    privateKey: issuer.privateKey,
    subject: EMPTY_NAME,
    spki: publicKey,
    validity,
    serial: newSerial(random),
    extensions: [...usage, subjectKeyIdExtension(keyIdOf(publicKey)), issuer.authorityKeyId, names],
  });
}

interface ToSign {
  readonly issuerName: Buffer;
  readonly privateKey: KeyObject;
  readonly subject: Buffer;
  readonly spki: Buffer;
  readonly validity: Validity;
  readonly serial: Buffer;
  readonly extensions: readonly Buffer[];
}

const EMPTY_NAME = writeSequence();
const VERSION_3 = writeDer(constructedContextTag(0), writeSmallInteger(2));
const ECDSA_WITH_SHA256 = writeSequence(writeOid(OID.ecdsaWithSha256));
const LEAF_EXTENSIONS: readonly Buffer[] = [
  keyUsageExtension(KEY_USAGE.digitalSignature),
  extendedKeyUsageExtension(),
  basicConstraintsExtension(null),
];
const SERVER_EXTENSIONS: readonly Buffer[] = [
  keyUsageExtension(KEY_USAGE.digitalSignature),
  serverAuthExtension(),
  basicConstraintsExtension(null),
];

function signCertificate(certificate: ToSign): Buffer {
  const { validity } = certificate;
  const tbs = writeSequence(
    VERSION_3,
    certificate.serial,
    ECDSA_WITH_SHA256,
    certificate.issuerName,
    writeSequence(writeTime(validity.notBeforeMs), writeTime(validity.notAfterMs)),
    certificate.subject,
    certificate.spki,
    writeDer(constructedContextTag(3), writeSequence(...certificate.extensions)),
  );
  const signature = sign("sha256", tbs, { key: certificate.privateKey, dsaEncoding: "der" });
  return writeSequence(tbs, ECDSA_WITH_SHA256, writeBits(signature));
}

function caExtensions(trustDomain: TrustDomain, spki: Buffer, pathLength: number): readonly Buffer[] {
  return [
    keyUsageExtension(KEY_USAGE.keyCertSign | KEY_USAGE.crlSign),
    basicConstraintsExtension(pathLength),
    subjectKeyIdExtension(keyIdOf(spki)),
    subjectAltNameExtension([`spiffe://${trustDomain}`], false),
  ];
}

/** 16 random octets below a leading one: positive, never zero, 17 octets of the 20 allowed. RFC 5280 section 4.1.2.2. */
function newSerial(random: RandomBytes): Buffer {
  return writeUnsigned(Buffer.concat([Buffer.from([1]), random(16)]));
}

/** The leftmost 160 bits of the key's SHA-256. RFC 7093 section 2, method 1. */
function keyIdOf(spki: Buffer): Buffer {
  const fields = openSequence(readDer(spki));
  fields.next(TAG.sequence);
  const key = readOctetAlignedBits(fields.next(TAG.bitString));
  return createHash("sha256").update(key).digest().subarray(0, 20);
}
