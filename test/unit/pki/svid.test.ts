import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Certificate, parseCertificate } from "../../../src/pki/certificate.ts";
import { KEY_USAGE } from "../../../src/pki/extensions.ts";
import { OID } from "../../../src/pki/oids.ts";
import { parseCertificatesPem } from "../../../src/pki/pem.ts";
import { signerFault, svidIdOf } from "../../../src/pki/svid.ts";
import { type AnyCertificateOptions, anyCertificate, dnsName, uriName } from "../../support/any-certificate.ts";
import { corpusPath } from "../../support/corpus.ts";

function idOf(options: AnyCertificateOptions): string {
  return svidIdOf(parseCertificate(anyCertificate(options).der));
}

const WEB = uriName("spiffe://cluster.local/ns/shop/sa/web");

describe("svidIdOf refuses a leaf", () => {
  it.each<[string, AnyCertificateOptions]>([
    ["with two URI names", { names: [WEB, uriName("spiffe://cluster.local/ns/shop/sa/ledger")] }],
    ["with the same URI name twice", { names: [WEB, WEB] }],
    ["with a web address beside its id", { names: [WEB, uriName("https://shop.example")] }],
    ["with a DNS name alone", { names: [dnsName("web.shop.svc")] }],
    ["with a DNS name that reads like an id", { names: [dnsName("spiffe://cluster.local/ns/shop/sa/web")] }],
    ["without names", { names: null }],
    ["with a NUL in its id", { names: [uriName("spiffe://cluster.local/ns/shop/sa/web\0.evil")] }],
    ["with another scheme", { names: [uriName("https://cluster.local/ns/shop/sa/web")] }],
    ["with the scheme in capitals", { names: [uriName("SPIFFE://cluster.local/ns/shop/sa/web")] }],
    ["with an escape in its path", { names: [uriName("spiffe://cluster.local/ns/shop/sa/%77eb")] }],
    ["with dot segments", { names: [uriName("spiffe://cluster.local/ns/shop/../sa/web")] }],
    ["with a port", { names: [uriName("spiffe://cluster.local:443/ns/shop/sa/web")] }],
    ["with a query", { names: [uriName("spiffe://cluster.local/ns/shop/sa/web?x=1")] }],
    ["with user information", { names: [uriName("spiffe://me@cluster.local/ns/shop/sa/web")] }],
    ["with an empty id", { names: [uriName("")] }],
    ["with the trust domain's own id", { names: [uriName("spiffe://cluster.local")] }],
    ["that is a CA", { isCa: true }],
    ["that may sign certificates", { keyUsage: KEY_USAGE.digitalSignature | KEY_USAGE.keyCertSign }],
    ["that may sign CRLs", { keyUsage: KEY_USAGE.digitalSignature | KEY_USAGE.crlSign }],
    ["without digitalSignature", { keyUsage: KEY_USAGE.keyAgreement }],
    ["without key usage", { keyUsage: null }],
    ["for servers only", { extendedKeyUsage: [OID.serverAuth] }],
    ["for signing code", { extendedKeyUsage: ["1.3.6.1.5.5.7.3.3"] }],
  ])("%s", (_what, options) => {
    expect(() => idOf(options)).toThrow(expect.objectContaining({ code: "peer-identity-invalid" }));
  });
});

describe("svidIdOf takes a leaf", () => {
  it.each<[string, AnyCertificateOptions]>([
    ["with one URI name", {}],
    ["with DNS names beside it", { names: [dnsName("web.shop"), WEB] }],
    ["without extended key usage", { extendedKeyUsage: null }],
    ["without basic constraints", { omitBasicConstraints: true }],
  ])("%s", (_what, options) => {
    expect(idOf(options)).toBe("spiffe://cluster.local/ns/shop/sa/web");
  });
});

const vectors = corpusPath("spiffe-vectors");

function chainOf(name: string): readonly Certificate[] {
  const text = readFileSync(join(vectors ?? "", "svid/x509svid", name), "latin1");
  return parseCertificatesPem(text).map(parseCertificate);
}

describe.skipIf(vectors === null)("the vectors of go-spiffe (skipped where the corpus is absent)", () => {
  it.each([
    ["wrong-leaf-ca-true.pem", "it is a CA certificate"],
    ["wrong-leaf-cert-sign.pem", "its key may sign certificates"],
    ["wrong-leaf-crl-sign.pem", "its key may sign certificates"],
    ["wrong-leaf-empty-id.pem", "it has no URI name"],
    ["wrong-leaf-no-digital-signature.pem", "its key may sign certificates"],
  ])("%s is no SVID: %s", (name, why) => {
    expect(() => svidIdOf(chainOf(name)[0]!)).toThrow(why);
  });

  it.each([
    ["wrong-intermediate-no-ca.pem", "it is not a CA certificate"],
    ["wrong-intermediate-no-key-cert-sign.pem", "its key usage does not allow signing certificates"],
  ])("%s has no signer: %s", (name, why) => {
    const [leaf, signer] = chainOf(name);
    expect(svidIdOf(leaf!)).toBe("spiffe://example.org/workload-1");
    expect(signerFault(signer!, "intermediate")).toBe(why);
  });

  it.each(["good-leaf-only.pem", "good-leaf-and-intermediate.pem"])(
    "%s is workload-1, its signers may sign",
    (name) => {
      const [leaf, ...signers] = chainOf(name);
      expect(svidIdOf(leaf!)).toBe("spiffe://example.org/workload-1");
      expect(signers.map((signer) => signerFault(signer, "intermediate"))).toEqual(signers.map(() => null));
    },
  );

  it.each(["corrupt-cert.pem", "not-pem"])("%s cannot be read", (name) => {
    expect(() => chainOf(name)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^(bad-input|der-invalid)$/) }),
    );
  });
});
