import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { parseTrustDomain } from "../../../src/core/spiffe-id.ts";
import { parseTrustBundle, type TrustBundles, trustBundlesOf } from "../../../src/pki/bundle.ts";
import { writeExtension } from "../../../src/pki/extensions-write.ts";
import { KEY_USAGE } from "../../../src/pki/extensions.ts";
import { generateKeyPair } from "../../../src/pki/keys.ts";
import { OID } from "../../../src/pki/oids.ts";
import { encodePem, parseCertificatesPem } from "../../../src/pki/pem.ts";
import { isSignedBy } from "../../../src/pki/signature.ts";
import { verifyPeerChain } from "../../../src/pki/verify.ts";
import {
  type AnyCertificate,
  type AnyCertificateOptions,
  anyAuthority,
  anyCertificate,
  keysOf,
  NOW_MS,
  uriName,
} from "../../support/any-certificate.ts";
import { corpusPath } from "../../support/corpus.ts";

// Watched, not replaced: how many signatures are checked is part of the behaviour.
vi.mock("../../../src/pki/signature.ts", { spy: true });

const WEB = "spiffe://cluster.local/ns/shop/sa/web";
const HOUR_MS = 3_600_000;

const root = anyAuthority({ name: "root" });
const intermediate = anyAuthority({ name: "intermediate", issuer: root });
const foreignRoot = anyAuthority({ name: "foreign root" });

function bundleOf(domain: string, ...roots: readonly AnyCertificate[]) {
  const pem = roots.map((each) => encodePem("CERTIFICATE", each.der)).join("");
  return parseTrustBundle(parseTrustDomain(domain), pem);
}

const bundles = trustBundlesOf(bundleOf("cluster.local", root), bundleOf("other.example", foreignRoot));

