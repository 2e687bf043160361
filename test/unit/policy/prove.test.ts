import { describe, expect, test } from "vitest";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { spiffeIdFor } from "../../../src/core/spiffe-id.ts";
import { blastRadiusOf } from "../../../src/policy/analysis/blast-radius.ts";
import { diffPolicies } from "../../../src/policy/analysis/diff.ts";
import { type KnownWorkload, workloadsNamedBy } from "../../../src/policy/analysis/known-workload.ts";
import { prove } from "../../../src/policy/analysis/prove.ts";
import type { Protocol } from "../../../src/policy/analysis/space/facts.ts";
import { DEFAULT_MESH_SETTINGS as settings } from "../../../src/policy/mesh-settings.ts";

const WEB = workload("shop", "web", 8080, "http");
const ORDERS = workload("shop", "orders", 8080, "http");
const LEDGER = workload("ledger", "ledger", 7000, "tcp");
const MESH = [WEB, ORDERS, LEDGER];

function workload(namespace: string, name: string, port: number, protocol: Protocol): KnownWorkload {
  return {
    name: `${namespace}/${name}`,
    namespace,
    labels: { app: name },
    principal: spiffeIdFor(settings.trustDomain, namespace, name),
    ports: [{ port, protocols: [protocol] }],
    hosts: [],
  };
}

function allow(namespace: string, app: string, list: string, action = "ALLOW"): string {
  const metadata = `{name: ${app}-${action.toLowerCase()}, namespace: ${namespace}}`;
  const spec = `{action: ${action}, selector: {matchLabels: {app: ${app}}}, rules: ${list}}`;
  return `{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: ${metadata}, spec: ${spec}}`;
}

function invariant(spec: string): string {
  return `{apiVersion: cardea.dev/v1, kind: Invariant, metadata: {name: i}, spec: ${spec}}`;
}

function read(...documents: readonly string[]) {
  const files = parsePolicyFiles([{ path: "p.yaml", text: documents.join("\n---\n") }]);
  expect(files.faults).toEqual([]);
  return files;
}

/** What becomes of the one invariant among the documents. */
function outcome(documents: readonly string[], workloads: readonly KnownWorkload[] = MESH) {
  const { documents: policies, invariants } = read(...documents);
  return prove(invariants, { documents: policies, settings, workloads })[0]!;
}

const FROM_ORDERS = '{from: [{source: {principals: ["cluster.local/ns/shop/sa/orders"]}}]}';
const LEDGER_FOR_ORDERS = allow("ledger", "ledger", `[${FROM_ORDERS}]`);
const ONLY_ORDERS = invariant(
  '{to: [ledger/ledger], never: [{from: [{source: {notPrincipals: ["cluster.local/ns/shop/sa/orders"]}}]}]}',
);

function neverOnOrders(rule: string): string {
  return invariant(`{to: [shop/orders], never: [${rule}]}`);
}

