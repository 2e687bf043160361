import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, describe, expect, it, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { locatePlain } from "../../src/core/located.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import { compilePolicy } from "../../src/policy/compile.ts";
import { type AuthorizationPolicy, parseAuthorizationPolicy } from "../../src/policy/document.ts";
import { decideQuestion } from "../../src/policy/explain.ts";
import type { Question } from "../../src/policy/facts.ts";
import type { MeshSettings } from "../../src/policy/mesh-settings.ts";
import type { PolicySet } from "../../src/proxy/discovery/policy-sinks.ts";
import { normalizePath } from "../../src/wire/path.ts";
import { corpusPath } from "../support/corpus.ts";
import { ENVOY, freePort, type RunningEnvoy, socketAddress, startEnvoy } from "../support/envoy.ts";
import { rbacRules } from "../support/istio-rbac.ts";
import { policies as anyPolicies } from "../support/policy-arbitraries.ts";
import { createTestAuthority } from "../support/test-authority.ts";
import { openTestMesh, ORDERS_PORT, policySetOf, type TestMesh } from "../support/test-mesh.ts";

// The same policies as the RBAC filters that Istio makes of them, and the same requests over mutual TLS, to Envoy and to a
// sidecar of ours.

const SETS = 40;
const REQUESTS = 10_000;
const SEED = 20_261_122;
/** What both are configured for; Istio's default where no ALLOW policy holds. */
const NAMESPACE = "a";
const MESH = { rootNamespace: "root", defaultAction: "ALLOW" } as const;

type Raw = Parameters<typeof rbacRules>[0][number] & { readonly spec: { readonly action?: string } };

const IDENTITIES = ["a", "ab", "b", "root"].flatMap((namespace) =>
  ["web", "web-2", "db"].map((account) => `spiffe://cluster.local/ns/${namespace}/sa/${account}`),
);

interface Asked {
  readonly identity: string;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
}

const PATHS = [
  "/",
  "/a",
  "/a/",
  "/a/b",
  "/a/b/c",
  "/ab",
  "/admin",
  "/b/a",
  "/a/b/",
  "/A",
  "/a?x=/b",
  "/a/./b",
  "/a/../admin",
  "/a//b",
  "/%61",
  "/a%2Fb",
  "/a;x=1",
  "/admin/x",
  "/~a",
];

const REQUEST: fc.Arbitrary<Asked> = fc.record({
  identity: fc.constantFrom(...IDENTITIES),
  method: fc.constantFrom("GET", "POST", "PUT", "DELETE"),
  path: fc.constantFrom(...PATHS),
  host: fc.constantFrom("orders", "Orders:8080", "orders.shop", "ORDERS", "orders.shop.svc.cluster.local:80"),
  headers: fc.dictionary(fc.constantFrom("x-role", "x-team"), fc.constantFrom("admin", "admins", "ops"), {
    maxKeys: 2,
  }),
});

/** Policies for one workload: what Envoy is to enforce has to be selected here. */
function enforcedOf(documents: readonly AuthorizationPolicy[]): readonly Raw[] {
  return documents
    .filter(({ action, isDryRun }) => (action === "ALLOW" || action === "DENY") && !isDryRun)
    .filter(({ namespace, matchLabels }) => [NAMESPACE, "root"].includes(namespace) && matchLabels.size === 0)
    .map(({ raw }) => raw as Raw);
}

function policySets(): readonly (readonly Raw[])[] {
  const random = fc.sample(anyPolicies, { numRuns: 4_000, seed: SEED }).map(enforcedOf);
  // Tokens are another filter's, which is not compared here.
  const telling = random.filter((set) => set.some(({ spec }) => JSON.stringify(spec).length > 60) && !asksTokens(set));
  return [...EXAMPLES, ...telling].slice(0, SETS);
}

