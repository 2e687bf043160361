import { randomBytes } from "node:crypto";
import * as fc from "fast-check";
import forge from "node-forge";
import { describe, expect, it, test } from "vitest";
import { parseTrustDomain, spiffeIdFor } from "../../../src/core/spiffe-id.ts";
import { parseTrustBundle, trustBundlesOf } from "../../../src/pki/bundle.ts";
import { createIntermediate, createLeaf, createRoot, type Validity } from "../../../src/pki/certificate-build.ts";
import { parseCertificate } from "../../../src/pki/certificate.ts";
import { createSigningRequest, parseSigningRequest } from "../../../src/pki/csr.ts";
import { KEY_USAGE } from "../../../src/pki/extensions.ts";
import { generateKeyPair, parsePublicKey } from "../../../src/pki/keys.ts";
import { OID } from "../../../src/pki/oids.ts";
import { encodePem, parsePem } from "../../../src/pki/pem.ts";
import { readPublicKey } from "../../../src/pki/public-key.ts";
import { isSignedBy } from "../../../src/pki/signature.ts";
import { verifyPeerChain } from "../../../src/pki/verify.ts";
import { anyCertificate } from "../../support/any-certificate.ts";
import {
  type ForgeExtension,
  readByForge,
  readCertificateByForge,
  readRequestByForge,
  uriNamesByForge,
  writeByForge,
} from "../../support/forge-reading.ts";

// A second opinion. node-forge's ASN.1 shares nothing with ours: what we write it must read as we meant it, and what it
// writes we must read as it did.

const HOUR_MS = 3_600_000;
const NOW_MS = Date.UTC(2026, 10, 22, 12);
const DOMAIN = parseTrustDomain("cluster.local");
const WEB = spiffeIdFor("cluster.local", "shop", "web");

function ourChain(validity: Validity, trustDomain = DOMAIN, spiffeId = WEB) {
  const root = createRoot(trustDomain, generateKeyPair(), validity, randomBytes);
  const keys = generateKeyPair();
  const intermediate = createIntermediate(root, trustDomain, { keys, validity, random: randomBytes });
  const { publicKey } = generateKeyPair();
  const leaf = createLeaf(intermediate, { spiffeId, publicKey, validity }, randomBytes);
  return { root: root.certificate.der, intermediate: intermediate.certificate.der, leaf, publicKey };
}

const validity = { notBeforeMs: NOW_MS - HOUR_MS, notAfterMs: NOW_MS + HOUR_MS };
const ours = ourChain(validity);

function extensionOf(extensions: readonly ForgeExtension[], id: string): ForgeExtension | undefined {
  return extensions.find((extension) => extension.id === id);
}

describe("forge reads in what we write what we meant:", () => {
  it("a root", () => {
    const root = readCertificateByForge(ours.root);
    const name = [
      [OID.organizationName, "cluster.local"],
      [OID.commonName, "Cardea root"],
    ];
    expect(root).toMatchObject({ version: 2, issuer: name, subject: name, ...validity });
    expect(root.algorithms).toEqual([OID.ecdsaWithSha256, OID.ecdsaWithSha256]);
    expect(extensionOf(root.extensions, OID.basicConstraints)).toMatchObject({
      critical: true,
      cA: true,
      pathLenConstraint: 1,
    });
    expect(extensionOf(root.extensions, OID.keyUsage)).toMatchObject({
      critical: true,
      keyCertSign: true,
      cRLSign: true,
      digitalSignature: false,
    });
    expect(extensionOf(root.extensions, OID.subjectAltName)).toMatchObject({
      critical: false,
      altNames: [{ type: 6, value: "spiffe://cluster.local" }],
    });
  });

  it("an intermediate, which may sign leaves and no further CA", () => {
    const intermediate = readCertificateByForge(ours.intermediate);
    expect(intermediate.issuer).toEqual(readCertificateByForge(ours.root).subject);
    expect(extensionOf(intermediate.extensions, OID.basicConstraints)).toMatchObject({
      cA: true,
      pathLenConstraint: 0,
    });
  });

  it("a leaf: one critical URI name, no subject, both sides of TLS, no CA", () => {
    const leaf = readCertificateByForge(ours.leaf);
    expect(leaf).toMatchObject({ version: 2, subject: [], ...validity });
    expect(leaf.issuer).toEqual(readCertificateByForge(ours.intermediate).subject);
    expect(leaf.publicKey).toEqual(ours.publicKey);
    expect(leaf.extensions.map(({ id, critical }) => [id, critical])).toEqual([
      [OID.keyUsage, true],
      [OID.extKeyUsage, false],
      [OID.basicConstraints, true],
      [OID.subjectKeyIdentifier, false],
      [OID.authorityKeyIdentifier, false],
      [OID.subjectAltName, true],
    ]);
    const [usage, purposes, constraints, , , names] = leaf.extensions;
    expect(usage).toMatchObject({ digitalSignature: true, keyCertSign: false, cRLSign: false, keyEncipherment: false });
    expect(purposes).toMatchObject({ serverAuth: true, clientAuth: true });
    expect(constraints).toMatchObject({ cA: false });
    expect(constraints).not.toHaveProperty("pathLenConstraint");
    expect(names).toMatchObject({ altNames: [{ type: 6, value: WEB }] });
  });

  it("a signing request: our key, our name, and nothing besides", () => {
    const keys = generateKeyPair();
    const request = readRequestByForge(parsePem(createSigningRequest(keys, WEB))[0]!.der);
    expect(request).toMatchObject({
      version: 0,
      subject: [],
      publicKey: keys.publicKey,
      algorithm: OID.ecdsaWithSha256,
    });
    expect(request.extensions).toMatchObject([
      { id: OID.subjectAltName, critical: true, altNames: [{ type: 6, value: WEB }] },
    ]);
    const { signedPart: content, signature, algorithm } = request;
    expect(isSignedBy({ content, signature, algorithm }, parsePublicKey(keys.publicKey)!)).toBe(true);
  });
});