describe("an Invariant of requests that must never be allowed", () => {
  test("holds where no policy allows one", () => {
    expect(outcome([LEDGER_FOR_ORDERS, ONLY_ORDERS])).toMatchObject({
      result: "holds",
      looked: 1,
      counterexamples: [],
    });
  });

  test("is broken by a pattern that takes more than was meant, with an identity that shows it", () => {
    const wide = LEDGER_FOR_ORDERS.replace("sa/orders", "sa/orders*");
    const proof = outcome([wide, ONLY_ORDERS]);
    expect(proof.result).toBe("broken");
    expect(proof.counterexamples[0]!.facts.principal).toMatch(/^spiffe:\/\/cluster\.local\/ns\/shop\/sa\/orders./);
  });

  test("is broken by a suffix that any trust domain can end in", () => {
    const wide = LEDGER_FOR_ORDERS.replace("cluster.local/ns/shop/sa/orders", "*/sa/orders");
    const [example] = outcome([wide, ONLY_ORDERS]).counterexamples;
    expect(example?.facts.principal).not.toBe("spiffe://cluster.local/ns/shop/sa/orders");
    expect(example?.decision).toMatchObject({ allow: true, policy: "ledger/ledger-allow", rule: 0 });
  });

  test("is broken by a workload that nobody wrote a policy for where the default is ALLOW", () => {
    const { invariants } = read(ONLY_ORDERS);
    const open = { ...settings, defaultAction: "ALLOW" as const };
    const [proof] = prove(invariants, { documents: [], settings: open, workloads: MESH });
    expect(proof).toMatchObject({ result: "broken", counterexamples: [{ decision: { reason: "default-action" } }] });
  });

  test("holds where a DENY stands before the grant that would break it", () => {
    const grant = allow("shop", "orders", '[{to: [{operation: {paths: ["/*"]}}]}]');
    const never = invariant('{never: [{to: [{operation: {paths: ["/internal/*"]}}]}]}');
    const deny = (paths: string): string => allow("shop", "orders", `[{to: [{operation: {paths: ${paths}}}]}]`, "DENY");
    expect(outcome([grant, never]).result).toBe("broken");
    expect(outcome([grant, deny('["/internal*"]'), never]).result).toBe("holds");
    expect(outcome([grant, deny('["/internal/{*}"]'), never]).counterexamples[0]?.facts.path).toBe("/internal/");
    const twoDeep = outcome([grant, deny('["/internal/", "/internal/{*}"]'), never]);
    expect(twoDeep.counterexamples[0]?.facts.path).toMatch(/^\/internal\/[^/]*\/[^/]*$/);
  });

  test("sees through conditions on headers and addresses", () => {
    const grant = allow(
      "shop",
      "orders",
      '[{when: [{key: "request.headers[x-role]", values: ["adm*"]}, {key: source.ip, notValues: ["10.0.0.0/8"]}]}]',
    );
    const inTen = '{from: [{source: {ipBlocks: ["10.1.0.0/16"]}}]}';
    const notAdmin = '{when: [{key: "request.headers[x-role]", notValues: ["admin"]}]}';
    expect(outcome([grant, neverOnOrders(inTen)]).result).toBe("holds");
    expect(outcome([grant, neverOnOrders(notAdmin)]).counterexamples[0]?.facts.headers["x-role"]).toMatch(
      /^adm(?!in$)/,
    );
  });

  test("asks bytes that are not HTTP about peers alone", () => {
    const http = allow("ledger", "ledger", '[{to: [{operation: {methods: ["GET"]}}]}]');
    expect(outcome([http, ONLY_ORDERS]).result).toBe("holds");
    const workloads = [{ ...LEDGER, ports: [{ port: 7000, protocols: ["http" as const] }] }];
    expect(outcome([http, ONLY_ORDERS], workloads).result).toBe("broken");
  });

  test("is about HTTP alone where it speaks of requests", () => {
    const never = invariant('{never: [{to: [{operation: {methods: ["POST"]}}]}]}');
    expect(outcome([LEDGER_FOR_ORDERS, never], [LEDGER]).result).toBe("vacuous");
    expect(outcome([LEDGER_FOR_ORDERS, never]).result).toBe("holds");
  });

  test("says nothing, and says so, when it names no workload of the mesh", () => {
    expect(outcome([LEDGER_FOR_ORDERS, ONLY_ORDERS.replace("ledger/ledger", "ledger/leger")]).result).toBe("vacuous");
  });

  test("is not known where there is more to tell apart than may be looked at", () => {
    const paths = Array.from({ length: 60 }, (_, i) => `"/{*}/a${i}/{*}/b${i}/{*}/c${i}/{**}"`).join(", ");
    const headers = Array.from({ length: 40 }, (_, i) => `{key: "request.headers[x-${i}]", values: ["a", "b*", "*c"]}`);
    const each = headers.map(
      (when, i) => `{to: [{operation: {paths: [${paths}]}}], when: [${when}, ${headers[(i + 7) % 40]!}]}`,
    );
    const never = invariant('{never: [{to: [{operation: {methods: ["PUT"]}}]}]}');
    const both = outcome([allow("shop", "orders", `[${each.join(", ")}]`), never], [ORDERS]);
    expect(both).toMatchObject({ result: "unknown", unknown: ["shop/orders:8080 (http)"] });
  });
});