const directory = mkdtempSync(join(tmpdir(), "cardea-rbac-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe.skipIf(ENVOY === "")(
  "Envoy (needs ENVOY, its program) with the filters that Istio makes of the same policies",
  () => {
    it(`decides ${REQUESTS} requests as we do`, { timeout: 280_000 }, async () => {
      const sets = policySets();
      expect(sets).toHaveLength(SETS);
      const app = await openApp();
      const authority = createTestAuthority();
      const issued = new Map(IDENTITIES.map((id) => [id, authority.issue(id).material]));
      writeFileSync(join(directory, "roots.pem"), authority.bundle.pem);
      const own = authority.issue("spiffe://cluster.local/ns/a/sa/orders").material;
      writeFileSync(join(directory, "own.pem"), own.chainPem);
      writeFileSync(join(directory, "own.key"), own.keyPem);
      const ports = await Promise.all(sets.map(() => freePort()));
      const envoy = await startEnvoy(directory, envoyConfig(sets, ports));
      const appAt = { host: "127.0.0.1", port: (app.address() as AddressInfo).port };
      const mesh = await openTestMesh({
        network: createSocketNetwork(),
        clock: systemClock,
        ordersApp: appAt,
        ledgerApp: appAt,
        authority,
      });
      const agents = new Map(Array.from(issued, ([id, { chainPem, keyPem }]) => [id, agentOf(chainPem, keyPem)]));
      const outcome = { allowed: 0, denied: 0, refused: 0 };
      const counted = (ours: number) => void outcome[ours === 200 ? "allowed" : ours === 403 ? "denied" : "refused"]++;
      const differences: string[] = [];
      let listed = 0;
      for (const [i, set] of sets.entries()) {
        mesh.orders.policy.set(setFor(set));
        const asked = fc.sample(REQUEST, { numRuns: REQUESTS / SETS, seed: SEED + i });
        await inTurns(asked, 8, async (each) => {
          const agent = agents.get(each.identity)!;
          const [theirs, ours] = await Promise.all([
            ask(each, ports[i]!, agent),
            ask(each, mesh.ordersInbound.port, agent),
          ]);
          if (theirs === ours) return counted(ours);
          if (isListed(set, each, { theirs, ours })) listed++;
          else differences.push(`${theirs} ${ours} ${JSON.stringify(each)} ${JSON.stringify(set)}`);
          counted(ours);
        });
      }
      await close(agents, { app, mesh, envoy });
      expect(differences.slice(0, 5)).toEqual([]);
      // What is excused is there to be excused, and a small part of all.
      expect(listed).toBeGreaterThan(0);
      expect(listed).toBeLessThan(REQUESTS / 20);
      // A world in which one outcome hardly happens would compare little.
      expect(outcome.allowed).toBeGreaterThan(REQUESTS / 10);
      expect(outcome.denied).toBeGreaterThan(REQUESTS / 10);
      expect(outcome.refused).toBe(0);
    });
  },
);

/**
 * What the guide to differences lists under "namespaces and service accounts that grant": of a wildcard Istio makes `.*`,
 * which goes on past the namespace, so that `*a*` takes in every service account with an a. That it is this and nothing else is
 * proved for each difference: our engine decides as Envoy does once the wildcards mean for this caller what Istio makes of them.
 */
function isListed(
  set: readonly Raw[],
  asked: Asked,
  { theirs, ours }: { readonly theirs: number; readonly ours: number },
): boolean {
  if (theirs !== 200 || ours !== 403) return false;
  const rewritten = set.map((raw) => withIstiosNamespaces(raw, asked.identity) as Raw);
  if (JSON.stringify(rewritten) === JSON.stringify(set)) return false;
  const { documents, settings } = policySetOf(rewritten, MESH, "differential");
  return decideQuestion(documents, questionOf(asked, settings)).allow;
}

/** Lists of namespaces with a wildcard, as Istio reads them for one caller: one that names it, or one that names nobody. */
function withIstiosNamespaces(value: unknown, identity: string, key = ""): unknown {
  if (Array.isArray(value)) {
    const list = value as readonly unknown[];
    const isNamespaces = /^(?:notN|n)amespaces$/.test(key) && list.some((each) => String(each).includes("*"));
    if (!isNamespaces) return list.map((each) => withIstiosNamespaces(each, identity));
    const matches = list.some((each) => istiosNamespace(String(each)).test(identity));
    return [matches ? (/\/ns\/([^/]+)\//.exec(identity)?.[1] ?? "") : "nobody-at-all"];
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, withIstiosNamespaces(each, identity, name)]),
  );
}

/** istio/istio pilot/pkg/security/authz/model/generator.go, srcNamespaceGenerator. */
function istiosNamespace(value: string): RegExp {
  const quoted = value.split("*").map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^.*/ns/${quoted.join(".*")}/.*$`);
}

function questionOf({ identity, method, path, host, headers }: Asked, settings: MeshSettings): Question {
  const normalized = normalizePath(path, settings.pathNormalization);
  if (!normalized.ok) throw new Error(`${path} is not normalised`);
  const loopback = "127.0.0.1";
  return {
    workload: { namespace: NAMESPACE, labels: {} },
    settings,
    peer: {
      principal: parseSpiffeId(identity),
      sourceIp: loopback,
      remoteIp: loopback,
      destinationIp: loopback,
      destinationPort: ORDERS_PORT,
      sni: "orders",
    },
    request: { method, path: normalized.pathForMatch, host, header: (name) => headers[name], claims: null },
  };
}

function setFor(policies: readonly Raw[]): PolicySet {
  const set = policySetOf(policies, MESH, "differential");
  return { ...set, compiled: compilePolicy(set.documents, { namespace: NAMESPACE, labels: {} }, set.settings) };
}

async function close(
  agents: ReadonlyMap<string, Agent>,
  { app, mesh, envoy }: { readonly app: Server; readonly mesh: TestMesh; readonly envoy: RunningEnvoy },
): Promise<void> {
  for (const agent of agents.values()) agent.destroy();
  await Promise.all([mesh.close(), envoy.close()]);
  app.closeAllConnections();
  app.close();
}

async function openApp(): Promise<Server> {
  const app = createServer((_request, response) => void response.end("ok")).listen(0, "127.0.0.1");
  await new Promise((resolve) => void app.once("listening", resolve));
  return app;
}

function agentOf(cert: string, key: string): Agent {
  return new Agent({
    keepAlive: true,
    maxSockets: 2,
    cert,
    key,
    rejectUnauthorized: false,
    servername: "orders",
    ALPNProtocols: ["http/1.1"],
  });
}

function ask({ method, path, host, headers }: Asked, port: number, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(
      { host: "127.0.0.1", port, method, path, headers: { ...headers, host }, agent, servername: "orders" },
      (answer) => {
        answer.resume();
        answer.once("end", () => resolve(answer.statusCode ?? 0));
      },
    );
    sent.once("error", reject);
    sent.end();
  });
}

async function inTurns<T>(all: readonly T[], width: number, act: (each: T) => Promise<void>): Promise<void> {
  const rest = all.values();
  const worker = async (): Promise<void> => {
    for (const each of rest) await act(each);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

function envoyConfig(sets: readonly (readonly Raw[])[], ports: readonly number[]): object {
  const type = "type.googleapis.com/envoy.extensions";
  const tls = {
    "@type": `${type}.transport_sockets.tls.v3.DownstreamTlsContext`,
    require_client_certificate: true,
    common_tls_context: {
      tls_certificates: [{ certificate_chain: file("own.pem"), private_key: file("own.key") }],
      validation_context: { trusted_ca: file("roots.pem") },
    },
  };
  const listeners = sets.map((set, i) => {
    const port = ports[i]!;
    // The port that each side listens on stands for the workload's own.
    const options = { port: (asked: number) => (asked === ORDERS_PORT ? port : asked) };
    const filters = (["DENY", "ALLOW"] as const).flatMap((action) => {
      const policies = set.filter(({ spec }) => (spec.action ?? "ALLOW") === action);
      if (policies.length === 0) return [];
      const rules = rbacRules(policies, action, options);
      return [{ name: "rbac", typed_config: { "@type": `${type}.filters.http.rbac.v3.RBAC`, rules } }];
    });
    const manager = {
      "@type": `${type}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: "t",
      codec_type: "HTTP1",
      normalize_path: true,
      use_remote_address: true,
      route_config: {
        virtual_hosts: [
          { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status: 200 } }] },
        ],
      },
      http_filters: [
        ...filters,
        { name: "router", typed_config: { "@type": `${type}.filters.http.router.v3.Router` } },
      ],
    };
    return {
      name: `l${i}`,
      address: socketAddress(port),
      listener_filters: [
        { name: "sni", typed_config: { "@type": `${type}.filters.listener.tls_inspector.v3.TlsInspector` } },
      ],
      filter_chains: [
        { filters: [{ name: "http", typed_config: manager }], transport_socket: { name: "tls", typed_config: tls } },
      ],
    };
  });
  return { static_resources: { listeners } };
}

