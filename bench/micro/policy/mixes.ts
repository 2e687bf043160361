import { locatePlain } from "../../../src/core/located.ts";
import { parseSpiffeId } from "../../../src/core/spiffe-id.ts";
import { type AuthorizationPolicy, parseAuthorizationPolicy } from "../../../src/policy/document.ts";
import type { PeerFacts, RequestFacts } from "../../../src/policy/facts.ts";

/** A kind of rules, and the requests that go with them. */
export interface Mix {
  readonly name: string;
  /** Rule i, as a policy has it. */
  readonly rule: (i: number) => object;
  /** Whether rule i denies. Absent: all of them allow. */
  readonly isDenial?: (i: number) => boolean;
  /** What comes of a request that fits one of them. Absent: it is allowed. */
  readonly outcome?: "allow" | "deny";
  readonly caller?: (i: number) => Partial<PeerFacts>;
  /** What fits rule i, and, with null, what fits none; `salt` makes each of them a text never seen before. */
  readonly request: (i: number | null, salt: number) => Partial<Omit<RequestFacts, "header">> & { header?: string };
}

/** The one header that mixes ask for. */
export const HEADER = "x-tenant";
const RULES_PER_POLICY = 10;

const to = (...operations: object[]): object => ({ to: operations.map((operation) => ({ operation })) });
const from = (...sources: object[]): object => ({ from: sources.map((source) => ({ source })) });
const tenantIs = (value: string): object => ({ when: [{ key: `request.headers[${HEADER}]`, values: [value] }] });
const callerNamed = (name: string): Partial<PeerFacts> => ({
  principal: parseSpiffeId(`spiffe://cluster.local/ns/shop/sa/${name}`),
});
const WEB = from({ principals: ["cluster.local/ns/shop/sa/web"] });
const block = (i: number): string => `10.${(i >> 8) & 255}.${i & 255}`;

/** Rules as people write them. */
const USUAL: readonly Mix[] = [
  {
    name: "own caller, path prefix, methods, port",
    rule: (i) => ({
      ...from({ principals: [`cluster.local/ns/shop/sa/caller-${i}`] }),
      ...to({ methods: ["GET", "HEAD"], paths: [`/items-${i}`, `/items-${i}/*`], ports: ["8080"] }),
    }),
    caller: (i) => callerNamed(`caller-${i}`),
    request: (i, salt) => ({ path: `/items-${i ?? "none"}/${salt}` }),
  },
  {
    name: "own namespace, exact path",
    rule: (i) => ({ ...from({ namespaces: [`team-${i}`] }), ...to({ paths: [`/v1/orders-${i % 50}`] }) }),
    caller: (i) => ({ principal: parseSpiffeId(`spiffe://cluster.local/ns/team-${i}/sa/app`) }),
    request: (i, salt) => ({ path: i === null ? `/v1/${salt}` : `/v1/orders-${i % 50}` }),
  },
  {
    name: "one caller, own path prefix each",
    rule: (i) => ({ ...WEB, ...to({ methods: ["GET"], paths: [`/api/v1/items-${i}/*`] }) }),
    request: (i, salt) => ({ path: `/api/v1/items-${i ?? "none"}/${salt}` }),
  },
  {
    name: "own host and its ports, anybody",
    rule: (i) => to({ hosts: [`shop-${i}.example.com`, `shop-${i}.example.com:*`] }),
    request: (i, salt) => ({ host: `Shop-${i ?? `x${salt}`}.example.com` }),
  },
  {
    name: "one path, own header value",
    rule: (i) => ({ ...WEB, ...to({ paths: ["/api/*"] }), ...tenantIs(`tenant-${i}`) }),
    request: (i, salt) => ({ path: `/api/${salt}`, header: i === null ? `x${salt}` : `tenant-${i}` }),
  },
  {
    name: "own address block",
    rule: (i) => ({ ...from({ ipBlocks: [`${block(i)}.0/24`] }), ...to({ methods: ["GET"] }) }),
    caller: (i) => ({ sourceIp: `${block(i)}.7` }),
    request: (i) => ({ method: i === null ? "POST" : "GET" }),
  },
  {
    name: "each second one a DENY",
    rule: (i) => ({
      ...WEB,
      ...to(i % 2 === 0 ? { paths: [`/items-${i}/*`], notMethods: ["GET"] } : { paths: [`/items-${i - 1}/*`] }),
    }),
    isDenial: (i) => i % 2 === 0,
    request: (i, salt) => ({ path: i === null ? `/none/${salt}` : `/items-${i - (i % 2)}/${salt}` }),
  },
  {
    name: "a bit of everything",
    rule: (i) => everything(i),
    caller: (i) => (i % 6 === 0 ? callerNamed(`caller-${i}`) : {}),
    request: (i, salt) => (i === null ? { path: `/none/${salt}` } : requestOfEverything(i, salt)),
  },
];

