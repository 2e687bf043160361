import * as fc from "fast-check";
import { type Fault, locatePlain } from "../../src/core/located.ts";
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from "../../src/core/spiffe-id.ts";
import { type AuthorizationPolicy, parseAuthorizationPolicy } from "../../src/policy/document.ts";
import type { Claims } from "../../src/policy/claims.ts";
import type { PeerFacts, RequestFacts, Workload } from "../../src/policy/facts.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../../src/policy/mesh-settings.ts";
import { providerOf } from "./asked-outside.ts";

// A small world, so that policies and requests meet often.
const NAMESPACES = ["a", "ab", "b", "root"];
const ACCOUNTS = ["web", "web-2", "db"];
const DOMAINS = ["cluster.local", "old.local", "far.example"];

const IDENTITIES: readonly SpiffeId[] = [
  ...DOMAINS.flatMap((domain) =>
    NAMESPACES.flatMap((namespace) => ACCOUNTS.map((account) => `spiffe://${domain}/ns/${namespace}/sa/${account}`)),
  ),
  // Shapes that only federated domains have, and that Istio's regular expressions read in their own way.
  "spiffe://far.example",
  "spiffe://far.example/workload",
  "spiffe://far.example/ns/a",
  "spiffe://ns/a/sa/web",
  "spiffe://far.example/ns/a/region/x/sa/web",
  "spiffe://far.example/ns/a/sa/web/extra",
  "spiffe://far.example/x/ns/b/sa/db",
  "spiffe://cluster.local/ns/a/ns/b/sa/web",
  "spiffe://cluster.local/ns/ab/sa",
].map(parseSpiffeId);

const PRINCIPAL_PATTERNS = [
  "*",
  ...IDENTITIES.map((id) => id.slice("spiffe://".length)),
  "cluster.local/ns/a/*",
  "*/ns/a/sa/web",
  "*local/ns/b/sa/db",
  "far*",
  "*sa/web",
  "old.local/ns/ab/sa/*",
  "a*b",
  "**",
];

const IPS = ["10.0.0.1", "10.1.2.3", "192.168.1.1", "2001:db8::1", "::ffff:10.0.0.1", "not-an-address", ""];
const BLOCKS = ["10.0.0.0/8", "10.0.0.1", "192.168.0.0/16", "2001:db8::/32", "0.0.0.0/0", "::/0", "10.1.2.3/9"];
const METHODS = ["GET", "POST", "get", "DELETE"];
const PATHS = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/admin", "/admin/x|y", "/b/a", "/a/b/"];
const PATH_PATTERNS = [
  "*",
  "/a",
  "/a*",
  "/a/*",
  "*/b",
  "*/",
  "/a/{*}",
  "/a/{**}",
  "/{*}/b",
  "/{**}",
  "/{*}/{*}/",
  "/admin/{*}",
  "/a*/b",
];
const HOSTS = ["orders", "Orders:8080", "orders.shop", "ORDERS", ""];
const HOST_PATTERNS = ["*", "orders", "orders:*", "*.shop", "ORDERS*", "orders.shop"];
const HEADERS = ["x-role", "x-team"];
const TEXTS = ["", "admin", "admins", "ops"];
const TEXT_PATTERNS = ["*", "admin", "admin*", "*s", "ops"];
const ISSUERS = ["id", "https://id.example", ""];
const SUBJECTS = ["alice", "ann/x", "bob", ""];
const USER_PATTERNS = [
  "*",
  "id/*",
  "*/alice",
  "https://id.example/a*",
  "id/bob",
  "id",
  "id*",
  "*ice",
  "*example/bob",
  "id/ann/x",
];
const SNIS = ["outbound_.80_._.orders", "orders", null];
const PORTS = [0, 80, 8080, 9000];

/** Mostly left out: a rule with many clauses matches nothing, and then nothing is compared. */
function maybe<T>(present: fc.Arbitrary<T>, absentWeight: number): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: absentWeight, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: present });
}

const some = (values: readonly string[]) =>
  maybe(fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 }), 6);

const isNotEmpty = (fields: object): boolean => Object.values(fields).some((value) => value !== undefined);

const source = fc
  .record({
    principals: some(PRINCIPAL_PATTERNS),
    notPrincipals: some(PRINCIPAL_PATTERNS),
    requestPrincipals: some(USER_PATTERNS),
    notRequestPrincipals: some(USER_PATTERNS),
    namespaces: some(["*", ...NAMESPACES, "a*", "*b", "*a*", "r*t"]),
    notNamespaces: some(["*", ...NAMESPACES, "a*", "*b"]),
    trustDomains: some(["*", ...DOMAINS, "far*", "*.local"]),
    notTrustDomains: some([...DOMAINS, "far*"]),
    ipBlocks: some(BLOCKS),
    notIpBlocks: some(BLOCKS),
    remoteIpBlocks: some(BLOCKS),
    notRemoteIpBlocks: some(BLOCKS),
  })
  .filter(isNotEmpty);

