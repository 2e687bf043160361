import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import {
  type DerSequence,
  type DerValue,
  TAG,
  constructedContextTag,
  contextTag,
  derInvalid,
  openSequence,
  readDer,
} from "./der.ts";
import { readInteger, readOctetAlignedBits, readOid, readSmallInteger, readTime } from "./der-types.ts";
import { type CertificateExtensions, parseExtensions } from "./extensions.ts";
import type { Signed } from "./signature.ts";

/** What a certificate says, read from its DER and not yet believed. RFC 5280 section 4.1. */
export interface Certificate extends CertificateExtensions {
  readonly der: Buffer;
  /** Hexadecimal, lower case, without leading zeros beyond whole octets. */
  readonly serial: string;
  /** Names as DER: they are compared octet by octet, never as strings. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  /** What its issuer signed, and how. */
  readonly signed: Signed;
}

/** RFC 5280 section 4.1.2.2. */
const SERIAL_BYTES_MAX = 20;
const VERSION_3 = 2;

/** DER → Certificate. Every octet is accounted for. Errors: `der-invalid`. */
export function parseCertificate(der: Buffer): Certificate {
  if (der.length > LIMITS.certificateBytesMax)
    throw derInvalid(`a certificate is longer than ${LIMITS.certificateBytesMax} bytes`);
  const outer = openSequence(readDer(der));
  const tbs = outer.next(TAG.sequence);
  const outerAlgorithm = outer.next(TAG.sequence);
  const signature = readOctetAlignedBits(outer.next(TAG.bitString));
  outer.end();
  const { innerAlgorithm, ...facts } = parseTbs(tbs);
  // RFC 5280 section 4.1.1.2: what is signed must name the algorithm, too, or it could be swapped.
  if (!innerAlgorithm.equals(outerAlgorithm.bytes)) throw derInvalid("a certificate names two signature algorithms");
  const algorithm = readOid(openSequence(outerAlgorithm).next(TAG.oid));
  return { der, ...facts, signed: { content: tbs.bytes, algorithm, signature } };
}

/** The same for PEM or DER of unknown origin: any failure is `bad-input`. */
export function parseCertificateFile(der: Buffer): Certificate {
  try {
    return parseCertificate(der);
  } catch (error) {
    throw new CardeaError("bad-input", `a certificate cannot be read: ${(error as Error).message}`, error);
  }
}

interface TbsFacts extends Omit<Certificate, "der" | "signed"> {
  readonly innerAlgorithm: Buffer;
}

function parseTbs(tbs: DerValue): TbsFacts {
  const fields = openSequence(tbs);
  const version = readVersion(fields);
  const serial = readSerial(fields.next(TAG.integer));
  const algorithm = fields.next(TAG.sequence);
  const issuer = fields.next(TAG.sequence).bytes;
  const validity = openSequence(fields.next());
  const notBeforeMs = readTime(validity.next());
  const notAfterMs = readTime(validity.next());
  validity.end();
  const subject = fields.next(TAG.sequence).bytes;
  const publicKey = fields.next(TAG.sequence).bytes;
  refuseUniqueIds(fields);
  const extensions = parseExtensions(fields.nextIf(constructedContextTag(3)), version === VERSION_3);
  fields.end();
  return {
    ...extensions,
    serial,
    issuer,
    subject,
    notBeforeMs,
    notAfterMs,
    publicKey,
    innerAlgorithm: algorithm.bytes,
  };
}

function readVersion(fields: DerSequence): number {
  const explicit = fields.nextIf(constructedContextTag(0));
  if (explicit === null) return 0;
  const version = readSmallInteger(readDer(explicit.content, TAG.integer));
  // v1 is the DEFAULT and so left out in DER; v2 brought unique ids that nobody uses.
  if (version !== VERSION_3) throw derInvalid("a certificate's version is not 3");
  return version;
}

function readSerial(value: DerValue): string {
  const octets = readInteger(value);
  if (octets[0]! >= 0x80) throw derInvalid("a serial number is negative");
  const magnitude = octets.length > 1 && octets[0] === 0 ? octets.subarray(1) : octets;
  if (octets.length > SERIAL_BYTES_MAX) throw derInvalid("a serial number is longer than 20 octets");
  return magnitude.toString("hex");
}

function refuseUniqueIds(fields: DerSequence): void {
  const isThere = fields.nextIf(contextTag(1)) !== null || fields.nextIf(contextTag(2)) !== null;
  if (isThere) throw derInvalid("a certificate has unique identifiers (RFC 5280 section 4.1.2.8 forbids them)");
}
