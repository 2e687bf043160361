import { describe, expect, test } from "vitest";
import { spiffeIdFor } from "../../../src/core/spiffe-id.ts";
import { checkPolicies, type PolicyCheckResult } from "../../../src/policy/analysis/check/check-policies.ts";
import type { KnownWorkload } from "../../../src/policy/analysis/known-workload.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../../../src/policy/mesh-settings.ts";
import { policyOf } from "../../support/policy-arbitraries.ts";
import { ALLOW_ALL, allow, deny, from, policy, to, when } from "../../support/policy-world.ts";

const NOW_MS = Date.UTC(2026, 10, 23, 12);

interface Options {
  readonly settings?: Partial<MeshSettings>;
  readonly workloads?: readonly KnownWorkload[];
  readonly stepsMax?: number;
}

function checked(documents: readonly object[], { settings, workloads, stepsMax }: Options = {}): PolicyCheckResult {
  const policies = documents.map(policyOf);
  return checkPolicies({
    about: policies,
    documents: policies,
    settings: { ...DEFAULT_MESH_SETTINGS, ...settings },
    workloads: workloads ?? null,
    nowMs: NOW_MS,
    stepsMax: stepsMax ?? 100_000_000,
  });
}

/** `code namespace/policy field`, without the part that all fields begin with. */
function check(documents: readonly object[], options: Options = {}): readonly string[] {
  const { findings } = checked(documents, options);
  return findings.map(({ code, policy: id, field }) => `${code} ${id} ${field.replace("spec.rules", "")}`);
}

const BY_WEB = from({ principals: ["cluster.local/ns/shop/sa/web"] });
const BY_BATCH = from({ principals: ["cluster.local/ns/shop/sa/batch"] });
const web = (operation: object): object => ({ ...BY_WEB, ...to(operation) });
const inDryRun = (name: string, spec: object): object => {
  const document = policy(name, spec) as { metadata: object };
  return { ...document, metadata: { ...document.metadata, annotations: { "istio.io/dry-run": "true" } } };
};

describe("a rule that others cover is shadowed", () => {
  test.each<[string, object[], string]>([
    ["the same rule twice", [allow(web({ methods: ["GET"] }), web({ methods: ["GET"] }))], "shop/allow [1]"],
    ["a narrow rule behind a wide one", [allow(web({ paths: ["/a*"] }), web({ paths: ["/a/b"] }))], "shop/allow [1]"],
    ["and before it", [allow(web({ paths: ["/a/b"] }), web({ paths: ["/a*"] }))], "shop/allow [0]"],
    [
      "by two rules together",
      [allow(web({ methods: ["GET"] }), web({ notMethods: ["GET"] }), web({ paths: ["/x"] }))],
      "shop/allow [2]",
    ],
    [
      "by a policy without selector in the same namespace",
      [
        policy("wide", { rules: [BY_WEB] }),
        policy("narrow", { selector: { matchLabels: { app: "a" } }, rules: [web({ ports: ["80"] })] }),
      ],
      "shop/narrow [0]",
    ],
    [
      "by a policy of the root namespace",
      [
        policy("cardea-system/wide", { rules: [from({ namespaces: ["shop"] })] }),
        policy("narrow", { rules: [web({ ports: ["80"] })] }),
      ],
      "shop/narrow [0]",
    ],
    ["a DENY rule", [deny(from({ namespaces: ["a"] }), from({ namespaces: ["a", "b"] }))], "shop/deny [0]"],
    ["a template by a prefix", [allow(web({ paths: ["/a/{*}"] }), web({ paths: ["/a/*"] }))], "shop/allow [0]"],
    [
      "an address block by a wider one",
      [allow(from({ ipBlocks: ["10.1.0.0/16"] }), from({ ipBlocks: ["10.0.0.0/8"] }))],
      "shop/allow [0]",
    ],
    ["a dry run of what is enforced", [allow(BY_WEB), inDryRun("z", { rules: [web({ ports: ["1"] })] })], "shop/z [0]"],
    ["requests by what covers other bytes as well", [allow(web({ methods: ["*"] }), BY_WEB)], "shop/allow [0]"],
    [
      "a name of the trust domain by another",
      [allow(BY_WEB, from({ principals: ["old.local/ns/shop/sa/web"] }))],
      "shop/allow [1]",
    ],
  ])("%s", (_name, documents, expected) => {
    const settings = { trustDomainAliases: ["old.local"] as unknown as MeshSettings["trustDomainAliases"] };
    expect(check(documents, { settings })).toEqual([`shadowed-rule ${expected}`]);
  });
});