const accountSource = fc
  .record({
    serviceAccounts: some(["web", "a/web", "b/db", "ab/web-2"]),
    notServiceAccounts: some(["web", "a/web", "b/db"]),
    trustDomains: some(["*", ...DOMAINS]),
  })
  .filter(isNotEmpty);

const operation = fc
  .record({
    methods: some(["*", ...METHODS, "P*", "*T"]),
    notMethods: some(METHODS),
    paths: some(PATH_PATTERNS),
    notPaths: some(PATH_PATTERNS),
    hosts: some(HOST_PATTERNS),
    notHosts: some(HOST_PATTERNS),
    ports: some(PORTS.map(String)),
    notPorts: some(PORTS.map(String)),
  })
  .filter(isNotEmpty);

const condition = fc
  .oneof(
    conditionOn("source.ip", BLOCKS),
    conditionOn("remote.ip", BLOCKS),
    conditionOn("destination.ip", BLOCKS),
    conditionOn("destination.port", PORTS.map(String)),
    conditionOn("source.namespace", [...NAMESPACES, "a*", "*"]),
    conditionOn("source.principal", PRINCIPAL_PATTERNS),
    conditionOn("source.trustDomain", [...DOMAINS, "*"]),
    conditionOn("source.serviceAccount", ["web", "a/web"]),
    conditionOn("connection.sni", ["*", "orders", "outbound*", "*orders"]),
    conditionOn("request.headers[X-Role]", TEXT_PATTERNS),
    conditionOn("request.headers[x-team]", TEXT_PATTERNS),
    conditionOn("request.headers[:method]", METHODS),
    conditionOn("request.headers[:authority]", ["orders", "Orders*", "*"]),
    conditionOn("request.auth.principal", USER_PATTERNS),
    conditionOn("request.auth.audiences", TEXT_PATTERNS),
    conditionOn("request.auth.presenter", TEXT_PATTERNS),
    conditionOn("request.auth.claims[groups]", TEXT_PATTERNS),
    conditionOn("request.auth.claims[realm]", TEXT_PATTERNS),
    conditionOn("request.auth.claims[realm][roles]", TEXT_PATTERNS),
    conditionOn("request.auth.claims[sub]", ["alice", "*", "a*"]),
  )
  .filter((fields) => fields.values !== undefined || fields.notValues !== undefined);

function conditionOn(key: string, values: readonly string[]) {
  const list = maybe(fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 }), 1);
  return fc.record({ key: fc.constant(key), values: list, notValues: list });
}

const few = <T>(item: fc.Arbitrary<T>, absentWeight: number) =>
  maybe(fc.array(item, { minLength: 1, maxLength: 2 }), absentWeight);

const sources = fc.oneof({ weight: 3, arbitrary: source }, accountSource).map((fields) => ({ source: fields }));

const rule = fc.record({
  from: few(sources, 1),
  to: few(
    operation.map((fields) => ({ operation: fields })),
    2,
  ),
  when: few(condition, 2),
});

/** Rules that ask for a path and seldom for anything else. */
const pathRule = fc.record({
  from: few(sources, 20),
  to: fc.array(
    fc
      .record({
        paths: fc.uniqueArray(fc.constantFrom(...PATH_PATTERNS), { minLength: 1, maxLength: 2 }),
        methods: maybe(fc.constantFrom(["GET"], ["POST"]), 1),
        notPaths: maybe(fc.constantFrom(["/a"], ["*/"]), 8),
      })
      .map((fields) => ({ operation: fields })),
    { minLength: 1, maxLength: 2 },
  ),
  when: few(condition, 20),
});

const labels = fc.constantFrom({}, { app: "orders" }, { app: "orders", version: "v1" }, { app: "other" });

const policyFields = <R>(rules: fc.Arbitrary<R[]>) =>
  fc.record({
    namespace: fc.constantFrom(...NAMESPACES),
    action: fc.constantFrom("ALLOW", "ALLOW", "ALLOW", "ALLOW", "DENY", "DENY", "AUDIT", "CUSTOM"),
    isDryRun: fc.constantFrom(false, false, false, true),
    matchLabels: maybe(labels, 3),
    rules,
  });