function file(name: string): object {
  return { filename: join(directory, name) };
}

/** What the random ones hardly meet. */
const EXAMPLES: readonly (readonly Raw[])[] = [
  [example("ALLOW", [])],
  [example("ALLOW", [{}])],
  [example("DENY", [{}])],
  [example("ALLOW", [{ from: [{ source: { namespaces: ["a*"] } }], to: [{ operation: { methods: ["GET"] } }] }])],
  [example("ALLOW", [{ to: [{ operation: { paths: ["/a/{*}", "/{**}/c"] } }] }])],
  [example("ALLOW", [{ to: [{ operation: { hosts: ["orders.shop*", "*:8080"], notPaths: ["/admin*"] } }] }])],
  [example("DENY", [{ from: [{ source: { notPrincipals: ["cluster.local/ns/a/sa/web", "*/ns/b/sa/*"] } }] }])],
  [example("ALLOW", [{ when: [{ key: "request.headers[x-role]", values: ["admin*"], notValues: ["admins"] }] }])],
  [example("ALLOW", [{ from: [{ source: { serviceAccounts: ["web", "b/db"] } }] }])],
  [example("ALLOW", [{ from: [{ source: { trustDomains: ["cluster.local"], notNamespaces: ["b"] } }] }])],
  [
    example("ALLOW", [{}]),
    example("DENY", [{ to: [{ operation: { ports: ["8080"], paths: ["/a*"], notMethods: ["GET"] } }] }]),
  ],
  [
    example("ALLOW", [
      {
        when: [
          { key: "connection.sni", values: ["orders"] },
          { key: "destination.port", values: ["8080"] },
        ],
      },
    ]),
  ],
];