describe("a rule that changes something is not", () => {
  test.each<[string, object[]]>([
    ["other methods", [allow(web({ methods: ["GET"] }), web({ methods: ["POST"] }))]],
    ["overlapping paths", [allow(web({ paths: ["/a*"] }), web({ paths: ["*b"] }))]],
    ["another caller", [allow(web({ paths: ["/a"] }), { ...BY_BATCH, ...to({ paths: ["/a"] }) })]],
    ["a prefix that ends in a slash", [allow(web({ paths: ["/ab"] }), web({ paths: ["/a/*"] }))]],
    [
      "a template, which takes no odd letters",
      [allow(web({ paths: ["/a/{*}"], ports: ["1"] }), web({ paths: ["/a/*"] }))].map(swap),
    ],
    ["one method too few", [allow(web({ methods: ["GET"] }), web({ methods: ["POST"] }), web({ paths: ["/x"] }))]],
    [
      "a selector that the other lacks",
      [
        policy("a", { selector: { matchLabels: { app: "a" } }, rules: [BY_WEB] }),
        policy("b", { rules: [web({ ports: ["80"] })] }),
      ],
    ],
    ["another namespace", [policy("x/a", { rules: [BY_WEB] }), policy("y/b", { rules: [web({ ports: ["80"] })] })]],
    ["another action", [allow(BY_WEB), policy("z", { action: "AUDIT", rules: [web({ ports: ["1"] })] })]],
    ["enforced, beside a dry run", [inDryRun("a", { rules: [BY_WEB] }), allow(web({ ports: ["1"] }))]],
    ["a policy that allows nothing", [policy("none", {}), allow(web({ methods: ["GET"] }))]],
    [
      "namespaces of any trust domain",
      [allow(from({ namespaces: ["a"], trustDomains: ["far"] }), from({ namespaces: ["a"] }))],
    ],
    [
      "the client's address, beside the connection's",
      [allow(from({ ipBlocks: ["10.0.0.0/8"] }), from({ remoteIpBlocks: ["10.0.0.0/8"] }))],
    ],
    [
      "a header of another name",
      [allow(when("request.headers[x-a]", { values: ["1"] }), when("request.headers[x-b]", { values: ["1"] }))],
    ],
    ["a host with a port", [allow(web({ hosts: ["a"] }), web({ hosts: ["a:*"] }))]],
    ["a DENY with a port less", [deny(web({ ports: ["1", "2"] }), web({ ports: ["2", "3"] }))]],
    [
      "a DENY beside an ALLOW that it cuts",
      [deny(web({ ports: ["1"], paths: ["/admin*"] })), allow(web({ ports: ["1"] }))],
    ],
  ])("%s", (_name, documents) => {
    expect(check(documents)).toEqual([]);
  });

  /** The wide rule is not covered by the narrow one; only a port keeps the narrow one from being covered. */
  function swap(): object {
    return allow(web({ paths: ["/a/{*}"], ports: ["1"] }), web({ paths: ["/a/*"], ports: ["2"] }));
  }
});

