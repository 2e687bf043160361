import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { JsonObject } from "../../src/core/json-value.ts";

/** A key of an issuer that tests are. */
export interface IssuerKey {
  readonly kid: string;
  readonly alg: "RS256" | "ES256" | "EdDSA";
  readonly privateKey: KeyObject;
  /** The public half. */
  readonly jwk: JsonObject;
}

export function issuerKey(kid: string, alg: IssuerKey["alg"] = "ES256", bits = 2_048): IssuerKey {
  const { privateKey, publicKey } =
    alg === "RS256"
      ? generateKeyPairSync("rsa", { modulusLength: bits })
      : alg === "ES256"
        ? generateKeyPairSync("ec", { namedCurve: "P-256" })
        : generateKeyPairSync("ed25519");
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return { kid, alg, privateKey, jwk: { ...(publicKey.export({ format: "jwk" }) as JsonObject), kid } };
}

export function jwksOf(...keys: readonly IssuerKey[]): string {
  return JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });
}

/** A token; `header` replaces parts of what stands in it. */
export function tokenOf(key: IssuerKey, claims: object, header: object = {}): string {
  return signedText(key, JSON.stringify({ alg: key.alg, kid: key.kid, typ: "JWT", ...header }), JSON.stringify(claims));
}

/** The same of texts that need not be JSON. */
export function signedText(key: IssuerKey, header: string, payload: string): string {
  const input = `${Buffer.from(header).toString("base64url")}.${Buffer.from(payload).toString("base64url")}`;
  const digest = key.alg === "EdDSA" ? null : "sha256";
  const signature = sign(digest, Buffer.from(input), { key: key.privateKey, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}
