import { generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { spiffeIdFor } from "../../../src/core/spiffe-id.ts";
import { createSigningRequest, parseSigningRequest } from "../../../src/pki/csr.ts";
import { constructedContextTag } from "../../../src/pki/der.ts";
import { writeBits, writeDer, writeOid, writeSequence, writeSmallInteger } from "../../../src/pki/der-write.ts";
import { writeName } from "../../../src/pki/extensions-write.ts";
import { generateKeyPair, type KeyPair } from "../../../src/pki/keys.ts";
import { OID } from "../../../src/pki/oids.ts";
import { encodePem, parsePem } from "../../../src/pki/pem.ts";
import { keysOf } from "../../support/any-certificate.ts";

const WEB = spiffeIdFor("cluster.local", "shop", "web");

interface RequestParts {
  readonly keys?: KeyPair;
  readonly signer?: KeyPair;
  readonly algorithm?: string;
  /** Null: the algorithm has its own. */
  readonly hash?: string | null;
  readonly version?: number;
  readonly extra?: readonly Buffer[];
}

function request(parts: RequestParts = {}): string {
  const keys = parts.keys ?? generateKeyPair();
  const info = writeSequence(
    writeSmallInteger(parts.version ?? 0),
    writeName("shop", "anything"),
    keys.publicKey,
    writeDer(constructedContextTag(0)),
    ...(parts.extra ?? []),
  );
  const signature = sign(parts.hash === undefined ? "sha256" : parts.hash, info, (parts.signer ?? keys).privateKey);
  const algorithm = writeSequence(writeOid(parts.algorithm ?? OID.ecdsaWithSha256));
  return encodePem("CERTIFICATE REQUEST", writeSequence(info, algorithm, writeBits(signature)));
}

const rsa1024 = keysOf(generateKeyPairSync("rsa", { modulusLength: 1024 }));
const rsa2048 = keysOf(generateKeyPairSync("rsa", { modulusLength: 2048 }));

describe("parseSigningRequest refuses", () => {
  it.each([
    ["a text that is no PEM", "hello"],
    ["a certificate instead of a request", request().replaceAll("CERTIFICATE REQUEST", "CERTIFICATE")],
    ["two requests at once", request() + request()],
    [
      "a request with bytes after it",
      encodePem("CERTIFICATE REQUEST", Buffer.concat([parsePem(request())[0]!.der, Buffer.from([0])])),
    ],
    ["a version that is not 1", request({ version: 1 })],
    ["elements that PKCS#10 does not have", request({ extra: [writeSmallInteger(1)] })],
    ["a signature of another key", request({ signer: generateKeyPair() })],
    ["RSA of 1024 bits", request({ keys: rsa1024, algorithm: OID.rsaWithSha256 })],
    ["a key on secp256k1", request({ keys: keysOf(generateKeyPairSync("ec", { namedCurve: "secp256k1" })) })],
    ["SHA-1", request({ hash: "sha1", algorithm: "1.2.840.10045.4.1" })],
    ["an algorithm of another kind than the key", request({ keys: rsa2048, algorithm: OID.ecdsaWithSha256 })],
    ["an Ed448 key", request({ keys: keysOf(generateKeyPairSync("ed448")), hash: null, algorithm: "1.3.101.113" })],
    ["more than the limit", "-----BEGIN CERTIFICATE REQUEST-----\n".padEnd(30_000, "A")],
  ])("%s", (_what, pem) => {
    expect(() => parseSigningRequest(pem)).toThrow(expect.objectContaining({ code: "csr-invalid" }));
  });

  it("a key whose curve is given by parameters", () => {
    const keys = keysOf(generateKeyPairSync("ec", { namedCurve: "P-256", paramEncoding: "explicit" }));
    expect(() => parseSigningRequest(request({ keys }))).toThrow(expect.objectContaining({ code: "csr-invalid" }));
  });
});

describe("parseSigningRequest takes", () => {
  it("our own, and reports the name that it asks for", () => {
    const keys = generateKeyPair();
    const read = parseSigningRequest(createSigningRequest(keys, WEB));
    expect(read).toMatchObject({ uris: [WEB], otherNames: 0 });
    expect(read.publicKey).toEqual(keys.publicKey);
  });

  it.each([
    ["RSA of 2048 bits", request({ keys: rsa2048, algorithm: OID.rsaWithSha256 })],
    [
      "P-384 with SHA-384",
      request({
        keys: keysOf(generateKeyPairSync("ec", { namedCurve: "P-384" })),
        hash: "sha384",
        algorithm: OID.ecdsaWithSha384,
      }),
    ],
  ])("%s, and counts the subject as a name", (_what, pem) => {
    expect(parseSigningRequest(pem)).toMatchObject({ uris: [], otherNames: 1 });
  });
});