function verdict(chain: readonly (AnyCertificate | Buffer)[], nowMs = NOW_MS, trusted: TrustBundles = bundles): string {
  const ders = chain.map((each) => (Buffer.isBuffer(each) ? each : each.der));
  try {
    return verifyPeerChain(ders, trusted, nowMs).spiffeId;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/** How many signatures it takes to find the chain good. */
function signaturesFor(chain: readonly (AnyCertificate | Buffer)[], trusted: TrustBundles = bundles): number {
  vi.mocked(isSignedBy).mockClear();
  expect(verdict(chain, NOW_MS, trusted)).toBe(WEB);
  return vi.mocked(isSignedBy).mock.calls.length;
}

function leafOf(issuer: AnyCertificate, options: AnyCertificateOptions = {}): AnyCertificate {
  return anyCertificate({ issuer, ...options });
}

describe("verifyPeerChain accepts", () => {
  it("a leaf below an intermediate, and tells when the first certificate of the chain ends", () => {
    const short = anyAuthority({ name: "intermediate", issuer: root, notAfterMs: NOW_MS + HOUR_MS / 2 });
    const peer = verifyPeerChain([leafOf(short).der, short.der], bundles, NOW_MS);
    expect(peer).toMatchObject({ spiffeId: WEB, notAfterMs: NOW_MS + HOUR_MS / 2 });
    expect(peer.chain.map((certificate) => certificate.der)).toEqual([expect.anything(), short.der, root.der]);
  });

  it("a leaf right below the root", () => {
    expect(verdict([leafOf(root)])).toBe(WEB);
  });

  it("certificates in any order after the leaf, and the root sent along", () => {
    const lower = anyAuthority({ name: "lower", issuer: intermediate });
    expect(verdict([leafOf(lower), root, intermediate, lower])).toBe(WEB);
  });

  it("a useless or unreadable certificate beside a good chain", () => {
    expect(verdict([leafOf(intermediate), Buffer.from("junk"), foreignRoot, intermediate])).toBe(WEB);
  });

  it("the old and the new key of one authority's name", () => {
    const newRoot = anyAuthority({ name: "root" });
    const both = trustBundlesOf(bundleOf("cluster.local", newRoot, root));
    expect(verdict([leafOf(root)], NOW_MS, both)).toBe(WEB);
    expect(verdict([leafOf(newRoot)], NOW_MS, both)).toBe(WEB);
  });

  it("a cross-signed intermediate when one of its two ways leads to a root", () => {
    const dead = anyAuthority({ name: "dead end" });
    const wrongWay = anyAuthority({ name: "intermediate", issuer: dead, keys: intermediate.keys });
    const rightWay = anyAuthority({ name: "intermediate", issuer: root, keys: intermediate.keys });
    const leaf = leafOf(rightWay, { omitKeyIds: true });
    expect(verdict([leaf, wrongWay, dead, rightWay])).toBe(WEB);
  });

  it("another leaf below the intermediate of a moment ago, without checking the intermediate's signature anew", () => {
    expect(verdict([leafOf(intermediate), intermediate])).toBe(WEB);
    const leaf = leafOf(intermediate);
    expect(signaturesFor([leaf, intermediate])).toBe(1);
  });

  it("the chain of a moment ago again, without checking any signature anew, and says the same", () => {
    const leaf = leafOf(intermediate);
    const chain = [leaf.der, intermediate.der];
    const first = verifyPeerChain(chain, bundles, NOW_MS);
    expect(signaturesFor([Buffer.from(leaf.der), Buffer.from(intermediate.der)])).toBe(0);
    expect(verifyPeerChain(chain, bundles, NOW_MS)).toEqual(first);
    expect(first.leafHash).toBe(new X509Certificate(leaf.der).fingerprint256.replaceAll(":", "").toLowerCase());
  });

  it("the leaf of a moment ago with other certificates, checking it anew", () => {
    const leaf = leafOf(intermediate);
    expect(verdict([leaf, intermediate])).toBe(WEB);
    expect(signaturesFor([leaf, intermediate, root])).toBe(1);
  });

  it("a chain as good by one set of bundles whatever another has found", () => {
    const leaf = leafOf(root);
    expect(verdict([leaf])).toBe(WEB);
    expect(signaturesFor([leaf], trustBundlesOf(bundleOf("cluster.local", root)))).toBe(1);
  });

  it("a chain of more than 8 KiB, without keeping it", () => {
    const leaf = leafOf(root);
    const ballast = Array.from({ length: 5 }, () => leafOf(root, { names: [uriName(`x:${"x".repeat(2_000)}`)] }));
    expect(verdict([leaf, ...ballast])).toBe(WEB);
    expect(signaturesFor([leaf, ...ballast])).toBe(1);
  });

  it("the leaves of 512 peers without checking them anew, and no more", () => {
    const trusted = trustBundlesOf(bundleOf("cluster.local", root));
    const first = leafOf(root);
    const second = leafOf(root);
    const keys = generateKeyPair();
    for (const leaf of [first, second]) expect(verdict([leaf], NOW_MS, trusted)).toBe(WEB);
    for (let i = 0; i < 511; i += 1) expect(verdict([leafOf(root, { keys })], NOW_MS, trusted)).toBe(WEB);
    expect(signaturesFor([second], trusted)).toBe(0);
    expect(signaturesFor([first], trusted)).toBe(1);
  });

  it("the very second in which the certificate ends, and not the next one", () => {
    const leaf = leafOf(root);
    expect(verdict([leaf], NOW_MS + HOUR_MS)).toBe(WEB);
    expect(verdict([leaf], NOW_MS + HOUR_MS + 1)).toBe("peer-certificate-expired");
  });
});

describe("verifyPeerChain refuses", () => {
  const endEntity = leafOf(root, { name: "end entity" });
  const pathLengthZero = anyAuthority({ name: "limited", issuer: root, pathLength: 0 });
  const below = anyAuthority({ name: "below", issuer: pathLengthZero });
  const expired = anyAuthority({
    name: "expired",
    issuer: root,
    notBeforeMs: NOW_MS - 2 * HOUR_MS,
    notAfterMs: NOW_MS - 1,
  });
  const future = anyAuthority({ name: "future", issuer: root, notBeforeMs: NOW_MS + 60_000 });
  const noCertSign = anyAuthority({ name: "no cert sign", issuer: root, keyUsage: KEY_USAGE.crlSign });
  const noUsage = anyAuthority({ name: "no usage", issuer: root, keyUsage: null });
  const serversOnly = anyAuthority({ name: "servers", issuer: root, extendedKeyUsage: [OID.serverAuth] });
  const nameConstraints = writeExtension("2.5.29.30", true, Buffer.from("3000", "hex"));
  const constrained = anyAuthority({ name: "constrained", issuer: root, moreExtensions: [nameConstraints] });
  const delegated = anyAuthority({ name: "delegated", issuer: root, names: [uriName("spiffe://other.example")] });
  const withPath = anyAuthority({ name: "with path", issuer: root, names: [uriName("spiffe://cluster.local/ca")] });
  const weak = anyAuthority({
    name: "weak",
    issuer: root,
    keys: keysOf(generateKeyPairSync("rsa", { modulusLength: 1024 })),
  });
  const rsa = { oid: OID.rsaWithSha256, name: "sha256" };
  const sha1 = { oid: "1.2.840.10045.4.1", name: "sha1" };
  const impostor = anyAuthority({ name: "root" });

  it.each<[string, readonly (AnyCertificate | Buffer)[], string]>([
    ["nobody", [], "peer-certificate-missing"],
    ["a leaf that a stranger signed", [leafOf(foreignRoot)], "peer-certificate-untrusted"],
    [
      "a leaf that names A below the root of trust domain B",
      [leafOf(foreignRoot), foreignRoot],
      "peer-certificate-untrusted",
    ],
    [
      "a leaf of a trust domain that is not known",
      [leafOf(root, { names: [uriName("spiffe://nowhere.example/x")] })],
      "peer-certificate-untrusted",
    ],
    [
      "a leaf of B below the root of A",
      [leafOf(root, { names: [uriName("spiffe://other.example/x")] })],
      "peer-certificate-untrusted",
    ],
    ["a self-signed leaf", [anyCertificate()], "peer-certificate-untrusted"],
    [
      "a leaf whose intermediate was not sent",
      [leafOf(anyAuthority({ name: "absent", issuer: root }))],
      "peer-certificate-untrusted",
    ],
    ["a root of the right name and the wrong key", [leafOf(impostor), impostor], "peer-certificate-untrusted"],
    [
      "a leaf with its issuer's name and another's signature",
      [leafOf(root, { signingKey: foreignRoot.keys.privateKey })],
      "peer-certificate-untrusted",
    ],
    ["an end entity as issuer", [leafOf(endEntity), endEntity], "peer-certificate-untrusted"],
    [
      "more intermediates than a path length allows",
      [leafOf(below), below, pathLengthZero],
      "peer-certificate-untrusted",
    ],
    ["an issuer that may not sign certificates", [leafOf(noCertSign), noCertSign], "peer-certificate-untrusted"],
    ["an issuer without key usage", [leafOf(noUsage), noUsage], "peer-certificate-untrusted"],
    ["an issuer for servers only", [leafOf(serversOnly), serversOnly], "peer-certificate-untrusted"],
    ["a critical extension that is not processed", [leafOf(constrained), constrained], "peer-certificate-untrusted"],
    [
      "a critical extension in the leaf",
      [leafOf(root, { moreExtensions: [nameConstraints] })],
      "peer-certificate-untrusted",
    ],
    [
      "an authority of another trust domain above the leaf",
      [leafOf(delegated), delegated],
      "peer-certificate-untrusted",
    ],
    ["an authority whose own id has a path", [leafOf(withPath), withPath], "peer-certificate-untrusted"],
    ["an issuer with a key of 1024 bits", [leafOf(weak, { hash: rsa }), weak], "peer-certificate-untrusted"],
    [
      "a leaf with a key of 1024 bits",
      [leafOf(root, { keys: keysOf(generateKeyPairSync("rsa", { modulusLength: 1024 })) })],
      "peer-certificate-untrusted",
    ],
    [
      "a leaf whose curve is given by parameters",
      [leafOf(root, { keys: keysOf(generateKeyPairSync("ec", { namedCurve: "P-256", paramEncoding: "explicit" })) })],
      "peer-certificate-untrusted",
    ],
    ["a signature over SHA-1", [leafOf(root, { hash: sha1 })], "peer-certificate-untrusted"],
    [
      "nine certificates",
      [leafOf(root), ...Array.from({ length: 8 }, () => intermediate)],
      "peer-certificate-untrusted",
    ],
    ["a leaf that has ended", [leafOf(root, { notAfterMs: NOW_MS - 1000 })], "peer-certificate-expired"],
    ["a leaf that has not begun", [leafOf(root, { notBeforeMs: NOW_MS + 1000 })], "peer-certificate-expired"],
    ["an intermediate that has ended", [leafOf(expired), expired], "peer-certificate-expired"],
    ["an intermediate that has not begun", [leafOf(future), future], "peer-certificate-expired"],
    [
      "a forged leaf that has ended, too",
      [leafOf(foreignRoot, { notAfterMs: NOW_MS - 1000 })],
      "peer-certificate-untrusted",
    ],
    ["bytes that are no certificate", [Buffer.from("junk")], "peer-identity-invalid"],
    [
      "a good leaf with a byte after it",
      [Buffer.concat([leafOf(root).der, Buffer.from([0])])],
      "peer-identity-invalid",
    ],
    [
      "a leaf of 17 KiB",
      [leafOf(root, { names: [uriName(WEB), uriName("x".repeat(17_000))] })],
      "peer-identity-invalid",
    ],
    ["a CA certificate as leaf", [anyAuthority({ issuer: root, names: [uriName(WEB)] })], "peer-identity-invalid"],
    ["two identities", [leafOf(root, { names: [uriName(WEB), uriName(`${WEB}2`)] })], "peer-identity-invalid"],
  ])("%s", (_what, chain, code) => {
    expect(verdict(chain)).toBe(code);
  });

  it("everything once the root has ended", () => {
    const old = anyAuthority({ name: "old root", notAfterMs: NOW_MS });
    const trusted = trustBundlesOf(bundleOf("cluster.local", old));
    expect(verdict([leafOf(old)], NOW_MS, trusted)).toBe(WEB);
    expect(verdict([leafOf(old)], NOW_MS + 1, trusted)).toBe("peer-certificate-expired");
  });

  it("an intermediate that was good a moment ago and has ended since", () => {
    const brief = anyAuthority({ name: "brief", issuer: root, notAfterMs: NOW_MS + 1000 });
    const leaf = leafOf(brief);
    expect(verdict([leaf, brief])).toBe(WEB);
    expect(verdict([leaf, brief], NOW_MS + 1001)).toBe("peer-certificate-expired");
  });

  it("a known intermediate's chain when its root is withdrawn", () => {
    const leaf = leafOf(intermediate);
    expect(verdict([leaf, intermediate])).toBe(WEB);
    const withdrawn = trustBundlesOf(bundleOf("cluster.local", anyAuthority({ name: "new root" })));
    expect(verdict([leaf, intermediate], NOW_MS, withdrawn)).toBe("peer-certificate-untrusted");
  });

  it("a known leaf when the bundle has been replaced where it was", () => {
    const trusted = new Map(trustBundlesOf(bundleOf("cluster.local", root)));
    const leaf = leafOf(root);
    expect(verdict([leaf], NOW_MS, trusted)).toBe(WEB);
    trusted.set(parseTrustDomain("cluster.local"), bundleOf("cluster.local", foreignRoot));
    expect(verdict([leaf], NOW_MS, trusted)).toBe("peer-certificate-untrusted");
    trusted.clear();
    expect(verdict([leaf], NOW_MS, trusted)).toBe("peer-certificate-untrusted");
  });

  it("a known leaf before and after its time", () => {
    const leaf = leafOf(root);
    expect(verdict([leaf])).toBe(WEB);
    expect(verdict([leaf], NOW_MS + HOUR_MS + 1)).toBe("peer-certificate-expired");
    expect(verdict([leaf], NOW_MS - 48 * HOUR_MS)).toBe("peer-certificate-expired");
    expect(verdict([leaf])).toBe(WEB);
  });

  it("every leaf and every intermediate with one bit turned, wherever it is, the good chain being known", () => {
    const leaf = leafOf(intermediate).der;
    const chain = [leaf, intermediate.der];
    expect(verdict(chain)).toBe(WEB);
    fc.assert(
      fc.property(fc.nat(1), fc.nat(1_000_000), fc.nat(7), (which, position, bit) => {
        const turned = chain.map((der) => Buffer.from(der));
        turned[which]![position % chain[which]!.length]! ^= 1 << bit;
        expect(verdict(turned)).toMatch(/^peer-(certificate-(untrusted|expired)|identity-invalid)$/);
      }),
      { seed: 7, numRuns: 2_000 },
    );
  });

  it("a tangle of authorities that all signed each other, after a bounded number of signatures", () => {
    const one = { name: "tangle", keys: generateKeyPair(), omitKeyIds: true };
    const tangle = Array.from({ length: 7 }, () => anyAuthority(one));
    vi.mocked(isSignedBy).mockClear();
    expect(verdict([leafOf(tangle[0]!, { omitKeyIds: true }), ...tangle])).toBe("peer-certificate-untrusted");
    // One search for a chain that is valid now, one for a chain that is good but for the time.
    expect(isSignedBy).toHaveBeenCalledTimes(2 * LIMITS.chainSignaturesMax);
  });
});

const vectors = corpusPath("spiffe-vectors");

describe.skipIf(vectors === null)("the chain of go-spiffe with its clock (skipped where the corpus is absent)", () => {
  const text =
    vectors === null ? "" : readFileSync(join(vectors, "svid/x509svid/good-leaf-and-intermediate.pem"), "latin1");
  const [leaf, signer] = vectors === null ? [] : parseCertificatesPem(text);
  const trusted = (): TrustBundles =>
    trustBundlesOf(parseTrustBundle(parseTrustDomain("example.org"), encodePem("CERTIFICATE", signer!)));

  it("is good within its hour, below its signer as root", () => {
    expect(verdict([leaf!], Date.parse("2020-03-24T14:30:00Z"), trusted())).toBe("spiffe://example.org/workload-1");
  });

  it("is expired today", () => {
    expect(verdict([leaf!], NOW_MS, trusted())).toBe("peer-certificate-expired");
  });
});
