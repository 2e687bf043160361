import { generateKeyPairSync, sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command as jwtVerify } from "../../../src/cli/jwt-verify.ts";
import { command as svidVerify } from "../../../src/cli/svid-verify.ts";
import { encodeJwk } from "../../../src/pki/jwks.ts";
import { encodePem } from "../../../src/pki/pem.ts";
import { corpusPath } from "../../support/corpus.ts";
import { keptTerminal, runCommand } from "../../support/kept-terminal.ts";
import { createTestAuthority, shopId } from "../../support/test-authority.ts";

interface Outcome {
  readonly ok: boolean;
  readonly reason: string | null;
  readonly code?: string | null;
  readonly spiffeId: string | null;
  readonly claims?: object | null;
}

const TIME = "2030-01-01T12:00:00Z";
const TIME_SEC = Date.parse(TIME) / 1_000;
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-verify-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

async function run(command: typeof jwtVerify, words: readonly string[], input = "") {
  const stdin = async function* () {
    yield* input.split("\n");
  };
  const terminal = keptTerminal({ stdin });
  const code = await runCommand(command, words, terminal);
  const outcome = terminal.out.length === 1 ? (JSON.parse(terminal.out[0]!) as Outcome) : null;
  return { code, outcome, err: terminal.err.join("\n") };
}

describe("cardea jwt verify", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const CLAIMS = { sub: shopId("web"), aud: ["reports"], iss: "https://mesh", exp: TIME_SEC + 60 };
  let jwks: string;
  beforeAll(() => {
    jwks = write("keys.json", JSON.stringify({ keys: [encodeJwk("k", publicKey)] }));
  });

  function token(payload: object | string, header: object = { alg: "ES256", kid: "k" }): string {
    const text = typeof payload === "string" ? payload : JSON.stringify(payload);
    const input = [JSON.stringify(header), text].map((each) => Buffer.from(each).toString("base64url")).join(".");
    const signature = sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" });
    return `${input}.${signature.toString("base64url")}`;
  }

  const verify = (input: string, ...words: readonly string[]) =>
    run(jwtVerify, ["--jwks", jwks, "--time", TIME, ...words], input);

  test("says whose token it is, and all that it claims", async () => {
    const { code, outcome } = await verify(`${token(CLAIMS)}\n`, "--audience", "x", "--audience", "reports");
    expect({ code, outcome }).toEqual({
      code: 0,
      outcome: {
        ok: true,
        reason: null,
        keyId: "k",
        header: { alg: "ES256", kid: "k" },
        claims: CLAIMS,
        spiffeId: shopId("web"),
      },
    });
  });

  test("takes a token that is no workload's", async () => {
    const { sub: _, ...claims } = { ...CLAIMS, sub: "alice" };
    const { code, outcome } = await verify(token({ ...claims, sub: "alice" }), "--issuer", "https://mesh");
    expect({ code, spiffeId: outcome?.spiffeId }).toEqual({ code: 0, spiffeId: null });
  });

  test("with --raw looks at the signature alone", async () => {
    expect((await verify(token("no JSON at all"), "--raw")).code).toBe(0);
    expect((await verify(token({ ...CLAIMS, exp: 0 }), "--raw")).code).toBe(0);
    expect((await verify(`${token("x").slice(0, -4)}AAAA`, "--raw")).code).toBe(1);
  });

  test.each<[string, string, readonly string[], RegExp]>([
    ["that has ended", token({ ...CLAIMS, exp: TIME_SEC }), [], /it ended at 2030-01-01T12:00:00.000Z/],
    ["that never ends", token({ sub: "a", aud: "b" }), [], /it has no exp/],
    ["for somebody else", token(CLAIMS), ["--audience", "payments"], /it is for "reports"/],
    ["of somebody else", token(CLAIMS), ["--issuer", "https://other"], /its issuer is "https:\/\/mesh"/],
    ["of an unknown key", token(CLAIMS, { alg: "ES256", kid: "z" }), [], /there is no key "z"/],
    ["that is not signed", token(CLAIMS, { alg: "none" }), [], /"none" is not accepted/],
    ["that is none", "hello", [], /compact form/],
    ["that is not there", "", [], /compact form/],
  ])("a token %s: exit code 1, and why", async (_name, input, words, why) => {
    const { code, outcome } = await verify(input, ...words);
    expect({ code, ok: outcome?.ok }).toEqual({ code: 1, ok: false });
    expect(outcome?.reason).toMatch(why);
  });

  test.each<[string, readonly string[]]>([
    ["no keys", ["--time", TIME]],
    ["keys that are not there", ["--jwks", "/nonexistent/keys.json"]],
    ["a time that is none", ["--jwks", "KEYS", "--time", "tomorrow"]],
    ["a time without a zone", ["--jwks", "KEYS", "--time", "2030-01-01T12:00:00"]],
  ])("%s: exit code 2", async (_name, words) => {
    const { code, outcome } = await run(
      jwtVerify,
      words.map((word) => (word === "KEYS" ? jwks : word)),
      token(CLAIMS),
    );
    expect({ code, outcome }).toEqual({ code: 2, outcome: null });
  });

  test("keys that are none: exit code 2", async () => {
    const { code, err } = await run(jwtVerify, ["--jwks", write("none.json", "[]")], token(CLAIMS));
    expect(code).toBe(2);
    expect(err).toMatch(/no list of keys/);
  });
});

