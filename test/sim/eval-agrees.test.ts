import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { command as evaluate } from "../../src/cli/policy-eval.ts";
import { parsePolicyFiles } from "../../src/config/policy-files.ts";
import { tokenRulesOf } from "../../src/policy/authentication/key-source.ts";
import { mutualTlsFor } from "../../src/policy/authentication/see-peer.ts";
import { loadVerifier } from "../../src/policy/authentication/verify-token.ts";
import { AuthenticateStep } from "../../src/proxy/authenticate.ts";
import type { Collected } from "../support/collected.ts";
import { keptTerminal, runCommand } from "../support/kept-terminal.ts";
import { openSimMesh, say, SIM_START_MS, type SimMesh } from "../support/sim-mesh.ts";
import { shopId } from "../support/test-authority.ts";
import { ORDERS_PORT, policySetOf } from "../support/test-mesh.ts";
import { issuerKey, jwksOf, tokenOf } from "../support/test-tokens.ts";

// `policy eval` says what a sidecar does: the same documents and the same requests, before one and through the other.

const ID = issuerKey("id");
const STRANGER = issuerKey("id");
const EXP_SEC = SIM_START_MS / 1_000 + 10 * 365 * 86_400;
const ALICE = { iss: "https://id.example", sub: "alice", exp: EXP_SEC, groups: ["admin"], aud: ["orders"] };

const authorization = (name: string, spec: string) =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: ${name}, namespace: shop}\nspec: ${spec}\n`;
const peers = (mode: string) =>
  `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: peer, namespace: shop}\nspec: {mtls: {mode: ${mode}}}\n`;
const USERS = `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: users, namespace: shop}
spec:
  jwtRules:
    - issuer: https://id.example
      audiences: [orders]
      jwks: '${jwksOf(ID)}'