describe("an ALLOW rule that DENY rules take away whole is unreachable", () => {
  test.each<[string, object[]]>([
    ["by the same rule", [deny(web({ ports: ["1"] })), allow(web({ ports: ["1"] }))]],
    [
      "by a wider one of the root namespace",
      [
        policy("cardea-system/no", { action: "DENY", rules: [from({ namespaces: ["shop"] })] }),
        allow(web({ ports: ["1"] })),
      ],
    ],
    ["by an exception that does not hold it", [deny(from({ notNamespaces: ["ops"] })), allow(web({ ports: ["1"] }))]],
  ])("%s", (_name, documents) => {
    expect(check(documents)).toEqual(["unreachable-rule shop/allow [0]"]);
  });

  test.each<[string, object[]]>([
    [
      "all but one method",
      [deny(web({ notMethods: ["GET"], ports: ["1"] })), allow(web({ ports: ["1"], methods: ["GET", "PUT"] }))],
    ],
    ["all but one caller", [deny(from({ notNamespaces: ["shop"] })), allow(web({ ports: ["1"] }))]],
    [
      "a dry run takes nothing away",
      [inDryRun("no", { action: "DENY", rules: [BY_WEB] }), allow(web({ ports: ["1"] }))],
    ],
    ["AUDIT takes nothing away", [policy("a", { action: "AUDIT", rules: [BY_WEB] }), allow(web({ ports: ["1"] }))]],
    [
      "other workloads",
      [
        policy("no", { action: "DENY", selector: { matchLabels: { app: "a" } }, rules: [BY_WEB] }),
        allow(web({ ports: ["1"] })),
      ],
    ],
  ])("but not: %s", (_name, documents) => {
    expect(check(documents)).toEqual([]);
  });
});

describe("a rule that nothing can match", () => {
  test.each<[string, object, string]>([
    [
      "values and their exceptions",
      allow(web({ methods: ["GET"], notMethods: ["G*"] })),
      "contradicting-clauses shop/allow [0].to[0].operation.notMethods",
    ],
    [
      "an account of another namespace",
      allow({ ...from({ namespaces: ["a"], principals: ["cluster.local/ns/b/sa/x"] }) }),
      "contradicting-clauses shop/allow [0].from[0].source.namespaces",
    ],
    [
      "two conditions",
      allow(when("destination.port", { values: ["1"], notValues: ["1", "2"] })),
      "contradicting-clauses shop/allow [0].when[0].notValues",
    ],
    [
      "disjoint blocks",
      allow({ ...from({ ipBlocks: ["10.0.0.0/8"] }), ...when("source.ip", { values: ["11.0.0.0/8"] }) }),
      "contradicting-clauses shop/allow [0].when[0].values",
    ],
    [
      "of a DENY: it protects nothing",
      deny(web({ ports: ["1"], paths: ["/admin"], notPaths: ["/a*"] })),
      "deny-never-matches shop/deny [0].to[0].operation.notPaths",
    ],
    [
      "one alternative of two",
      allow({ from: [{ source: { namespaces: ["a"], notNamespaces: ["a*"] } }, { source: { namespaces: ["b"] } }] }),
      "contradicting-clauses shop/allow [0].from[0]",
    ],
  ])("%s", (_name, document, expected) => {
    expect(check([document])).toEqual([expected]);
  });

  test.each<[string, object, readonly string[]]>([
    [
      "ALLOW: of each value alone",
      allow(web({ paths: ["/a/../b"] })),
      ["value-never-matches shop/allow [0].to[0].operation.paths[0]"],
    ],
    [
      "DENY: of the rule as well",
      deny(web({ paths: ["/a/../b"], ports: ["1"] })),
      [
        "value-never-matches shop/deny [0].to[0].operation.paths[0]",
        "deny-never-matches shop/deny [0].to[0].operation.paths",
      ],
    ],
  ])("because of its values is told of once, %s", (_name, document, expected) => {
    expect(check([document])).toEqual(expected);
  });

  test.each<[string, object]>([
    ["an exception inside", allow(web({ paths: ["/a*"], notPaths: ["/a/b*"] }))],
    ["a namespace and an account in it", allow(from({ namespaces: ["a"], principals: ["cluster.local/ns/a/sa/x"] }))],
    [
      "overlapping blocks",
      allow({ ...from({ ipBlocks: ["10.0.0.0/8"] }), ...when("source.ip", { values: ["10.1.0.0/16"] }) }),
    ],
    [
      "addresses that differ behind a proxy",
      allow({ ...from({ ipBlocks: ["10.0.0.0/8"] }), ...when("remote.ip", { values: ["11.0.0.0/8"] }) }),
    ],
    [
      "a method and a header of the same name",
      allow({ ...web({ methods: ["GET"] }), ...when("request.headers[method]", { values: ["PUT"] }) }),
    ],
    ["two alternatives", allow({ to: [{ operation: { methods: ["GET"] } }, { operation: { methods: ["PUT"] } }] })],
    ["a DENY with an exception", deny(web({ ports: ["1"], paths: ["/admin*"], notPaths: ["/admin/health"] }))],
  ])("but not: %s", (_name, document) => {
    expect(check([document])).toEqual([]);
  });
});

