import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ATTEMPTS } from "../../src/cli/local/breach.ts";
import { openAuthority } from "../../src/control/ca/authority.ts";
import { parseSpiffeId, type TrustDomain } from "../../src/core/spiffe-id.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSystemRandom } from "../../src/io/random.ts";
import { openStateFiles } from "../../src/io/state-files.ts";
import type { FlowRecord } from "../../src/observe/flow.ts";
import { createLeaf, type Validity } from "../../src/pki/certificate-build.ts";
import { encodePrivateKey, generateKeyPair } from "../../src/pki/keys.ts";
import { encodePem } from "../../src/pki/pem.ts";
import { type CurlAnswer, curl } from "../support/curl.ts";
import { createKeptLog } from "../support/kept-log.ts";
import { eventually, startTestMesh, type TestMesh } from "../support/local-mesh.ts";
import { createTestAuthority } from "../support/test-authority.ts";

// Straight at payments' inbound port, past every sidecar of the caller's: the boundary that has to hold. The callers
// are curl and openssl, which share no code with us.

const ORDERS = "spiffe://cluster.local/ns/shop/sa/orders";
const WEB = "spiffe://cluster.local/ns/shop/sa/web";
const HOUR_MS = 3_600_000;

let mesh: TestMesh;
let url = "";
beforeAll(async () => {
  mesh = await startTestMesh();
  // It aims at payments, too, and its refusals are not ours.
  await eventually(() => mesh.attempts() === ATTEMPTS.length);
  url = `https://127.0.0.1:${mesh.service("payments").inbound[0]!.listen.port}/payments`;
});
afterAll(() => mesh.close());

interface Pem {
  readonly cert: string;
  readonly key: string;
}

function save(name: string, chainDer: readonly Buffer[], keyPem: string): Pem {
  const directory = join(mesh.directory, "certificates");
  mkdirSync(directory, { recursive: true });
  const files = { cert: join(directory, `${name}.pem`), key: join(directory, `${name}.key`) };
  writeFileSync(files.cert, chainDer.map((der) => encodePem("CERTIFICATE", der)).join(""));
  writeFileSync(files.key, keyPem, { mode: 0o600 });
  return files;
}

/** Signed by the mesh's own authority, as only who has its keys can do it. */
async function fromMesh(name: string, spiffeId: string, validity?: Validity): Promise<Pem> {
  const nowMs = Date.now();
  const authority = await openAuthority({
    files: openStateFiles(mesh.state),
    trustDomain: "cluster.local" as TrustDomain,
    clock: systemClock,
    random: createSystemRandom(),
    logger: createKeptLog(),
  });
  const { issuer } = await authority.signer();
  const own = generateKeyPair();
  const request = {
    spiffeId: parseSpiffeId(spiffeId),
    publicKey: own.publicKey,
    validity: validity ?? { notBeforeMs: nowMs - HOUR_MS, notAfterMs: nowMs + HOUR_MS },
  };
  const leaf = createLeaf(issuer, request, randomBytes);
  return save(name, [leaf, issuer.certificate.der], encodePrivateKey(own.privateKey));
}

function fromElsewhere(name: string, spiffeId: string): Pem {
  const { chainDer, material } = createTestAuthority().issue(spiffeId);
  return save(name, chainDer, material.keyPem);
}

function pay(pem: Pem | null, ...more: string[]): Promise<CurlAnswer> {
  const certificate = pem === null ? [] : ["--cert", pem.cert, "--key", pem.key];
  return curl("-k", ...certificate, "-d", '{"order":"o-1","cents":1}', ...more, url);
}

/** The record of the newest refusal at payments since a moment. */
function refusalSince(sinceMs: number): Promise<FlowRecord> {
  return eventually(
    () =>
      mesh
        .flows()
        .findLast(
          (flow) =>
            flow.timeMs >= sinceMs &&
            flow.reporter === "destination" &&
            flow.destination.workload === "payments" &&
            flow.verdict !== "allowed",
        ) ?? null,
  );
}