`;
const WEB_READS = authorization(
  "web-reads",
  '{rules: [{from: [{source: {principals: ["cluster.local/ns/shop/sa/web"]}}], to: [{operation: {methods: [GET], paths: ["/orders*"]}}]}]}',
);
const ANYBODY_READS = authorization("anybody", "{rules: [{to: [{operation: {methods: [GET]}}]}]}");
const NOT_WEB = authorization(
  "not-web",
  '{action: DENY, rules: [{from: [{source: {notPrincipals: ["cluster.local/ns/shop/sa/web"]}}], to: [{operation: {paths: ["/orders/secret"]}}]}]}',
);
const ADMINS = authorization(
  "admins",
  '{rules: [{from: [{source: {requestPrincipals: ["https://id.example/*"]}}], when: [{key: "request.auth.claims[groups]", values: [admin]}]}]}',
);
const NO_GUESTS = authorization(
  "no-guests",
  '{action: DENY, rules: [{when: [{key: "request.headers[x-role]", values: [guest]}]}]}',
);

const SETS: Readonly<Record<string, readonly string[]>> = {
  "end users alone": [USERS],
  "callers, and no PeerAuthentication": [WEB_READS, NOT_WEB],
  "anybody, and no PeerAuthentication": [ANYBODY_READS],
  "anybody under STRICT": [ANYBODY_READS, peers("STRICT")],
  "anybody and a DENY under PERMISSIVE": [ANYBODY_READS, NOT_WEB, NO_GUESTS, peers("PERMISSIVE")],
  "callers under PERMISSIVE": [WEB_READS, peers("PERMISSIVE")],
  "users beside callers": [USERS, ADMINS, WEB_READS],
  "users under PERMISSIVE": [USERS, ADMINS, NO_GUESTS, peers("PERMISSIVE")],
};

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly token?: string;
}

const REQUESTS: readonly Asked[] = [
  { method: "GET", path: "/orders" },
  { method: "GET", path: "/orders/../admin" },
  { method: "GET", path: "/orders/%73ecret" },
  { method: "GET", path: "/x/..%2f" },
  { method: "PUT", path: "/orders" },
  { method: "GET", path: "/orders", headers: { "x-role": "guest" } },
  { method: "GET", path: "/../%00" },
  { method: "PUT", path: "/orders", token: tokenOf(ID, ALICE) },
  { method: "PUT", path: "/orders", token: tokenOf(ID, { ...ALICE, groups: ["staff"] }) },
  { method: "GET", path: "/orders", token: tokenOf(ID, { ...ALICE, aud: ["others"] }) },
  { method: "GET", path: "/orders", token: tokenOf(ID, { ...ALICE, exp: 1 }) },
  { method: "GET", path: "/orders", token: tokenOf(ID, { ...ALICE, exp: undefined }) },
  { method: "GET", path: "/orders", token: tokenOf(STRANGER, ALICE) },
  { method: "GET", path: "/orders", token: "no.token.atall" },
];
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
const CALLERS = ["web", "batch", null] as const;

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "cardea-eval-"));
  await Promise.all([loadVerifier(), import("../../src/proxy/read-plaintext.ts")]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What a caller gets: a status, or `refused` where it is not even spoken to. */
async function throughSidecar(texts: readonly string[]): Promise<readonly (number | "refused")[]> {
  const { documents, authentication, faults } = parsePolicyFiles([{ path: "p.yaml", text: texts.join("---\n") }]);
  expect(faults).toEqual([]);
  const mesh = await openSimMesh({ between: "http/1.1" });
  const rules = tokenRulesOf(authentication, new Map());
  const steps = rules.length === 0 ? [] : [new AuthenticateStep(rules, mesh.clock)];
  const own = { namespace: "shop", labels: { app: "orders" } };
  const mutualTls = mutualTlsFor(authentication, own, "cardea-system");
  const set = policySetOf(
    documents.map(({ raw }) => raw as object),
    {},
    "first",
    steps,
    mutualTls,
  );
  mesh.orders.policy.set(set);
  const answers: (number | "refused")[] = [];
  for (const asked of REQUESTS) for (const caller of CALLERS) answers.push(await answerTo(mesh, caller, asked));
  await mesh.close();
  return answers;
}

async function answerTo(mesh: SimMesh, caller: string | null, asked: Asked): Promise<number | "refused"> {
  const bearer = asked.token === undefined ? [] : [["authorization", `Bearer ${asked.token}`] as const];
  const fields = [...Object.entries(asked.headers ?? {}), ...bearer].map(([name, value]) => `${name}: ${value}\r\n`);
  const text = `${asked.method} ${asked.path} HTTP/1.1\r\nHost: orders\r\n${fields.join("")}\r\n`;
  const to = mesh.ordersInbound;
  const served = mesh.ordersApp.length;
  const identity = caller === null ? null : mesh.authority.issue(shopId(caller));
  const connection = await (identity === null
    ? mesh.call(to, text)
    : mesh.callAs(identity, to, { text, alpn: ["istio-http/1.1"] }));
  // Signatures are verified on another thread, which simulated time does not wait for.
  for (let turn = 0; turn < 2_000 && !isOver(mesh, connection, served); turn++) await mesh.settle();
  if (mesh.ordersApp.length > served) {
    say(mesh.ordersApp.at(-1)!, OK);
    await mesh.settle();
  }
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(connection.text())?.[1];
  return status === undefined ? "refused" : Number(status);
}

/** It is forwarded, answered or cut. */
function isOver(mesh: SimMesh, caller: Collected, served: number): boolean {
  return mesh.ordersApp.length > served || caller.isClosed || caller.text().includes("\r\n\r\n");
}

async function throughEval(name: string, texts: readonly string[]) {
  const file = join(folder, `${name.replaceAll(/\W/g, "-")}.yaml`);
  writeFileSync(file, texts.join("---\n"));
  const lines = REQUESTS.flatMap(({ method, path, headers, token }) =>
    CALLERS.map((caller) =>
      JSON.stringify({
        source: { principal: caller === null ? null : shopId(caller) },
        destination: { namespace: "shop", labels: { app: "orders" }, port: ORDERS_PORT },
        request: { method, path, host: "orders", headers: headers ?? {} },
        ...(token === undefined ? {} : { token }),
      }),
    ),
  );
  const terminal = keptTerminal({
    async *stdin() {
      yield* lines;
    },
  });
  await runCommand(evaluate, ["--policies", file, "--requests", "-"], terminal);
  return terminal.out.map((line) => {
    const { status, reason } = JSON.parse(line) as { readonly status: number; readonly reason: string };
    return reason === "plaintext-refused" ? "refused" : status;
  });
}

describe("policy eval and a sidecar agree on every request", () => {
  it.each(Object.entries(SETS))("under %s", async (name, texts) => {
    const asked = REQUESTS.flatMap((request, i) =>
      CALLERS.map((caller) => `${i} ${caller} ${JSON.stringify({ ...request, token: request.token?.slice(-8) })}`),
    );
    const [seen, told] = [await throughSidecar(texts), await throughEval(name, texts)];
    const pairs = (answers: readonly unknown[]) => asked.map((each, i) => `${each}: ${String(answers[i])}`);
    expect(pairs(told)).toEqual(pairs(seen));
    expect(seen).toHaveLength(42);
  });
});