describe("a value that nothing can have", () => {
  const FIELD = "shop/allow [0].to[0].operation";
  test.each<[string, object, Partial<MeshSettings>, string]>([
    ["dot segments", { paths: ["/a/../b", "/b"] }, {}, `value-never-matches ${FIELD}.paths[0]`],
    [
      "two slashes where they are merged",
      { paths: ["/b", "/a//b"] },
      { pathNormalization: "MERGE_SLASHES" },
      `value-never-matches ${FIELD}.paths[1]`,
    ],
    [
      "an escaped slash where it is decoded",
      { paths: ["/a%2Fb", "/b"] },
      { pathNormalization: "DECODE_AND_MERGE_SLASHES" },
      `value-never-matches ${FIELD}.paths[0]`,
    ],
    ["an escape of a plain letter", { paths: ["/%61", "/b"] }, {}, `value-never-matches ${FIELD}.paths[0]`],
    ["a method with a space", { methods: ["GET", "PUT "] }, {}, `value-never-matches ${FIELD}.methods[1]`],
  ])("%s", (_name, operation, settings, expected) => {
    expect(check([allow(web(operation))], { settings })).toEqual([expected]);
  });

  test.each<[string, object, Partial<MeshSettings>]>([
    ["two slashes where they are kept", { paths: ["/a//b"] }, {}],
    ["an escaped slash where it is kept", { paths: ["/a%2Fb"] }, {}],
    ["dots inside of a name", { paths: ["/a..b/.well-known"] }, {}],
    ["dot segments where nothing is normalised", { paths: ["/a/../b"] }, { pathNormalization: "NONE" }],
    ["an escape that must stay", { paths: ["/%7B"] }, {}],
    ["methods of one's own", { methods: ["X-PURGE"] }, {}],
    ["templates", { paths: ["/a/{*}/b/{**}"] }, { pathNormalization: "DECODE_AND_MERGE_SLASHES" }],
  ])("but not: %s", (_name, operation, settings) => {
    expect(check([allow(web(operation))], { settings })).toEqual([]);
  });
});

describe("a rule that asks nothing is too broad, in whatever words", () => {
  test.each<[string, object]>([
    ["no clause", ALLOW_ALL],
    ["every path", policy("allow-all", { rules: [to({ paths: ["/*", "*"] })] })],
    ["every identity", policy("allow-all", { rules: [from({ principals: ["*"] })] })],
    [
      "this and all others",
      policy("allow-all", {
        rules: [{ to: [{ operation: { methods: ["GET"] } }, { operation: { notMethods: ["GET"] } }] }],
      }),
    ],
  ])("%s", (_name, document) => {
    expect(check([document])).toEqual(["allows-everybody shop/allow-all [0]"]);
  });

  test.each<[string, object]>([
    ["one port", policy("p", { rules: [to({ ports: ["8080"] })] })],
    ["paths below one", policy("p", { rules: [to({ paths: ["/public/*"] })] })],
    ["one trust domain", policy("p", { rules: [from({ principals: ["cluster.local/*"] })] })],
    ["a namespace", policy("p", { rules: [from({ namespaces: ["*"] })] })],
    ["an exception", policy("p", { rules: [to({ notMethods: ["DELETE"] })] })],
    ["a DENY of all", policy("p", { action: "DENY", rules: [{}] })],
    ["an AUDIT of all", policy("p", { action: "AUDIT", rules: [{}] })],
  ])("but not: %s", (_name, document) => {
    expect(check([document])).toEqual([]);
  });
});

const workload = (name: string, ports: KnownWorkload["ports"]): KnownWorkload => {
  const [namespace, app] = name.split("/") as [string, string];
  const principal = spiffeIdFor(DEFAULT_MESH_SETTINGS.trustDomain, namespace, app);
  return { name, namespace, labels: { app }, principal, ports, hosts: [] };
};
const MESH = [
  workload("shop/web", [{ port: 8080, protocols: ["http"] }]),
  workload("shop/db", [
    { port: 5432, protocols: ["tcp"] },
    { port: 9090, protocols: ["http"] },
  ]),
  workload("ops/auto", [{ port: 7000, protocols: ["http", "tcp"] }]),
];
const on = (app: string, spec: object): object => policy("p", { selector: { matchLabels: { app } }, ...spec });

