import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseTrustDomain, spiffeIdFor } from "../../../src/core/spiffe-id.ts";
import { parseTrustBundle, trustBundlesOf } from "../../../src/pki/bundle.ts";
import { createIntermediate, createLeaf, createRoot } from "../../../src/pki/certificate-build.ts";
import { createSigningRequest, parseSigningRequest } from "../../../src/pki/csr.ts";
import { generateKeyPair } from "../../../src/pki/keys.ts";
import { encodePem, parseCertificatesPem } from "../../../src/pki/pem.ts";
import { verifyPeerChain } from "../../../src/pki/verify.ts";

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
const DOMAIN = parseTrustDomain("cluster.local");
const WEB = spiffeIdFor("cluster.local", "shop", "web");
const HOUR_MS = 3_600_000;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-openssl-"));
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function openssl(...args: readonly string[]): string {
  return execFileSync("openssl", args, { cwd: directory, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

function ourChain(rootLifeMs: number) {
  const nowMs = Date.now();
  const validity = { notBeforeMs: nowMs - 300_000, notAfterMs: nowMs + HOUR_MS };
  const rootValidity = { ...validity, notAfterMs: nowMs + rootLifeMs };
  const root = createRoot(DOMAIN, generateKeyPair(), rootValidity, randomBytes);
  const keys = generateKeyPair();
  const intermediate = createIntermediate(root, DOMAIN, { keys, validity, random: randomBytes });
  const { publicKey } = generateKeyPair();
  const leaf = createLeaf(intermediate, { spiffeId: WEB, publicKey, validity }, randomBytes);
  writeFileSync(join(directory, "root.pem"), encodePem("CERTIFICATE", root.certificate.der));
  writeFileSync(join(directory, "intermediate.pem"), encodePem("CERTIFICATE", intermediate.certificate.der));
  writeFileSync(join(directory, "leaf.pem"), encodePem("CERTIFICATE", leaf));
}

describe.skipIf(!hasOpenssl)("openssl (skipped where it is not installed)", () => {
  it.each([
    ["a client", "sslclient", HOUR_MS],
    ["a server", "sslserver", HOUR_MS],
    // GeneralizedTime from 2050 on.
    ["a client below a root that lasts until 2056", "sslclient", 30 * 365 * 24 * HOUR_MS],
  ])("takes our chain for %s by its strictest rules", (_what, purpose, rootLifeMs) => {
    ourChain(rootLifeMs);
    const strict = ["verify", "-x509_strict", "-check_ss_sig", "-policy_check", "-purpose", purpose];
    expect(openssl(...strict, "-CAfile", "root.pem", "-untrusted", "intermediate.pem", "leaf.pem")).toBe(
      "leaf.pem: OK\n",
    );
  });

  it("reads our certificate and our request as we do", () => {
    ourChain(HOUR_MS);
    expect(openssl("x509", "-in", "leaf.pem", "-noout", "-ext", "subjectAltName")).toContain(`URI:${WEB}`);
    writeFileSync(join(directory, "ours.csr"), createSigningRequest(generateKeyPair(), WEB));
    const text = openssl("req", "-in", "ours.csr", "-noout", "-text", "-verify");
    expect(text).toContain(`URI:${WEB}`);
    expect(openssl("asn1parse", "-in", "ours.csr")).toMatch(/cons: SEQUENCE/);
  });

  it("makes a request whose names we count and whose key alone we take", () => {
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "foreign.key");
    const wanted = "subjectAltName=URI:spiffe://cluster.local/ns/cardea-system/sa/cardea-control,DNS:evil.example";
    openssl("req", "-new", "-key", "foreign.key", "-subj", "/CN=admin", "-addext", wanted, "-out", "foreign.csr");
    const request = parseSigningRequest(readFileSync(join(directory, "foreign.csr"), "latin1"));
    expect(request.uris).toEqual(["spiffe://cluster.local/ns/cardea-system/sa/cardea-control"]);
    expect(request.otherNames).toBe(2);
    openssl("ec", "-in", "foreign.key", "-pubout", "-outform", "DER", "-out", "foreign.pub");
    expect(request.publicKey).toEqual(readFileSync(join(directory, "foreign.pub")));
  });

  it.each([
    ["RSA of 1024 bits", ["-newkey", "rsa:1024", "-sha256"]],
    ["SHA-1", ["-newkey", "rsa:2048", "-sha1"]],
    ["RSA-PSS", ["-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss"]],
    ["Ed448", ["-newkey", "ed448"]],
    ["DSA's successor on a curve for money (secp256k1)", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"]],
  ])("makes a request with %s, which we refuse", (_what, args) => {
    openssl("req", "-new", "-nodes", ...args, "-keyout", "weak.key", "-subj", "/CN=x", "-out", "weak.csr");
    const pem = readFileSync(join(directory, "weak.csr"), "latin1");
    expect(() => parseSigningRequest(pem)).toThrow(expect.objectContaining({ code: "csr-invalid" }));
  });

  it.each([
    ["Ed25519", ["-newkey", "ed25519"]],
    ["RSA of 3072 bits", ["-newkey", "rsa:3072"]],
    ["P-384", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"]],
  ])("makes a request with %s, which we take", (_what, args) => {
    openssl("req", "-new", "-nodes", ...args, "-keyout", "good.key", "-subj", "/", "-out", "good.csr");
    expect(parseSigningRequest(readFileSync(join(directory, "good.csr"), "latin1"))).toMatchObject({
      uris: [],
      otherNames: 0,
    });
  });

  it("makes an SVID with its own authority, which we verify as it does", () => {
    const ca = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"];
    openssl(
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      "ca.key",
      "-subj",
      "/CN=their root",
      "-days",
      "2",
      ...ca,
      "-out",
      "ca.pem",
    );
    openssl(
      "req",
      "-new",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      "svid.key",
      "-subj",
      "/CN=theirs",
      "-out",
      "svid.csr",
    );
    const extensions = `subjectAltName=URI:${WEB}\nkeyUsage=critical,digitalSignature\nbasicConstraints=CA:FALSE\n`;
    writeFileSync(join(directory, "svid.ext"), extensions);
    openssl(
      "x509",
      "-req",
      "-in",
      "svid.csr",
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-days",
      "1",
      "-extfile",
      "svid.ext",
      "-out",
      "svid.pem",
    );
    const chain = parseCertificatesPem(readFileSync(join(directory, "svid.pem"), "latin1"));
    const bundle = parseTrustBundle(DOMAIN, readFileSync(join(directory, "ca.pem"), "latin1"));
    expect(verifyPeerChain(chain, trustBundlesOf(bundle), Date.now()).spiffeId).toBe(WEB);
    const other = parseTrustBundle(parseTrustDomain("other.example"), bundle.pem);
    expect(() => verifyPeerChain(chain, trustBundlesOf(other), Date.now())).toThrow(
      expect.objectContaining({ code: "peer-certificate-untrusted" }),
    );
  });
});