const label = fc.stringMatching(/^[a-z0-9]{1,20}$/);
const someValidity = fc
  .tuple(fc.integer({ min: Date.UTC(1951, 0), max: Date.UTC(2080, 0) }), fc.integer({ min: 1, max: 3_650 * 24 }))
  .map(([fromMs, hours]) => ({ notBeforeMs: fromMs, notAfterMs: fromMs + hours * HOUR_MS }));

test("whatever the names and times: forge reads, and writes back, the very octets, and agrees with our reader", () => {
  fc.assert(
    fc.property(label, label, label, someValidity, (domain, namespace, account, times) => {
      const spiffeId = spiffeIdFor(domain, namespace, account);
      const chain = ourChain(times, parseTrustDomain(domain), spiffeId);
      for (const der of [chain.root, chain.intermediate, chain.leaf]) {
        expect(writeByForge(readByForge(der))).toEqual(der);
        expectAgreement(der);
      }
      const [request] = parsePem(createSigningRequest(generateKeyPair(), spiffeId));
      expect(writeByForge(readByForge(request!.der))).toEqual(request!.der);
    }),
    { numRuns: 50 },
  );
});

/** The same certificate by both readers. */
function expectAgreement(der: Buffer): void {
  const own = parseCertificate(der);
  const forges = readCertificateByForge(der);
  // Forge keeps the octet that holds a number positive.
  expect(BigInt(`0x${own.serial}`)).toBe(BigInt(`0x${forges.serial}`));
  const { notBeforeMs, notAfterMs, publicKey } = own;
  expect({ notBeforeMs, notAfterMs, publicKey }).toEqual({
    notBeforeMs: forges.notBeforeMs,
    notAfterMs: forges.notAfterMs,
    publicKey: forges.publicKey,
  });
  expect(own.signed).toEqual({
    content: forges.signedPart,
    algorithm: forges.algorithms[0],
    signature: forges.signature,
  });
  expect(own.uris).toEqual(uriNamesByForge(extensionOf(forges.extensions, OID.subjectAltName)));
  const constraints = extensionOf(forges.extensions, OID.basicConstraints);
  expect(own.isCa).toBe(constraints?.["cA"] ?? false);
  expect(own.pathLength).toBe(constraints?.["pathLenConstraint"] ?? null);
  const usage = extensionOf(forges.extensions, OID.keyUsage);
  const allows = (bit: number): boolean | undefined => (own.keyUsage === null ? undefined : (own.keyUsage & bit) !== 0);
  expect([allows(KEY_USAGE.keyCertSign), allows(KEY_USAGE.digitalSignature)]).toEqual([
    usage?.["keyCertSign"],
    usage?.["digitalSignature"],
  ]);
}

