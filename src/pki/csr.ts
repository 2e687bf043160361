import { sign } from "node:crypto";
import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { SpiffeId } from "../core/spiffe-id.ts";
import { type DerValue, TAG, constructedContextTag, openSequence, readDer, readElements } from "./der.ts";
import { readOctetAlignedBits, readOid, readSmallInteger } from "./der-types.ts";
import { writeBits, writeDer, writeOid, writeSequence, writeSmallInteger } from "./der-write.ts";
import { subjectAltNameExtension } from "./extensions-write.ts";
import { readExtensions, readSubjectAltNames } from "./extensions.ts";
import { type KeyPair, parsePublicKey } from "./keys.ts";
import { OID } from "./oids.ts";
import { encodePem, parsePem } from "./pem.ts";
import { readPublicKey } from "./public-key.ts";
import { type Signed, isSignedBy } from "./signature.ts";

/** What a certificate signing request proves: that the sender holds this key. Nothing else of it is believed. */
export interface SigningRequest {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
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
    keys.publicKey,
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
  const request = readInfo(info);
  assertKeyIsItsOwn(request.publicKey, { content: info.bytes, algorithm, signature });
  return request;
}

function readInfo(info: DerValue): SigningRequest {
  const fields = openSequence(info);
  if (readSmallInteger(fields.next(TAG.integer)) !== 0) throw invalid("its version is not 1");
  const subject = fields.next(TAG.sequence);
  const publicKey = fields.next(TAG.sequence).bytes;
  // Left out by some writers where it should be empty.
  const attributes = fields.nextIf(constructedContextTag(0));
  fields.end();
  const requests = attributes === null ? [] : extensionRequests(attributes);
  const names = requests.map((value) => readSubjectAltNames(readExtensions(value).get(OID.subjectAltName)?.value));
  const uris = names.flatMap((name) => name.uris);
  const count = names.reduce((sum, name) => sum + name.count, 0);
  return { publicKey, uris, otherNames: count - uris.length + (subject.bytes.equals(EMPTY_NAME) ? 0 : 1) };
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

/** Proof of possession: the key in the request signed the request. */
function assertKeyIsItsOwn(publicKey: Buffer, signed: Signed): void {
  const { weakness } = readPublicKey(publicKey);
  if (weakness !== null) throw invalid(weakness);
  const key = parsePublicKey(publicKey);
  if (key === null) throw invalid("its key is none");
  if (!isSignedBy(signed, key)) throw invalid(`its signature (${signed.algorithm}) is not its key's`);
}

function invalid(why: string, cause?: unknown): CardeaError {
  return new CardeaError("csr-invalid", `the certificate signing request is refused: ${why}`, cause);
}
