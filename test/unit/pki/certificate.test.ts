import { randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { spiffeIdFor, parseTrustDomain } from "../../../src/core/spiffe-id.ts";
import { createIntermediate, createLeaf, createRoot } from "../../../src/pki/certificate-build.ts";
import { parseCertificate } from "../../../src/pki/certificate.ts";
import { TAG } from "../../../src/pki/der.ts";
import { writeDer, writeOctetString, writeOid, writeSequence, writeUnsigned } from "../../../src/pki/der-write.ts";
import { writeExtension } from "../../../src/pki/extensions-write.ts";
import { generateKeyPair } from "../../../src/pki/keys.ts";
import { OID } from "../../../src/pki/oids.ts";
import { NOW_MS, anyCertificate, dnsName, uriName } from "../../support/any-certificate.ts";

const DOMAIN = parseTrustDomain("cluster.local");
const VALIDITY = { notBeforeMs: NOW_MS - 300_000, notAfterMs: NOW_MS + 3_600_000 };

function codeOf(der: Buffer): string {
  try {
    parseCertificate(der);
    return "accepted";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe("parseCertificate refuses", () => {
  const unknown = writeExtension("1.2.3.4", false, Buffer.from("0500", "hex"));
  it.each([
    ["an empty buffer", Buffer.alloc(0)],
    ["a byte after the certificate", Buffer.concat([anyCertificate().der, Buffer.from([0])])],
    ["a certificate that is cut off", anyCertificate().der.subarray(0, -1)],
    ["one that is longer than the limit", Buffer.concat([anyCertificate().der, Buffer.alloc(20_000)])],
    ["a negative serial number", anyCertificate({ serial: Buffer.from("020180", "hex") }).der],
    ["a serial number of 21 octets", anyCertificate({ serial: writeUnsigned(Buffer.alloc(21, 1)) }).der],
    ["an extension that is there twice", anyCertificate({ moreExtensions: [unknown, unknown] }).der],
    ["an empty list of names", anyCertificate({ names: [] }).der],
    ["a name under a tag that no type has", anyCertificate({ names: [writeDer(0xa6, Buffer.from("x"))] }).der],
    ["a URI name that is not ASCII", anyCertificate({ names: [writeDer(0x86, Buffer.from("spiffe://é"))] }).der],
    ["an empty list of purposes", anyCertificate({ extendedKeyUsage: [] }).der],
    [
      "a path length in a leaf",
      anyCertificate({ moreExtensions: [lateConstraints()], omitBasicConstraints: true }).der,
    ],
    [
      "an extension's value that has bytes after it",
      anyCertificate({ moreExtensions: [trailingConstraints()], omitBasicConstraints: true }).der,
    ],
    ["a certificate in a certificate's place twice", writeSequence(anyCertificate().der, anyCertificate().der)],
  ])("%s", (_what, der) => {
    expect(codeOf(der)).toBe("der-invalid");
  });

  it("a signature algorithm outside that is not the one inside", () => {
    const { der } = anyCertificate();
    const sha256 = writeOid(OID.ecdsaWithSha256);
    const at = der.lastIndexOf(sha256);
    const swapped = Buffer.from(der);
    writeOid(OID.ecdsaWithSha384).copy(swapped, at);
    expect(codeOf(swapped)).toBe("der-invalid");
  });

  it("any certificate with one bit turned, or reads it without a crash", () => {
    const { der } = anyCertificate();
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.nat(7), (at, bit) => {
        const turned = Buffer.from(der);
        turned[at]! ^= 1 << bit;
        expect(["accepted", "der-invalid"]).toContain(codeOf(turned));
      }),
      { seed: 7, numRuns: 2_000 },
    );
  });
});

describe("parseCertificate reads", () => {
  it("names by their types, NUL and all, each as it is", () => {
    const names = [uriName("spiffe://cluster.local/a\0b"), dnsName("web.shop"), uriName("https://x")];
    const facts = parseCertificate(anyCertificate({ names }).der);
    expect(facts.uris).toEqual(["spiffe://cluster.local/a\0b", "https://x"]);
    expect(facts.dnsNames).toEqual(["web.shop"]);
  });

  it("what we build: root, intermediate and leaf with their limits and usages", () => {
    const root = createRoot(DOMAIN, generateKeyPair(), VALIDITY, randomBytes);
    const keys = generateKeyPair();
    const intermediate = createIntermediate(root, DOMAIN, { keys, validity: VALIDITY, random: randomBytes });
    const request = {
      spiffeId: spiffeIdFor("cluster.local", "shop", "web"),
      publicKey: generateKeyPair().publicKey,
      validity: VALIDITY,
    };
    const leaf = parseCertificate(createLeaf(intermediate, request, randomBytes));
    expect(root.certificate).toMatchObject({ isCa: true, pathLength: 1, uris: ["spiffe://cluster.local"] });
    expect(intermediate.certificate).toMatchObject({ isCa: true, pathLength: 0, uris: ["spiffe://cluster.local"] });
    expect(intermediate.certificate.authorityKeyId).toEqual(root.certificate.subjectKeyId);
    expect(leaf).toMatchObject({
      isCa: false,
      pathLength: null,
      isKeyUsageCritical: true,
      isSubjectAltNameCritical: true,
      uris: ["spiffe://cluster.local/ns/shop/sa/web"],
      ...VALIDITY,
    });
    expect(leaf.serial).toMatch(/^01[0-9a-f]{32}$/);
  });
});

function lateConstraints(): Buffer {
  return writeExtension(OID.basicConstraints, true, writeSequence(Buffer.from("020100", "hex")));
}

function trailingConstraints(): Buffer {
  const value = writeOctetString(Buffer.concat([writeSequence(), Buffer.from([0])]));
  return writeDer(TAG.sequence, writeOid(OID.basicConstraints), value);
}
