import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CurlAnswer, curl } from "../support/curl.ts";
import { copySample, eventually, startMeshAt, type TestMesh } from "../support/local-mesh.ts";
import { issuerKey, jwksOf, tokenOf } from "../support/test-tokens.ts";

// End users before the sample's payments, whose identity provider is a real HTTPS server that is down at first.

const KEY = issuerKey("of-today", "RS256");
const STRANGER = issuerKey("of-today", "RS256");

let directory: string;
let provider: Server;
let issuer: string;
let isUp = false;
let mesh: TestMesh;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "cardea-issuer-"));
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const named = ["-subj", "/CN=issuer", "-addext", "subjectAltName=DNS:localhost"];
  execFileSync("openssl", [...made, ...named, "-keyout", key, "-out", cert], { stdio: "ignore" });
  provider = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, answer) => {
    if (!isUp) answer.writeHead(503).end();
    else if (request.url === "/.well-known/openid-configuration")
      answer.end(JSON.stringify({ issuer, jwks_uri: `${issuer}/keys` }));
    else answer.end(jwksOf(KEY));
  });
  await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));
  issuer = `https://localhost:${(provider.address() as AddressInfo).port}`;
  const sample = copySample();
  const text = readFileSync(sample.meshFile, "utf8");
  const jwks = `  jwks: { allowAddresses: ["127.0.0.0/8", "::1"], caFile: ${cert} }\n`;
  writeFileSync(sample.meshFile, text.replace(/^spec:\n/m, `spec:\n${jwks}`));
  writeFileSync(join(sample.directory, "policies", "users.yaml"), USERS.replace("ISSUER", issuer));
  mesh = await startMeshAt(sample.directory, sample.meshFile);
});
afterAll(async () => {
  await mesh.close();
  provider.close();
  rmSync(directory, { recursive: true });
});

const USERS = `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: users, namespace: payments }
spec:
  jwtRules:
    - issuer: ISSUER
      outputClaimToHeaders: [{ claim: sub, header: x-user }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody-without-a-token, namespace: payments }
spec:
  action: DENY
  rules:
    - from: [{ source: { notRequestPrincipals: ["*"] } }]
`;

/** As orders' app does it, by its own sidecar, with the token of an end user. */
function pay(token: string | null): Promise<CurlAnswer> {
  const { host, port } = mesh.service("orders").outbound;
  const user = token === null ? [] : ["-H", `authorization: Bearer ${token}`];
  const body = ["-H", "content-type: application/json", "-d", '{"order":"o-1","cents":1}', ...user];
  return curl("-x", `http://${host}:${port}`, ...body, "http://payments.payments:8080/payments");
}

function tokenFor(sub: string, key = KEY): string {
  return tokenOf(key, { iss: issuer, sub, exp: Math.floor(Date.now() / 1_000) + 600 });
}

/** What payments' sidecar has recorded of the denial that the caller was told of. */
function recordOf({ headers }: CurlAnswer) {
  return eventually(() => mesh.flows().find(({ id }) => id === headers["x-cardea-denial"]));
}

describe("end users in a mesh", () => {
  test("are refused while their provider's keys cannot be had, and the record says so", async () => {
    const answer = await eventually(async () => {
      const tried = await pay(tokenFor("alice"));
      return tried.status === 401 && tried;
    });
    expect(answer.headers["www-authenticate"]).toMatch(
      /^Bearer realm="http:\/\/payments\.payments:8080\/payments", error=/,
    );
    const record = await recordOf(answer);
    expect(record).toMatchObject({ verdict: "denied", reason: "token-invalid", requestPrincipal: null });
    expect(record.detail).toMatch(/cannot be had: the answer is 503|being fetched/);
  });

  test("are believed soon after the keys can be had, and named in the record", async () => {
    isUp = true;
    await eventually(async () => (await pay(tokenFor("alice"))).status === 201, 30_000);
    const principal = `${issuer}/alice`;
    expect(await eventually(() => mesh.flows().find((flow) => flow.requestPrincipal === principal))).toMatchObject({
      verdict: "allowed",
      reporter: "destination",
    });
  });

  test("are refused by policy without a token, and for a token that somebody else made by 401", async () => {
    const without = await pay(null);
    expect([without.status, (await recordOf(without)).policy]).toEqual([403, "payments/nobody-without-a-token"]);
    const forged = await pay(tokenFor("alice", STRANGER));
    expect([forged.status, (await recordOf(forged)).detail]).toEqual([
      401,
      "the token is refused: its signature is not good",
    ]);
  });

  test("are refused with a token that has ended", async () => {
    const ended = await pay(tokenOf(KEY, { iss: issuer, sub: "alice", exp: Math.floor(Date.now() / 1_000) - 60 }));
    expect([ended.status, (await recordOf(ended)).detail]).toEqual([401, expect.stringContaining("it ended at")]);
  });
});