/** Policy documents as plain JSON, valid by construction. */
const documentsOf = (fields: ReturnType<typeof policyFields<object>>, counts: fc.ArrayConstraints) =>
  fc.array(fields, counts).map((all) =>
    all.map(({ namespace, action, isDryRun, matchLabels, rules }, i) => ({
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: {
        name: `p${i}`,
        namespace,
        // AUDIT and CUSTOM are refused in a dry run.
        annotations: action === "AUDIT" || action === "CUSTOM" ? {} : { "istio.io/dry-run": String(isDryRun) },
      },
      // A DENY or CUSTOM policy must have a rule.
      spec: {
        action,
        // Of a provider that the mesh may have, or of one that it never has.
        provider: action === "CUSTOM" ? { name: isDryRun ? "other" : "opa" } : undefined,
        selector: matchLabels && { matchLabels },
        rules: (action === "DENY" || action === "CUSTOM") && rules.length === 0 ? [{}] : rules,
      },
    })),
  );

export const policies: fc.Arbitrary<readonly AuthorizationPolicy[]> = documentsOf(
  policyFields<object>(fc.array(rule, { maxLength: 3 })),
  { maxLength: 5 },
).map((documents) => documents.map(policyOf));

/** So many rules on paths that a peer's candidates are indexed. */
export const crowdedPolicies: fc.Arbitrary<readonly AuthorizationPolicy[]> = documentsOf(
  policyFields<object>(fc.array(pathRule, { minLength: 4, maxLength: 8 })),
  { minLength: 6, maxLength: 12 },
).map((documents) => documents.map(policyOf));

/** So many rules of all kinds that peers and requests are found by all that rules may ask of them. */
export const denselyCrowdedPolicies: fc.Arbitrary<readonly AuthorizationPolicy[]> = documentsOf(
  policyFields<object>(fc.array(rule, { minLength: 6, maxLength: 12, size: "max" })),
  { minLength: 4, maxLength: 8 },
).map((documents) => documents.map(policyOf));

export const peers: fc.Arbitrary<PeerFacts> = fc.record({
  principal: fc.option(fc.constantFrom(...IDENTITIES), { freq: 8 }),
  sourceIp: fc.constantFrom(...IPS),
  remoteIp: fc.constantFrom(...IPS),
  destinationIp: fc.constantFrom(...IPS),
  destinationPort: fc.constantFrom(...PORTS),
  sni: fc.constantFrom(...SNIS),
});

const text = fc.constantFrom(...TEXTS);
const textOrTexts = fc.oneof(text, fc.array(text, { maxLength: 3 }));

/** Of verified tokens: issuer and subject are texts where they are there, all else is whatever the issuer likes. */
const claims: fc.Arbitrary<Claims> = fc.record(
  {
    iss: fc.constantFrom(...ISSUERS),
    sub: fc.constantFrom(...SUBJECTS),
    aud: textOrTexts,
    azp: text,
    groups: fc.oneof(textOrTexts, fc.constantFrom(7, true, null)),
    realm: fc.oneof(text, fc.record({ roles: textOrTexts }, { requiredKeys: [] })),
  },
  { requiredKeys: [] },
);

export const requests: fc.Arbitrary<RequestFacts> = fc
  .record({
    method: fc.constantFrom(...METHODS),
    path: fc.constantFrom(...PATHS),
    host: fc.constantFrom(...HOSTS),
    headers: fc.dictionary(fc.constantFrom(...HEADERS), fc.constantFrom(...TEXTS), { maxKeys: 2 }),
    claims: fc.option(claims, { freq: 2 }),
  })
  .map(({ headers, ...rest }) => ({ ...rest, header: (name) => headers[name] }));

export const workloads: fc.Arbitrary<Workload> = fc.record({ namespace: fc.constantFrom("a", "ab"), labels });

const OPA = providerOf({ name: "opa", envoyExtAuthzGrpc: { service: "opa.tools.svc.cluster.local", port: 9191 } });

export const settings: fc.Arbitrary<MeshSettings> = fc
  .record({
    trustDomain: fc.constantFrom("cluster.local", "old.local"),
    aliases: fc.constantFrom([], ["old.local"], ["cluster.local", "other.local"]),
    defaultAction: fc.constantFrom("ALLOW" as const, "DENY" as const),
    extensionProviders: fc.constantFrom([], [OPA]),
  })
  .map(({ trustDomain, aliases, defaultAction, extensionProviders }) => ({
    ...DEFAULT_MESH_SETTINGS,
    trustDomain: parseTrustDomain(trustDomain),
    trustDomainAliases: aliases.map(parseTrustDomain),
    rootNamespace: "root",
    defaultAction,
    extensionProviders,
  }));

/** A document that must be valid. */
export function policyOf(document: object): AuthorizationPolicy {
  const faults: Fault[] = [];
  // Over the wire and back: a field that is undefined is not there.
  const located = locatePlain(JSON.parse(JSON.stringify(document)));
  const policy = parseAuthorizationPolicy(located, { file: "test.yaml" }, faults);
  if (policy === null) throw new Error(JSON.stringify(faults));
  return policy;
}
