import { type KeyObject, verify } from "node:crypto";
import { OID } from "./oids.ts";

/** Octets with a signature over them, as certificates and requests carry it. RFC 5280 section 4.1.1. */
export interface Signed {
  /** The DER that is signed. */
  readonly content: Buffer;
  /** The signature algorithm's OID. */
  readonly algorithm: string;
  readonly signature: Buffer;
}

interface SignatureAlgorithm {
  readonly keyType: "ec" | "rsa" | "ed25519";
  /** Null where the algorithm has its own. */
  readonly hash: string | null;
}

/** What we accept. SHA-1 and MD5 are not here, nor RSA-PSS, whose parameters could bring them back. */
const ALGORITHMS: ReadonlyMap<string, SignatureAlgorithm> = new Map<string, SignatureAlgorithm>([
  [OID.ecdsaWithSha256, { keyType: "ec", hash: "sha256" }],
  [OID.ecdsaWithSha384, { keyType: "ec", hash: "sha384" }],
  [OID.ecdsaWithSha512, { keyType: "ec", hash: "sha512" }],
  [OID.rsaWithSha256, { keyType: "rsa", hash: "sha256" }],
  [OID.rsaWithSha384, { keyType: "rsa", hash: "sha384" }],
  [OID.rsaWithSha512, { keyType: "rsa", hash: "sha512" }],
  [OID.ed25519, { keyType: "ed25519", hash: null }],
]);

/** Whether this key made the signature, by an algorithm that we accept. */
export function isSignedBy(signed: Signed, key: KeyObject): boolean {
  const algorithm = ALGORITHMS.get(signed.algorithm);
  if (algorithm === undefined || algorithm.keyType !== key.asymmetricKeyType) return false;
  try {
    return verify(algorithm.hash, signed.content, { key, dsaEncoding: "der" }, signed.signature);
  } catch {
    // The TLS library throws at some malformed signatures instead of finding them wrong.
    return false;
  }
}
