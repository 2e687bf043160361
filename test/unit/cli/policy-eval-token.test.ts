import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { command as evaluate } from "../../../src/cli/policy-eval.ts";
import { keptTerminal, runCommand } from "../../support/kept-terminal.ts";
import { issuerKey, jwksOf, tokenOf } from "../../support/test-tokens.ts";

const KEY = issuerKey("id");
const ALICE = { iss: "https://id.example", sub: "alice", exp: 4_000_000_000, scope: "read write" };
const folder = mkdtempSync(join(tmpdir(), "cardea-eval-"));
afterAll(() => rmSync(folder, { recursive: true }));

function authentication(rule: object): object {
  const metadata = { name: "users", namespace: "shop" };
  const jwtRules = [{ issuer: "https://id.example", jwks: jwksOf(KEY), ...rule }];
  return { apiVersion: "security.istio.io/v1", kind: "RequestAuthentication", metadata, spec: { jwtRules } };
}

const READERS = {
  apiVersion: "security.istio.io/v1",
  kind: "AuthorizationPolicy",
  metadata: { name: "readers", namespace: "shop" },
  spec: {
    rules: [
      {
        from: [{ source: { requestPrincipals: ["https://id.example/*"] } }],
        when: [{ key: "request.auth.claims[scope]", values: ["read"] }],
      },
    ],
  },
};

/** The decision on one line. */
async function decide(user: object, rule: object = {}, documents: readonly object[] = [authentication(rule), READERS]) {
  const file = join(folder, "p.yaml");
  writeFileSync(file, documents.map((each) => JSON.stringify(each)).join("\n---\n"));
  const line = {
    source: { principal: "spiffe://cluster.local/ns/shop/sa/web" },
    destination: { namespace: "shop", labels: { app: "orders" }, port: 8080 },
    request: { method: "GET", path: "/" },
    ...user,
  };
  const terminal = keptTerminal({
    async *stdin() {
      yield JSON.stringify(line);
    },
  });
  await runCommand(evaluate, ["--policies", file, "--requests", "-"], terminal);
  const { decision, status, reason, error = null } = JSON.parse(terminal.out[0]!) as Record<string, unknown>;
  return { decision, status, reason, error };
}

test.each<[string, object, object, object]>([
  ["claims are taken for verified", { claims: ALICE }, {}, { decision: "allow", status: 200 }],
  [
    "a good token is verified, and its claims decided on",
    { token: tokenOf(KEY, ALICE) },
    {},
    { decision: "allow", status: 200 },
  ],
  ["without either there is no principal", {}, {}, { decision: "deny", status: 403, reason: "no-allow-rule-matched" }],
  ["claims of another issuer are denied", { claims: { ...ALICE, iss: "else" } }, {}, { status: 403 }],
  [
    "a bad token is a 401",
    { token: tokenOf(issuerKey("id"), ALICE) },
    {},
    { decision: "deny", status: 401, reason: "token-invalid" },
  ],
  ["a bad token is not helped by claims", { token: "x", claims: ALICE }, {}, { status: 401 }],
  ["a token that has ended is a 401", { token: tokenOf(KEY, { ...ALICE, exp: 1 }) }, {}, { status: 401 }],
  [
    "a token for others is a 403",
    { token: tokenOf(KEY, ALICE) },
    { audiences: ["x"] },
    { status: 403, reason: "token-audience" },
  ],
  ["a required token that is missing is a 401", {}, { presence: "REQUIRED" }, { status: 401, reason: "token-missing" }],
  [
    "keys that would be fetched are not at hand",
    { token: tokenOf(KEY, ALICE) },
    { jwks: undefined, jwksUri: "https://id.example/k" },
    { status: 401, error: expect.stringContaining("have not been fetched") },
  ],
])("%s", async (_name, user, rule, expected) => {
  expect(await decide(user, rule)).toMatchObject(expected);
});

test("where no RequestAuthentication selects the workload a token is not looked at", async () => {
  expect(await decide({ token: tokenOf(KEY, ALICE) }, {}, [READERS])).toMatchObject({ decision: "deny", status: 403 });
});