describe("against a mesh that is known", () => {
  test.each<[string, object, string]>([
    [
      "a selector that matches nothing",
      on("wbe", { rules: [BY_WEB] }),
      "selects-nothing shop/p spec.selector.matchLabels",
    ],
    [
      "a namespace without workloads",
      policy("away/p", { rules: [BY_WEB] }),
      "selects-nothing away/p metadata.namespace",
    ],
    [
      "a port that nobody has",
      on("web", { rules: [web({ ports: ["8080", "80"] })] }),
      "unknown-port shop/p [0].to[0].operation.ports[1]",
    ],
    [
      "a caller that is not there",
      on("web", { rules: [from({ principals: ["cluster.local/ns/shop/sa/wbe"] })] }),
      "unknown-caller shop/p [0].from[0].source.principals[0]",
    ],
    [
      "a namespace of nobody",
      on("web", { rules: [from({ namespaces: ["shop", "shpo"] })] }),
      "unknown-caller shop/p [0].from[0].source.namespaces[1]",
    ],
    [
      "an account of nobody",
      on("web", { rules: [from({ serviceAccounts: ["db", "bd"] })] }),
      "unknown-caller shop/p [0].from[0].source.serviceAccounts[1]",
    ],
    [
      "HTTP asked of other bytes",
      on("db", { rules: [web({ ports: ["5432"], methods: ["GET"] })] }),
      "http-on-tcp shop/p [0]",
    ],
    [
      "a DENY whose HTTP clause is dropped",
      on("db", { action: "DENY", rules: [web({ ports: ["5432"], methods: ["GET"] })] }),
      "http-on-tcp shop/p [0]",
    ],
  ])("%s", (_name, document, expected) => {
    expect(check([document], { workloads: MESH })).toEqual([expected]);
    // Without the mesh nothing of it is known.
    expect(check([document])).toEqual([]);
  });

  test.each<[string, object]>([
    ["what is there", on("web", { rules: [web({ ports: ["8080"] })] })],
    ["a namespace with workloads", policy("ops/p", { rules: [BY_WEB] })],
    ["the root namespace", policy("cardea-system/p", { rules: [BY_WEB] })],
    ["a caller of another trust domain", on("web", { rules: [from({ principals: ["far.example/ns/a/sa/b"] })] })],
    ["a caller by a pattern", on("web", { rules: [from({ principals: ["*/sa/nobody"] })] })],
    [
      "a namespace of another trust domain",
      on("web", { rules: [from({ namespaces: ["away"], trustDomains: ["far.example"] })] }),
    ],
    ["HTTP where a port has it", on("db", { rules: [web({ methods: ["GET"] })] })],
    ["HTTP on a port that declares nothing", policy("ops/p", { rules: [web({ methods: ["GET"], ports: ["7000"] })] })],
    ["callers and ports of other bytes", on("db", { rules: [web({ ports: ["5432"] })] })],
    ["an AUDIT of other bytes", on("db", { action: "AUDIT", rules: [web({ ports: ["5432"], methods: ["GET"] })] })],
    ["a port that is excepted", on("web", { rules: [web({ notPorts: ["80"], methods: ["GET"] })] })],
  ])("but not: %s", (_name, document) => {
    expect(check([document], { workloads: MESH })).toEqual([]);
  });
});

test("a finding names the rules that cover, and the line of the policy", () => {
  const { findings } = checked([allow(web({ paths: ["/a*"] }), web({ paths: ["/a/b"] }))]);
  expect(findings[0]!.message).toBe(
    "changes nothing: all that it matches is matched by rule 0 of shop/allow (test.yaml) as well",
  );
});

test("what is more than may be looked at is counted, and nothing found of it", () => {
  const documents = [allow(web({ paths: ["/a*"] }), web({ paths: ["/a/b"] }))];
  expect(checked(documents, { stepsMax: 10 })).toEqual({ findings: [], unknown: 2 });
});