describe("an Invariant of ways that must not exist", () => {
  const WAY = "{unreachable: {from: [shop/web], to: [ledger/ledger]}}";
  const ORDERS_FOR_WEB = allow(
    "shop",
    "orders",
    '[{from: [{source: {principals: ["cluster.local/ns/shop/sa/web"]}}]}]',
  );

  test("is broken by a way through another workload, which is shown", () => {
    const proof = outcome([LEDGER_FOR_ORDERS, ORDERS_FOR_WEB, invariant(WAY)]);
    expect(proof.result).toBe("broken");
    expect(proof.ways.map((way) => way.map(({ name }) => name))).toEqual([
      ["shop/web", "shop/orders", "ledger/ledger"],
    ]);
  });

  test("holds where only so many hops are looked at, and where the chain is broken", () => {
    const direct = WAY.replace("}}", ", hops: 1}}");
    expect(outcome([LEDGER_FOR_ORDERS, ORDERS_FOR_WEB, invariant(direct)]).result).toBe("holds");
    expect(outcome([LEDGER_FOR_ORDERS, invariant(WAY)]).result).toBe("holds");
    const otherPort = WAY.replace("ledger/ledger", "ledger/ledger:9999");
    expect(outcome([LEDGER_FOR_ORDERS, ORDERS_FOR_WEB, invariant(otherPort)]).result).toBe("holds");
  });

  test("says nothing without workloads whose identity is known", () => {
    const { documents, invariants } = read(LEDGER_FOR_ORDERS, invariant(WAY.replace("shop/web", "ledger/ledger")));
    const workloads = workloadsNamedBy(documents, settings);
    expect(prove(invariants, { documents, settings, workloads })[0]?.result).toBe("vacuous");
  });
});

test.each([
  ["{}", "needs either `never`"],
  ["{never: []}", "must not be an empty list"],
  ["{never: [{}], unreachable: {from: [a/b], to: [a/c]}}", "needs either `never`"],
  ["{to: [a/b], unreachable: {from: [a/b], to: [a/c]}}", "`to` goes with `never`"],
  ["{to: [ledger], never: [{}]}", "expected namespace/name"],
  ["{to: [a/b:70000], never: [{}]}", "expected namespace/name"],
  ["{never: [{from: [{source: {principal: [x]}}]}]}", "did you mean `principals`?"],
  ["{unreachable: {from: [], to: [a/b]}}", "must not be an empty list"],
])("an Invariant of %s is a fault", (spec, message) => {
  const { faults, invariants } = parsePolicyFiles([{ path: "i.yaml", text: invariant(spec) }]);
  expect(faults[0]?.message).toContain(message);
  expect(invariants).toEqual([]);
});

test("a breach reaches what may be called, and what that may call", () => {
  const policies = [LEDGER_FOR_ORDERS, allow("shop", "orders", '[{from: [{source: {namespaces: ["shop"]}}]}]')];
  const { blasts, score } = blastRadiusOf(MESH, { documents: read(...policies).documents, settings });
  const reached = blasts.map(({ workload: { name }, reached: ends }) => [
    name,
    ends.map((end) => `${end.workload.name} ${end.hops}`),
  ]);
  expect(reached).toEqual([
    ["shop/web", ["shop/orders 1", "ledger/ledger 2"]],
    ["shop/orders", ["ledger/ledger 1"]],
    ["ledger/ledger", []],
  ]);
  expect(score).toBe(50);
});

