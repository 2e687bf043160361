import { type KeyObject, sign, verify } from "node:crypto";
import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { SpiffeId } from "../core/spiffe-id.ts";
import { type DerValue, TAG, constructedContextTag, openSequence, readDer, readElements } from "./der.ts";
import { readOctetAlignedBits, readOid, readSmallInteger } from "./der-types.ts";
import { writeBits, writeDer, writeOid, writeSequence, writeSmallInteger } from "./der-write.ts";
import { subjectAltNameExtension } from "./extensions-write.ts";
import { readExtensions, readSubjectAltNames } from "./extensions.ts";
import { type KeyPair, SIGNATURE_HASHES, encodePublicKey, keyWeakness, parsePublicKey } from "./keys.ts";
import { OID } from "./oids.ts";
import { encodePem, parsePem } from "./pem.ts";

/** What a certificate signing request proves: that the sender holds this key. Nothing else of it is believed. */
export interface SigningRequest {
  readonly publicKey: KeyObject;
  /** URI names that were asked for. The identity comes from the attestation; these are for the log. */
  readonly uris: readonly string[];
  /** How many names of other kinds were asked for, a subject included. */
  readonly otherNames: number;
}

const EMPTY_NAME = writeSequence();

/**
 * A PKCS#10 request for our own identity, PEM, signed with the key that it is for (proof of possession). Our authority
 * ignores the name; istio-csr and others compare it with what they attested. RFC 2986 section 4.
 */
export function createSigningRequest(keys: KeyPair, spiffeId: SpiffeId): string {
  const names = writeSequence(subjectAltNameExtension([spiffeId], true));
  const attribute = writeSequence(writeOid(OID.extensionRequest), writeDer(TAG.set, names));
  const info = writeSequence(
    writeSmallInteger(0),
    EMPTY_NAME,
    encodePublicKey(keys.publicKey),
    writeDer(constructedContextTag(0), attribute),
  );
  const signature = sign("sha256", info, { key: keys.privateKey, dsaEncoding: "der" });
  const algorithm = writeSequence(writeOid(OID.ecdsaWithSha256));
  return encodePem("CERTIFICATE REQUEST", writeSequence(info, algorithm, writeBits(signature)));
}

/** PEM → SigningRequest; the signature is verified, the key judged. Errors: `csr-invalid`. */
export function parseSigningRequest(pem: string): SigningRequest {
  // Base64 and line ends make PEM a third and a little longer than DER.
  if (pem.length > LIMITS.certificateBytesMax * 1.5) throw invalid("it is too long");
  try {
    return readRequest(blockOf(pem));
  } catch (error) {
    if (error instanceof CardeaError && error.code === "csr-invalid") throw error;
    throw invalid((error as Error).message, error);
  }
}

function blockOf(pem: string): Buffer {
  const [block, ...others] = parsePem(pem);
  // "NEW CERTIFICATE REQUEST": the older label, still written by some (RFC 7468 section 7).
  const isRequest = block?.label === "CERTIFICATE REQUEST" || block?.label === "NEW CERTIFICATE REQUEST";
  if (block === undefined || !isRequest || others.length > 0) throw invalid("it is not one CERTIFICATE REQUEST block");
  return block.der;
}

function readRequest(der: Buffer): SigningRequest {
  const outer = openSequence(readDer(der));
  const info = outer.next(TAG.sequence);
  const algorithm = readOid(openSequence(outer.next(TAG.sequence)).next(TAG.oid));
  const signature = readOctetAlignedBits(outer.next(TAG.bitString));
  outer.end();
  const { spki, uris, otherNames } = readInfo(info);
  const publicKey = parsePublicKey(spki);
  const weakness = publicKey === null ? "its key is of an unknown kind" : keyWeakness(publicKey);
  if (publicKey === null || weakness !== null) throw invalid(weakness ?? "it has no key");
  assertSigned(info.bytes, algorithm, signature, publicKey);
  return { publicKey, uris, otherNames };
}

interface RequestInfo extends Omit<SigningRequest, "publicKey"> {
  readonly spki: Buffer;
}

function readInfo(info: DerValue): RequestInfo {
  const fields = openSequence(info);
  if (readSmallInteger(fields.next(TAG.integer)) !== 0) throw invalid("its version is not 1");
  const subject = fields.next(TAG.sequence);
  const spki = fields.next(TAG.sequence).bytes;
  // Left out by some writers where it should be empty.
  const attributes = fields.nextIf(constructedContextTag(0));
  fields.end();
  const requests = attributes === null ? [] : extensionRequests(attributes);
  const names = requests.map((value) => readSubjectAltNames(readExtensions(value).get(OID.subjectAltName)?.value));
  const uris = names.flatMap((name) => name.uris);
  const count = names.reduce((sum, name) => sum + name.count, 0);
  return { spki, uris, otherNames: count - uris.length + (subject.bytes.equals(EMPTY_NAME) ? 0 : 1) };
}

/** Each Extensions that is asked for. RFC 2985 section 5.4.2. */
function extensionRequests(attributes: DerValue): readonly DerValue[] {
  return readElements(attributes, constructedContextTag(0)).flatMap((attribute) => {
    const fields = openSequence(attribute);
    const oid = readOid(fields.next(TAG.oid));
    const values = readElements(fields.next(), TAG.set);
    fields.end();
    return oid === OID.extensionRequest ? values : [];
  });
}

function assertSigned(info: Buffer, algorithm: string, signature: Buffer, key: KeyObject): void {
  const hash = SIGNATURE_HASHES.get(algorithm);
  if (hash === undefined) throw invalid(`its signature algorithm ${algorithm} is not accepted`);
  if (SIGNER_TYPES.get(algorithm) !== key.asymmetricKeyType)
    throw invalid("its signature is of another kind than its key");
  if (!verify(hash, info, { key, dsaEncoding: "der" }, signature)) throw invalid("its signature is not its key's");
}

const SIGNER_TYPES: ReadonlyMap<string, string> = new Map([
  [OID.ecdsaWithSha256, "ec"],
  [OID.ecdsaWithSha384, "ec"],
  [OID.ecdsaWithSha512, "ec"],
  [OID.rsaWithSha256, "rsa"],
  [OID.rsaWithSha384, "rsa"],
  [OID.rsaWithSha512, "rsa"],
  [OID.ed25519, "ed25519"],
]);

function invalid(why: string, cause?: unknown): CardeaError {
  return new CardeaError("csr-invalid", `the certificate signing request is refused: ${why}`, cause);
}