describe("cardea svid verify", () => {
  const NOW_MS = Date.parse(TIME);
  const authority = createTestAuthority("cluster.local", NOW_MS);
  const other = createTestAuthority("partner.example", NOW_MS);
  const web = authority.issue(shopId("web"));
  let roots: string;
  let chain: string;
  beforeAll(() => {
    roots = write("root.pem", authority.bundle.pem);
    chain = write("chain.pem", web.material.chainPem);
  });

  const verify = (...words: readonly string[]) =>
    run(svidVerify, words.includes("--time") ? words : [...words, "--time", TIME]);

  test("says whose chain it is, and when it ends", async () => {
    const { code, outcome } = await verify("--bundle", roots, "--chain", chain);
    expect({ code, outcome }).toEqual({
      code: 0,
      outcome: {
        ok: true,
        spiffeId: shopId("web"),
        code: null,
        reason: null,
        notAfter: new Date(web.notAfterMs).toISOString(),
      },
    });
  });

  test("takes bundles of several trust domains, each for its own, and SPIFFE's format", async () => {
    const x5c = authority.bundle.roots[0]!.certificate.der.toString("base64");
    const spiffe = write("bundle.json", JSON.stringify({ keys: [{ use: "x509-svid", kty: "EC", x5c: [x5c] }] }));
    const partner = write("partner.pem", other.bundle.pem);
    const words = ["--bundle", `partner.example=${partner}`, "--bundle", `cluster.local=${spiffe}`, "--chain", chain];
    expect((await verify(...words)).code).toBe(0);
    const swapped = ["--bundle", `partner.example=${spiffe}`, "--bundle", `cluster.local=${partner}`, "--chain", chain];
    expect((await verify(...swapped)).outcome).toMatchObject({ ok: false, code: "peer-certificate-untrusted" });
  });

  test.each<[string, readonly string[], string]>([
    ["of another trust domain than asked for", ["--trust-domain", "partner.example"], "peer-certificate-untrusted"],
    ["that has ended", ["--time", "2030-01-02T12:00:00+01:00"], "peer-certificate-expired"],
    ["that is not good yet", ["--time", "2029-12-31T00:00:00Z"], "peer-certificate-expired"],
  ])("a chain %s: exit code 1, and why", async (_name, words, reason) => {
    const { code, outcome } = await verify("--bundle", roots, "--chain", chain, ...words);
    expect({ code, outcome }).toMatchObject({ code: 1, outcome: { ok: false, code: reason, spiffeId: null } });
    expect(outcome?.reason).toBeTruthy();
  });

  test.each([
    ["that is none", "hello"],
    ["that is a key", encodePem("PRIVATE KEY", Buffer.from("3000", "hex"))],
    ["that cannot be read", encodePem("CERTIFICATE", Buffer.from("3000", "hex"))],
    ["of an authority", authority.bundle.pem],
  ])("a chain %s: exit code 1", async (_name, text) => {
    const { code, outcome } = await verify("--bundle", roots, "--chain", write("bad.pem", text));
    expect({ code, ok: outcome?.ok }).toEqual({ code: 1, ok: false });
  });

  test("another's chain by our roots: exit code 1", async () => {
    const theirs = write("theirs.pem", other.issue("spiffe://partner.example/ns/a/sa/b").material.chainPem);
    const { outcome } = await verify("--bundle", roots, "--chain", theirs);
    expect(outcome).toMatchObject({ ok: false, code: "peer-certificate-untrusted" });
  });

  test.each<[string, readonly string[]]>([
    ["no chain", ["--bundle", "ROOTS"]],
    ["no bundle", ["--chain", "CHAIN"]],
    ["a bundle that is none", ["--bundle", "CHAIN.txt", "--chain", "CHAIN"]],
    ["a trust domain that is none", ["--bundle", "A/B=ROOTS", "--chain", "CHAIN"]],
    ["another profile", ["--bundle", "ROOTS", "--chain", "CHAIN", "--profile", "x"]],
  ])("%s: exit code 2", async (_name, words) => {
    const placed = words.map((word) => word.replace("ROOTS", roots).replace(/CHAIN$/, chain));
    const { code, outcome } = await verify(...placed);
    expect({ code, outcome }).toEqual({ code: 2, outcome: null });
  });
});