test("what our reader takes of a damaged certificate, forge's strict one takes, and reads alike", () => {
  const { issuer, subject, publicKey } = parseCertificate(ours.leaf);
  // Names and key are handed on as they are; and of the alternative names only those of a few kinds are looked into.
  const closed = [
    ...[issuer, Buffer.concat([subject, publicKey])].map((part) => ({
      from: ours.leaf.indexOf(part),
      length: part.length,
    })),
    { from: ours.leaf.indexOf(WEB) - 2, length: 1 },
  ];
  const isRead = (at: number): boolean => closed.every(({ from, length }) => at < from || at >= from + length);
  const place = fc.nat({ max: ours.leaf.length - 1 }).filter(isRead);
  let taken = 0;
  fc.assert(
    fc.property(place, fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = Buffer.from(ours.leaf);
      damaged[at]! ^= flip;
      try {
        parseCertificate(damaged);
      } catch {
        return;
      }
      taken += 1;
      expectAgreement(damaged);
    }),
    { numRuns: 2_000 },
  );
  // Serial, key ids and signature are half of what is read, and any octets will do there.
  expect(taken).toBeGreaterThan(200);
});

describe("our reader refuses what forge's strict one lets pass:", () => {
  const [first, second, third] = [ours.leaf.subarray(0, 4), ours.leaf.subarray(4), ours.leaf.length];
  it.each<[string, Buffer]>([
    ["a length in more octets than it needs", Buffer.concat([Buffer.from([0x30, 0x83, 0]), first.subarray(2), second])],
    [
      "an indefinite length",
      Buffer.concat([Buffer.from([0x30, 0x80]), ours.leaf.subarray(4, third), Buffer.from([0, 0])]),
    ],
    ["a TRUE that is not ff", replaced(ours.leaf, "0101ff", "010101")],
  ])("%s", (_, der) => {
    expect(() => readByForge(der)).not.toThrow();
    expect(() => parseCertificate(der)).toThrow(expect.objectContaining({ code: "der-invalid" }));
  });

  it("and both refuse octets after the end", () => {
    const longer = Buffer.concat([ours.leaf, Buffer.from([0])]);
    expect(() => readByForge(longer)).toThrow();
    expect(() => parseCertificate(longer)).toThrow(expect.objectContaining({ code: "der-invalid" }));
  });
});

function replaced(der: Buffer, hex: string, by: string): Buffer {
  const text = der.toString("hex");
  expect(text).toContain(hex);
  return Buffer.from(text.replace(hex, by), "hex");
}

// What an organisation's authority may look like: RSA, signed by itself, made by forge.

const rootKeys = forge.pki.rsa.generateKeyPair({ bits: 2048 });
const leafKeys = forge.pki.rsa.generateKeyPair({ bits: 2048 });
const ROOT_NAME = [
  { name: "organizationName", value: "Örtliche Behörde", valueTagClass: forge.asn1.Type.UTF8 },
  { name: "commonName", value: "Root X1" },
] as unknown as forge.pki.CertificateField[];

interface ForgeOptions {
  readonly keys?: forge.pki.rsa.KeyPair;
  readonly subject?: forge.pki.CertificateField[];
  readonly extensions: readonly object[];
  readonly hash?: forge.md.MessageDigest;
  readonly signer?: forge.pki.rsa.PrivateKey;
}

function forgeCertificate({ keys = rootKeys, subject = ROOT_NAME, extensions, hash, signer }: ForgeOptions): Buffer {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = keys.publicKey;
  certificate.serialNumber = "00f1e2d3c4b5a69788";
  certificate.validity = { notBefore: new Date(validity.notBeforeMs), notAfter: new Date(validity.notAfterMs) };
  certificate.setSubject(subject);
  certificate.setIssuer(ROOT_NAME);
  certificate.setExtensions([...extensions]);
  certificate.sign(signer ?? rootKeys.privateKey, hash ?? forge.md.sha256.create());
  return Buffer.from(forge.asn1.toDer(forge.pki.certificateToAsn1(certificate)).getBytes(), "latin1");
}

const CA = [
  { name: "basicConstraints", critical: true, cA: true, pathLenConstraint: 2 },
  { name: "keyUsage", critical: true, keyCertSign: true, cRLSign: true },
  { name: "subjectKeyIdentifier" },
];
const SVID = [
  { name: "keyUsage", critical: true, digitalSignature: true, keyEncipherment: true },
  { name: "extKeyUsage", serverAuth: true, clientAuth: true },
  { name: "basicConstraints", critical: true, cA: false },
  { name: "subjectAltName", critical: true, altNames: [{ type: 6, value: WEB }] },
];