test("orders itself is served: what follows is refused for a reason", async () => {
  const { status, body } = await pay(await fromMesh("orders", ORDERS));
  expect(status).toBe(201);
  expect(JSON.parse(body)).toMatchObject({ order: "o-1" });
});

describe("curl is refused before a request is read", () => {
  test.each<[string, () => Promise<CurlAnswer>, string]>([
    ["without TLS", () => curl(url.replace("https", "http")), "plaintext-refused"],
    ["without a certificate", () => pay(null), "peer-certificate-missing"],
    ["with another authority's certificate", () => pay(fromElsewhere("foreign", ORDERS)), "peer-certificate-untrusted"],
    [
      "with a certificate that has ended",
      async () =>
        pay(
          await fromMesh("ended", ORDERS, { notBeforeMs: Date.now() - 2 * HOUR_MS, notAfterMs: Date.now() - HOUR_MS }),
        ),
      "peer-certificate-expired",
    ],
    [
      "with a certificate for another trust domain, from our own authority",
      async () => pay(await fromMesh("domain", "spiffe://other.test/ns/shop/sa/orders")),
      "peer-certificate-untrusted",
    ],
    ["with TLS 1.2", () => pay(null, "--tls-max", "1.2"), "tls-handshake-failed"],
  ])("%s", async (_, call, reason) => {
    const sinceMs = Date.now();
    const { status, exitCode, body } = await call();
    expect({ status, body }).toEqual({ status: 0, body: "" });
    expect(exitCode).not.toBe(0);
    expect(await refusalSince(sinceMs)).toMatchObject({ verdict: "denied", reason, method: null });
  });
});

test.each([
  ["web's identity", WEB],
  ["an identity that nobody has", "spiffe://cluster.local/ns/shop/sa/mallory"],
  ["a namespace that reads like the right one", "spiffe://cluster.local/ns/shop2/sa/orders"],
])("the right authority and %s is denied by policy, with an id", async (name, spiffeId) => {
  const { status, headers } = await pay(await fromMesh(name.replaceAll(" ", "-"), spiffeId));
  expect(status).toBe(403);
  const id = headers["x-cardea-denial"];
  await eventually(() => mesh.flows().some((flow) => flow.id === id && flow.source.principal === spiffeId));
});

test("a forged x-forwarded-client-cert changes nothing", async () => {
  const { status } = await pay(await fromMesh("forger", WEB), "-H", `x-forwarded-client-cert: URI=${ORDERS}`);
  expect(status).toBe(403);
});

describe("openssl s_client", () => {
  test("without a certificate gets no answer", async () => {
    const output = await sClient([]);
    expect(output).toContain("TLSv1.3");
    expect(output).not.toContain("HTTP/1.1");
    expect(output).toMatch(/alert|unexpected eof|errno=104/i);
  });

  test("with another authority's certificate gets no answer", async () => {
    const { cert, key } = fromElsewhere("s-client", ORDERS);
    const output = await sClient(["-cert", cert, "-key", key, "-cert_chain", cert]);
    expect(output).not.toContain("HTTP/1.1");
  });

  test("with orders' own is answered, so silence above is refusal", async () => {
    const { cert, key } = await fromMesh("s-client-orders", ORDERS);
    expect(await sClient(["-cert", cert, "-key", key, "-cert_chain", cert])).toContain("HTTP/1.1 200");
  });
});

/** Says one GET and gives all that openssl printed. */
function sClient(args: readonly string[]): Promise<string> {
  const target = new URL(url).host;
  return new Promise((resolve) => {
    const child = execFile(
      "openssl",
      ["s_client", "-connect", target, "-ign_eof", "-servername", "payments", ...args],
      { timeout: 10_000 },
      (_error, stdout, stderr) => resolve(stdout + stderr),
    );
    child.stdin!.end("GET /payments HTTP/1.1\r\nhost: payments.payments:8080\r\nconnection: close\r\n\r\n");
  });
}
