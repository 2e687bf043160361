import { type KeyObject, createPublicKey, generateKeyPairSync } from "node:crypto";
import { TAG, openSequence, readDer } from "./der.ts";
import { readOid } from "./der-types.ts";
import { OID } from "./oids.ts";

/** A key pair of ours. */
export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** ECDSA over P-256, the one kind of key that we make. */
export function generateKeyPair(): KeyPair {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

/** SubjectPublicKeyInfo, DER. RFC 5280 section 4.1.2.7. */
export function encodePublicKey(key: KeyObject): Buffer {
  return key.export({ type: "spki", format: "der" });
}

/** PKCS#8, PEM. */
export function encodePrivateKey(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" });
}

/** SubjectPublicKeyInfo → key, or null when it is none that the TLS library knows, or an EC key without a named curve. */
export function parsePublicKey(spki: Buffer): KeyObject | null {
  try {
    const algorithm = openSequence(openSequence(readDer(spki)).next(TAG.sequence));
    // A curve by its parameters could be one whose private keys are known (RFC 5480 section 2.1.1, CVE-2020-0601).
    if (readOid(algorithm.next(TAG.oid)) === OID.ecPublicKey) algorithm.next(TAG.oid);
    return createPublicKey({ key: spki, type: "spki", format: "der" });
  } catch {
    return null;
  }
}

const CURVES: ReadonlySet<string | undefined> = new Set(["prime256v1", "secp384r1", "secp521r1"]);
const RSA_BITS_MIN = 2048;
/** A larger key makes each check of its signatures costly for us. */
const RSA_BITS_MAX = 8192;

/** Why a key must not be used, or null when it may. */
export function keyWeakness(key: KeyObject): string | null {
  const details = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "ed25519") return null;
  if (key.asymmetricKeyType === "rsa") return rsaWeakness(details.modulusLength ?? 0, details.publicExponent ?? 0n);
  if (key.asymmetricKeyType !== "ec") return `a key of type ${String(key.asymmetricKeyType)} is not accepted`;
  return CURVES.has(details.namedCurve) ? null : `curve ${details.namedCurve ?? "without a name"} is not accepted`;
}

/** e.g. "EC P-256", "RSA 2048", for people. */
export function describeKey(key: KeyObject): string {
  const details = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "ec") return `EC ${CURVE_NAMES[details.namedCurve ?? ""] ?? "unknown curve"}`;
  if (key.asymmetricKeyType === "rsa") return `RSA ${details.modulusLength ?? 0}`;
  return key.asymmetricKeyType === "ed25519" ? "Ed25519" : String(key.asymmetricKeyType);
}

/** The hash of a signature algorithm that we accept, by OID; null where the algorithm has its own. SHA-1 is not here. */
export const SIGNATURE_HASHES: ReadonlyMap<string, string | null> = new Map([
  [OID.ecdsaWithSha256, "sha256"],
  [OID.ecdsaWithSha384, "sha384"],
  [OID.ecdsaWithSha512, "sha512"],
  [OID.rsaWithSha256, "sha256"],
  [OID.rsaWithSha384, "sha384"],
  [OID.rsaWithSha512, "sha512"],
  [OID.ed25519, null],
]);

const CURVE_NAMES: Readonly<Record<string, string>> = {
  prime256v1: "P-256",
  secp384r1: "P-384",
  secp521r1: "P-521",
};

function rsaWeakness(bits: number, exponent: bigint): string | null {
  if (bits < RSA_BITS_MIN) return `an RSA key of ${bits} bits is too short; ${RSA_BITS_MIN} is the least`;
  if (bits > RSA_BITS_MAX) return `an RSA key of ${bits} bits is too long; ${RSA_BITS_MAX} is the most`;
  return exponent >= 65_537n && exponent < 2n ** 32n ? null : `the RSA exponent ${exponent} is not accepted`;
}