function example(action: string, rules: readonly object[]): Raw {
  const metadata = { name: `example-${action.toLowerCase()}`, namespace: NAMESPACE };
  return { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata, spec: { action, rules } } as Raw;
}

// Istio's own examples of what it generates: the test's generator reads the language as Istio does. They are not kept here.
const ISTIO = process.env["ISTIO"] ?? "";

describe.skipIf(ISTIO === "")("the generator of this test (needs ISTIO, a checkout of istio/istio)", () => {
  const at = join(ISTIO, "pilot", "pkg", "security", "authz", "builder", "testdata", "http");
  const cases: readonly [string, string, "ALLOW" | "DENY"][] = [
    ["allow-empty-rule", "allow-empty-rule-out", "ALLOW"],
    ["allow-nil-rule", "allow-nil-rule-out", "ALLOW"],
    ["allow-path", "allow-path-out", "ALLOW"],
    ["deny-empty-rule", "deny-empty-rule-out", "DENY"],
    ["deny-and-allow", "deny-and-allow-out1", "DENY"],
    ["deny-and-allow", "deny-and-allow-out2", "ALLOW"],
    ["multiple-policies", "multiple-policies-out", "ALLOW"],
    ["trust-domains", "trust-domains-out", "ALLOW"],
    ["allow-full-rule", "allow-full-rule-out", "ALLOW"],
  ];

  test.each(cases)("makes of %s what Istio publishes (%s)", (input, output, action) => {
    const documents = parseAllDocuments(readFileSync(join(at, `${input}-in.yaml`), "utf8")).map(
      (each) => each.toJS() as Raw,
    );
    const chosen = documents.filter((each) => each !== null && (each.spec.action ?? "ALLOW") === action);
    const { typedConfig } = parse(readFileSync(join(at, `${output}.yaml`), "utf8")) as {
      typedConfig: { rules: { policies?: Record<string, unknown> } };
    };
    const made = rbacRules(chosen, action) as { policies: Record<string, unknown> };
    // Rules on tokens need a filter that is not compared here.
    const compared = Object.keys(made.policies).filter((name) => !asksTokens(typedConfig.rules.policies?.[name]));
    expect(compared.length).toBeGreaterThan(0);
    for (const name of compared) expect(made.policies[name], name).toEqual(typedConfig.rules.policies?.[name]);
    expect(Object.keys(typedConfig.rules.policies ?? {}).toSorted()).toEqual(Object.keys(made.policies).toSorted());
  });
});

/** A policy's, or of a filter that was made of one. */
function asksTokens(of: unknown): boolean {
  return /equestPrincipals|request\.auth|jwt_authn/.test(JSON.stringify(of ?? null));
}

test("the corpus of Istio's policies, where it is, makes filters of one policy a rule", ({ skip }) => {
  const corpus = corpusPath("istio-policies");
  if (corpus === null) return skip("the corpus is not beside the repository");
  const files = readdirSync(corpus).filter((name) => name.endsWith(".yaml"));
  const documents = files.flatMap((name) =>
    parseAllDocuments(readFileSync(join(corpus, name), "utf8")).map((each) => each.toJS() as Raw),
  );
  const read = documents.filter((raw) => parseAuthorizationPolicy(locatePlain(raw), { file: "corpus" }, []) !== null);
  expect(read.length).toBeGreaterThan(5);
  for (const raw of read) {
    const action = raw.spec.action === "DENY" ? "DENY" : "ALLOW";
    const { policies } = rbacRules([raw], action) as { policies: object };
    expect(Object.keys(policies)).toHaveLength(Math.max(1, raw.spec.rules?.length ?? 0));
  }
});