const vectors = corpusPath("spiffe-vectors");
describe.skipIf(vectors === null)("the SPIFFE vectors at the command line (skipped without the shared corpus)", () => {
  const svids = join(vectors ?? "", "svid", "x509svid");

  test("the good chain is good at its time alone", async () => {
    const text = readFileSync(join(svids, "good-leaf-and-intermediate.pem"), "latin1");
    const signer = write("signer.pem", text.slice(text.lastIndexOf("-----BEGIN CERTIFICATE")));
    const words = ["--bundle", signer, "--chain", join(svids, "good-leaf-and-intermediate.pem")];
    const good = await run(svidVerify, [...words, "--time", "2020-03-24T14:30:00Z"]);
    expect(good).toMatchObject({ code: 0, outcome: { spiffeId: "spiffe://example.org/workload-1" } });
    const late = await run(svidVerify, [...words, "--time", "2026-01-01T00:00:00Z"]);
    expect(late).toMatchObject({ code: 1, outcome: { code: "peer-certificate-expired" } });
  });

  test.each([
    "corrupt-cert.pem",
    "not-pem",
    "wrong-leaf-ca-true.pem",
    "wrong-leaf-cert-sign.pem",
    "wrong-leaf-crl-sign.pem",
    "wrong-leaf-empty-id.pem",
    "wrong-leaf-no-digital-signature.pem",
    "wrong-intermediate-no-ca.pem",
    "wrong-intermediate-no-key-cert-sign.pem",
  ])("%s is no good chain", async (name) => {
    const roots = write("any-root.pem", createTestAuthority("example.org").bundle.pem);
    const words = ["--bundle", roots, "--chain", join(svids, name), "--time", "2020-03-24T14:30:00Z"];
    expect(await run(svidVerify, words)).toMatchObject({ code: 1, outcome: { ok: false } });
  });

  test.each([
    ["spiffebundle_valid_1.json", 1],
    ["spiffebundle_multiple_x509.json", 2],
    ["spiffebundle_missing_kid.json", 2],
    ["spiffebundle_no_keys.json", 2],
  ])("the bundle %s gives exit code %i", async (name, expected) => {
    const bundle = `example.org=${join(vectors!, "bundle", "spiffebundle", name)}`;
    const words = ["--bundle", bundle, "--chain", join(svids, "good-leaf-only.pem"), "--time", "2020-03-24T14:30:00Z"];
    expect((await run(svidVerify, words)).code).toBe(expected);
  });
});