/** Rules that leave an index little to go by. */
const WORST: readonly Mix[] = [
  {
    name: "only suffixes, anybody",
    rule: (i) => to({ paths: [`*/file-${i}.html`] }),
    request: (i, salt) => ({ path: `/${salt}/docs/file-${i ?? "none"}.html` }),
  },
  {
    name: "only {*} first in templates, anybody",
    rule: (i) => to({ paths: [`/{*}/items-${i}/{*}`] }),
    request: (i, salt) => ({ path: `/${salt}/items-${i ?? "none"}/7` }),
  },
  {
    name: "only {**} first in templates, anybody",
    rule: (i) => to({ paths: [`/{**}/leaf-${i}`] }),
    request: (i, salt) => ({ path: `/${salt}/b/leaf-${i ?? "none"}` }),
  },
  {
    name: "only {**} last in templates, one caller",
    rule: (i) => ({ ...WEB, ...to({ paths: [`/tenants/{*}/area-${i}/{**}`] }) }),
    request: (i, salt) => ({ path: `/tenants/${salt}/area-${i ?? "none"}/a/b` }),
  },
  {
    name: "long common prefix, prefixes of each other",
    rule: (i) => ({
      ...WEB,
      ...to({ paths: [`/${"deep/".repeat(i % 40)}x-${i}*`, `/${"deep/".repeat(i % 40)}*`], methods: [`M-${i}`] }),
    }),
    request: (i, salt) => ({
      path: `/${"deep/".repeat((i ?? 39) % 40)}x-${i ?? salt}`,
      method: i === null ? "GET" : `M-${i}`,
    }),
  },
  {
    name: "the same notPaths everywhere, own header",
    rule: (i) => ({ ...to({ notPaths: ["/public/*"] }), ...tenantIs(`tenant-${i}`) }),
    request: (i, salt) => ({ path: `/${i === null ? "public" : "x"}/${salt}`, header: `tenant-${i ?? "none"}` }),
  },
  {
    name: "the same callers, own notPaths",
    rule: (i) => ({ ...WEB, ...to({ notPaths: ["/public/*", `/own-${i}`] }) }),
    isDenial: () => true,
    outcome: "deny",
    request: (i, salt) => ({ path: i === null ? `/public/${salt}` : `/own-${i}` }),
  },
];

export const MIXES: readonly (Mix & { readonly isWorst: boolean })[] = [
  ...USUAL.map((mix) => ({ ...mix, isWorst: false })),
  ...WORST.map((mix) => ({ ...mix, isWorst: true })),
];

function everything(i: number): object {
  const operations = [
    { ...from({ principals: [`cluster.local/ns/shop/sa/caller-${i}`] }), ...to({ methods: ["POST"] }) },
    to({ paths: [`/static-${i}/*`], methods: ["GET"] }),
    { ...from({ namespaces: ["shop"] }), ...to({ paths: [`*.png-${i}`] }) },
    { ...from({ notNamespaces: ["test"] }), ...to({ paths: [`/users/{*}/albums-${i}/{**}`] }) },
    { ...to({ hosts: [`*.h${i}.example.com`] }), ...tenantIs(`t-${i}*`) },
    { ...from({ ipBlocks: ["10.0.0.0/8"] }), ...tenantIs(`tenant-${i}`) },
  ];
  return operations[i % operations.length]!;
}

function requestOfEverything(i: number, salt: number): ReturnType<Mix["request"]> {
  const requests = [
    { method: "POST", path: `/${salt}` },
    { path: `/static-${i}/${salt}` },
    { path: `/${salt}.png-${i}` },
    { path: `/users/${salt}/albums-${i}/1/2` },
    { host: `${salt}.h${i}.example.com`, header: `t-${i}-${salt}` },
    { path: `/${salt}`, header: `tenant-${i}` },
  ];
  return requests[i % requests.length]!;
}

/** So many rules of the mix, ten to a policy. */
export function policiesOf(mix: Mix, ruleCount: number): readonly AuthorizationPolicy[] {
  const all = Array.from({ length: ruleCount }, (_, i) => i);
  const isDenial = mix.isDenial ?? (() => false);
  return [false, true].flatMap((denies) => {
    const rules = all.filter((i) => isDenial(i) === denies).map(mix.rule);
    return Array.from({ length: Math.ceil(rules.length / RULES_PER_POLICY) }, (_, i) =>
      documentOf(`${denies ? "deny" : "allow"}-${i}`, {
        action: denies ? "DENY" : "ALLOW",
        rules: rules.slice(i * RULES_PER_POLICY, (i + 1) * RULES_PER_POLICY),
      }),
    );
  });
}

export function documentOf(name: string, spec: object): AuthorizationPolicy {
  const document = {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name, namespace: "shop" },
    spec,
  };
  const faults: object[] = [];
  const policy = parseAuthorizationPolicy(locatePlain(document), { file: "bench" }, faults as never);
  if (policy === null) throw new Error(JSON.stringify(faults));
  return policy;
}

export function peerOf(mix: Mix, i: number): PeerFacts {
  return {
    ...callerNamed("web"),
    principal: parseSpiffeId("spiffe://cluster.local/ns/shop/sa/web"),
    sourceIp: "10.0.0.1",
    remoteIp: "10.0.0.1",
    destinationIp: "10.0.0.2",
    destinationPort: 8080,
    sni: null,
    ...mix.caller?.(i),
  };
}

/** A request as bytes; `i` null: one that no rule fits. */
export interface WireRequest {
  readonly method: string;
  readonly path: Buffer;
  readonly host: Buffer;
  readonly header: Buffer | null;
}

export function wireRequestOf(mix: Mix, i: number | null, salt: number): WireRequest {
  const { method = "GET", path = "/", host = "orders.shop", header } = mix.request(i, salt);
  return {
    method,
    path: Buffer.from(path),
    host: Buffer.from(host),
    header: header === undefined ? null : Buffer.from(header),
  };
}

/** Texts as they are that were just read from bytes; methods are known ones. */
export function readRequest({ method, path, host, header }: WireRequest): RequestFacts {
  const value = header === null ? undefined : header.toString("latin1");
  return {
    method,
    path: path.toString("latin1"),
    host: host.toString("latin1"),
    header: (name) => (name === HEADER ? value : undefined),
    claims: null,
  };
}
