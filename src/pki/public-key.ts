import { type DerSequence, TAG, openSequence, readDer } from "./der.ts";
import { readInteger, readOctetAlignedBits, readOid } from "./der-types.ts";
import { OID } from "./oids.ts";

/** What a SubjectPublicKeyInfo says of its key; whether the point or modulus is one at all, the TLS library judges. */
export interface PublicKeyFacts {
  readonly type: "ec" | "rsa" | "ed25519" | "other";
  /** e.g. "EC P-256", "RSA 2048", for people. */
  readonly name: string;
  /** Why the key must not be used, or null when it may. */
  readonly weakness: string | null;
}

/**
 * Judges a public key by its DER alone, without the cost of loading it. Errors: `der-invalid`, also for an EC key
 * whose curve is given by parameters: it could be one whose private keys are known (RFC 5480 section 2.1.1,
 * CVE-2020-0601).
 */
export function readPublicKey(spki: Buffer): PublicKeyFacts {
  const fields = openSequence(readDer(spki));
  const algorithm = openSequence(fields.next(TAG.sequence));
  const bits = readOctetAlignedBits(fields.next(TAG.bitString));
  fields.end();
  const oid = readOid(algorithm.next(TAG.oid));
  if (oid === OID.ecPublicKey) return ecFacts(algorithm);
  if (oid === OID.rsaEncryption) return rsaFacts(bits);
  if (oid === OID.ed25519) return { type: "ed25519", name: "Ed25519", weakness: null };
  return { type: "other", name: oid, weakness: `a key of type ${oid} is not accepted` };
}

const CURVES: ReadonlyMap<string, string> = new Map([
  ["1.2.840.10045.3.1.7", "P-256"],
  ["1.3.132.0.34", "P-384"],
  ["1.3.132.0.35", "P-521"],
]);

function ecFacts(algorithm: DerSequence): PublicKeyFacts {
  const oid = readOid(algorithm.next(TAG.oid));
  algorithm.end();
  const curve = CURVES.get(oid);
  const weakness = curve === undefined ? `an EC key on the curve ${oid} is not accepted` : null;
  return { type: "ec", name: `EC ${curve ?? oid}`, weakness };
}

const RSA_BITS_MIN = 2048;
/** A larger key makes each check of its signatures costly for us. */
const RSA_BITS_MAX = 8192;
const RSA_EXPONENT_MIN = 65_537;

function rsaFacts(bits: Buffer): PublicKeyFacts {
  const fields = openSequence(readDer(bits));
  const modulus = readInteger(fields.next(TAG.integer));
  const exponent = readInteger(fields.next(TAG.integer));
  fields.end();
  const length = bitLength(modulus);
  return { type: "rsa", name: `RSA ${length}`, weakness: rsaWeakness(length, exponent) };
}

function rsaWeakness(length: number, exponent: Buffer): string | null {
  if (length < RSA_BITS_MIN) return `an RSA key of ${length} bits is too short; ${RSA_BITS_MIN} is the least`;
  if (length > RSA_BITS_MAX) return `an RSA key of ${length} bits is too long; ${RSA_BITS_MAX} is the most`;
  const isUsual = exponent.length <= 4 && exponent.readUIntBE(0, exponent.length) >= RSA_EXPONENT_MIN;
  return isUsual ? null : "its RSA exponent is not accepted";
}

/** Of a positive INTEGER's octets. */
function bitLength(octets: Buffer): number {
  const first = octets.findIndex((octet) => octet !== 0);
  if (first < 0) return 0;
  return (octets.length - first) * 8 - (Math.clz32(octets[first]!) - 24);
}