describe("we read in what forge writes what forge meant:", () => {
  it("an RSA root that has signed itself", () => {
    const der = forgeCertificate({ extensions: CA });
    const root = parseCertificate(der);
    expect(root).toMatchObject({ serial: "f1e2d3c4b5a69788", isCa: true, pathLength: 2, uris: [], ...validity });
    expect(root.keyUsage).toBe(KEY_USAGE.keyCertSign | KEY_USAGE.crlSign);
    expect(root.subject).toEqual(root.issuer);
    expect(readPublicKey(root.publicKey)).toEqual({ type: "rsa", name: "RSA 2048", weakness: null });
    expect(root.signed.algorithm).toBe(OID.rsaWithSha256);
    expect(isSignedBy(root.signed, parsePublicKey(root.publicKey)!)).toBe(true);
    const again = forge.pki.certificateFromAsn1(readByForge(der));
    const keyId = again.generateSubjectKeyIdentifier().toHex();
    expect(root.subjectKeyId?.toString("hex")).toBe(keyId);
  });

  it("a leaf below it, which we take for the identity that it names", () => {
    const der = forgeCertificate({ keys: leafKeys, subject: [], extensions: SVID });
    expect(verdictOn(der)).toBe(WEB);
  });

  it.each<[string, ForgeOptions, string]>([
    ["signed with SHA-1", { extensions: SVID, hash: forge.md.sha1.create() }, "peer-certificate-untrusted"],
    ["signed by another key", { extensions: SVID, signer: leafKeys.privateKey }, "peer-certificate-untrusted"],
    ["without key usage", { extensions: SVID.slice(1) }, "peer-identity-invalid"],
    ["that is a CA's", { extensions: [...CA, SVID[3]!] }, "peer-identity-invalid"],
    [
      "with two URI names",
      { extensions: [...SVID.slice(0, 3), { ...SVID[3], altNames: [uri(WEB), uri(`${WEB}2`)] }] },
      "peer-identity-invalid",
    ],
    [
      "whose name has a NUL inside",
      { extensions: [...SVID.slice(0, 3), { ...SVID[3], altNames: [uri(`${WEB}\0.evil`)] }] },
      "peer-identity-invalid",
    ],
    [
      "whose one name is a DNS name that reads like an identity",
      { extensions: [...SVID.slice(0, 3), { ...SVID[3], altNames: [{ type: 2, value: WEB }] }] },
      "peer-identity-invalid",
    ],
    [
      "that is for servers alone",
      { extensions: [SVID[0]!, { name: "extKeyUsage", serverAuth: true }, ...SVID.slice(2)] },
      "peer-identity-invalid",
    ],
  ])("but refuse a leaf %s", (_, options, code) => {
    expect(verdictOn(forgeCertificate({ keys: leafKeys, subject: [], ...options }))).toBe(code);
  });

  it.each([
    ["as it is", (text: string) => text, null],
    ["with a damaged signature", damageEnd, "csr-invalid"],
  ])("an RSA signing request %s", (_, change, refusal) => {
    const request = forge.pki.createCertificationRequest();
    request.publicKey = leafKeys.publicKey;
    request.setSubject([{ name: "commonName", value: "whatever" }]);
    const extensions = [{ name: "subjectAltName", altNames: [uri(WEB), { type: 2, value: "web.shop" }] }];
    request.setAttributes([{ name: "extensionRequest", extensions }]);
    request.sign(leafKeys.privateKey, forge.md.sha256.create());
    const pem = change(forge.pki.certificationRequestToPem(request));
    if (refusal !== null) {
      expect(() => parseSigningRequest(pem)).toThrow(expect.objectContaining({ code: refusal }));
      return;
    }
    const publicKey = writeByForge(forge.pki.publicKeyToAsn1(leafKeys.publicKey));
    expect(parseSigningRequest(pem)).toEqual({ publicKey, uris: [WEB], otherNames: 2 });
  });
});

test("forge's reader finds the same in certificates that we only write in tests", () => {
  for (const options of [
    {},
    { isCa: true, pathLength: 3, keyUsage: KEY_USAGE.keyCertSign },
    { isNameCritical: true },
  ]) {
    expectAgreement(anyCertificate(options).der);
  }
});

function uri(value: string): { type: number; value: string } {
  return { type: 6, value };
}

function damageEnd(pem: string): string {
  const [block] = parsePem(pem);
  const der = Buffer.from(block!.der);
  der[der.length - 1]! ^= 1;
  return encodePem("CERTIFICATE REQUEST", der);
}

/** The identity that the leaf is taken for below forge's root, or the error's code. */
function verdictOn(leaf: Buffer): string {
  const root = encodePem("CERTIFICATE", forgeCertificate({ extensions: CA }));
  try {
    return verifyPeerChain([leaf], trustBundlesOf(parseTrustBundle(DOMAIN, root)), NOW_MS).spiffeId;
  } catch (error) {
    return (error as { code: string }).code;
  }
}
