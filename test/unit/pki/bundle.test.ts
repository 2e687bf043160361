import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseTrustDomain } from "../../../src/core/spiffe-id.ts";
import { parseTrustBundle, type TrustBundle } from "../../../src/pki/bundle.ts";
import { encodePem } from "../../../src/pki/pem.ts";
import { anyAuthority } from "../../support/any-certificate.ts";
import { corpusPath } from "../../support/corpus.ts";

const DOMAIN = parseTrustDomain("example.org");
const vectors = corpusPath("spiffe-vectors");

describe("parseTrustBundle refuses", () => {
  it.each([
    ["an empty text", ""],
    ["a private key among the roots", encodePem("PRIVATE KEY", Buffer.from("3000", "hex"))],
    ["a certificate that cannot be read", encodePem("CERTIFICATE", Buffer.from("3000", "hex"))],
    ["more roots than the limit", encodePem("CERTIFICATE", anyAuthority().der).repeat(65)],
  ])("%s", (_what, pem) => {
    expect(() => parseTrustBundle(DOMAIN, pem)).toThrow(expect.objectContaining({ code: "bad-input" }));
  });
});

function parseVector(name: string): TrustBundle {
  return parseTrustBundle(DOMAIN, readFileSync(join(vectors ?? "", "bundle/x509bundle", name), "latin1"));
}

describe.skipIf(vectors === null)("the bundles of go-spiffe (skipped where the corpus is absent)", () => {
  it.each(["corrupted.pem", "empty.pem", "not-pem.pem"])("%s is refused", (name) => {
    expect(() => parseVector(name)).toThrow(expect.objectContaining({ code: "bad-input" }));
  });

  it.each([
    ["cert.pem", 1],
    ["certs.pem", 2],
  ])("%s has %i roots", (name, count) => {
    expect(parseVector(name).roots).toHaveLength(count);
  });
});
