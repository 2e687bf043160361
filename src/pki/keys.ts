import { type KeyObject, createPublicKey, generateKeyPairSync } from "node:crypto";

/** A key pair of ours. */
export interface KeyPair {
  readonly privateKey: KeyObject;
  /** SubjectPublicKeyInfo, DER: as it stands in requests and certificates. RFC 5280 section 4.1.2.7. */
  readonly publicKey: Buffer;
}

/** ECDSA over P-256, the one kind of key that we make. */
export function generateKeyPair(): KeyPair {
  return generateKeyPairSync("ec", { namedCurve: "P-256", publicKeyEncoding: { type: "spki", format: "der" } });
}

/** The public half, SubjectPublicKeyInfo, DER. */
export function publicKeyOf(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ type: "spki", format: "der" });
}

/** PKCS#8, PEM. */
export function encodePrivateKey(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" });
}

/** SubjectPublicKeyInfo → a key to verify with, or null when the TLS library does not take it. */
export function parsePublicKey(spki: Buffer): KeyObject | null {
  try {
    return createPublicKey({ key: spki, type: "spki", format: "der" });
  } catch {
    return null;
  }
}