test("nobody reaches anybody where nothing is granted, and everybody does where all is", () => {
  const radius = (...policies: readonly string[]): number =>
    blastRadiusOf(MESH, { documents: read(...policies).documents, settings }).score;
  const everywhere =
    "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, namespace: cardea-system}, spec: {rules: [{}]}}";
  expect(blastRadiusOf(MESH, { documents: [], settings }).score).toBe(0);
  expect(radius(everywhere.replace("{rules: [{}]}", "{}"))).toBe(0);
  expect(radius(everywhere)).toBe(100);
});

function flips(before: readonly string[], after: readonly string[]) {
  return diffPolicies({
    before: read(...before).documents,
    after: read(...after).documents,
    settings,
    workloads: MESH,
  });
}

function rules(operation: string): string {
  return allow("shop", "orders", `[{to: [{operation: ${operation}}]}]`);
}

describe("a comparison of two versions", () => {
  test("finds nothing where a rule is only written in another way", () => {
    const one = rules('{paths: ["/a", "/b"], methods: ["GET"]}');
    const other = allow(
      "shop",
      "orders",
      '[{to: [{operation: {methods: ["GET"], paths: ["/b"]}}, {operation: {paths: ["/a"], methods: ["GET"]}}]}]',
    );
    expect(flips([one], [other]).flips).toEqual([]);
  });

  test("finds both what a wider grant lets in and what a narrower one shuts out", () => {
    const found = flips(
      [rules('{paths: ["/a/*"], methods: ["GET"]}')],
      [rules('{paths: ["/a/{*}"], methods: ["GET", "PUT"]}')],
    );
    const said = found.flips.map(({ change, examples }) => [change, examples[0]!.method, examples[0]!.path]);
    expect(said).toContainEqual(["newly-allowed", "PUT", "/a/x"]);
    expect(said).toContainEqual(["newly-denied", "GET", "/a/"]);
  });

  test("gives an example for each operation that a rule loses", () => {
    const two = allow(
      "shop",
      "orders",
      '[{to: [{operation: {methods: ["GET"], paths: ["/a"]}}, {operation: {methods: ["POST"], paths: ["/b"]}}]}]',
    );
    const [flip, ...others] = flips([two], [rules('{paths: ["/c"]}')]).flips.filter(
      ({ change }) => change === "newly-denied",
    );
    expect(others).toEqual([]);
    expect(new Set(flip!.examples.map(({ method, path }) => `${method} ${path}`))).toEqual(
      new Set(["GET /a", "POST /b"]),
    );
  });

  test("finds a DENY that shadows a grant, and names both rules", () => {
    const grant = rules('{paths: ["/*"]}');
    const deny = allow("shop", "orders", '[{from: [{source: {notNamespaces: ["shop"]}}]}]', "DENY");
    const [flip, ...others] = flips([grant], [grant, deny]).flips;
    expect(others).toEqual([]);
    expect(flip).toMatchObject({ change: "newly-denied", before: { rule: 0 }, after: { policy: "shop/orders-deny" } });
    expect(flip!.examples.map(({ principal }) => principal)).not.toContain(WEB.principal);
    expect(flip!.examples.map(({ principal }) => principal)).toContain(null);
  });
});

test("the client that trusted proxies name is another than who connects", () => {
  const rule = '{from: [{source: {remoteIpBlocks: ["203.0.113.0/24"]}}]}';
  const only = invariant('{to: [ledger/ledger], never: [{from: [{source: {notIpBlocks: ["203.0.113.0/24"]}}]}]}');
  const { documents, invariants } = read(allow("ledger", "ledger", `[${rule}]`), only);
  const proofWith = (numTrustedProxies: number) =>
    prove(invariants, { documents, settings: { ...settings, numTrustedProxies }, workloads: MESH })[0]!;
  expect(proofWith(0).result).toBe("holds");
  const { result, counterexamples } = proofWith(1);
  expect(result).toBe("broken");
  expect(counterexamples[0]?.facts.remoteIp).toMatch(/^203\.0\.113\./);
});
