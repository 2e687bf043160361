import { describe, expect, test } from "vitest";
import { type Fault, locatePlain } from "../../../src/core/located.ts";
import { spiffeIdFor } from "../../../src/core/spiffe-id.ts";
import { checkPolicies } from "../../../src/policy/analysis/check/check-policies.ts";
import type { KnownWorkload } from "../../../src/policy/analysis/known-workload.ts";
import {
  type AuthenticationDocument,
  parseAuthenticationDocument,
} from "../../../src/policy/authentication/document.ts";
import type { AuthenticationKind } from "../../../src/policy/authentication/kinds.ts";
import { lintTelemetries } from "../../../src/policy/authentication/lint-telemetries.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../src/policy/mesh-settings.ts";
import { providerOf } from "../../support/asked-outside.ts";
import { policyOf } from "../../support/policy-arbitraries.ts";
import { deny, from, policy, when } from "../../support/policy-world.ts";

// What policies mean beside RequestAuthentication, PeerAuthentication and the providers of the mesh.

const ORDERS: KnownWorkload = {
  name: "shop/orders",
  namespace: "shop",
  labels: { app: "orders" },
  principal: spiffeIdFor(DEFAULT_MESH_SETTINGS.trustDomain, "shop", "orders"),
  ports: [
    { port: 8080, protocols: ["http"] },
    { port: 5432, protocols: ["tcp"] },
  ],
  hosts: [],
};
const HTTP = providerOf({ name: "opa", envoyExtAuthzHttp: { service: "opa.shop.svc.cluster.local", port: 1 } });
const GRPC = providerOf({ name: "grpc", envoyExtAuthzGrpc: { service: "opa.shop.svc.cluster.local", port: 1 } });

function documentOf(kind: AuthenticationKind, id: string, spec: object): AuthenticationDocument {
  const [namespace, name] = id.split("/");
  const apiVersion = kind === "Telemetry" ? "telemetry.istio.io/v1" : "security.istio.io/v1";
  const faults: Fault[] = [];
  const located = locatePlain({ apiVersion, kind, metadata: { name, namespace }, spec });
  const document = parseAuthenticationDocument(kind, located, { file: `${name}.yaml` }, faults);
  expect(faults).toEqual([]);
  return document!;
}

const RULES = { jwtRules: [{ issuer: "https://id.example" }] };
const users = (id: string, spec: object = {}) => documentOf("RequestAuthentication", id, { ...RULES, ...spec });
const peers = (id: string, spec: object) => documentOf("PeerAuthentication", id, spec);

interface Surroundings {
  readonly authentication?: readonly AuthenticationDocument[] | null;
  readonly workloads?: readonly KnownWorkload[] | null;
  readonly isMeshKnown?: boolean;
}

function check(
  documents: readonly object[],
  { authentication = [], workloads = null, isMeshKnown }: Surroundings = {},
) {
  const policies = documents.map(policyOf);
  const { findings } = checkPolicies({
    about: policies,
    documents: policies,
    settings: { ...DEFAULT_MESH_SETTINGS, extensionProviders: [HTTP, GRPC] },
    workloads,
    authentication,
    isMeshKnown: isMeshKnown ?? true,
    nowMs: null,
    stepsMax: 1_000_000,
  });
  return findings.map(({ code, field, message }) => ({ code, field, message }));
}

const codes = (documents: readonly object[], surroundings: Surroundings = {}) =>
  check(documents, surroundings).map(({ code, field }) => `${code} ${field.replace("spec.rules", "")}`);

const USERS_MAY = policy("users", { rules: [from({ requestPrincipals: ["*"] })] });
const GROUP_MAY = policy("group", { rules: [when("request.auth.claims[groups]", { values: ["admin"] })] });
const ON_A = { to: [{ operation: { paths: ["/a"], ports: ["8080"] } }] };
const SELECTED = { selector: { matchLabels: { app: "orders" } } };

const ask = (name: string, provider: string, rule: object = {}) =>
  policy(name, { action: "CUSTOM", provider: { name: provider }, rules: [rule] });
const mode = (text: string, portLevelMtls?: object) => [
  peers("shop/peers", { ...SELECTED, mtls: { mode: text }, ...(portLevelMtls && { portLevelMtls }) }),
];
const logs = (id: string, spec: object = {}) =>
  documentOf("Telemetry", id, { accessLogging: [{ disabled: true }], ...spec });
const lint = (...documents: readonly AuthenticationDocument[]) =>
  lintTelemetries(documents, "cardea-system").map(({ file, message }) => `${file}: ${message}`);

describe("a rule that asks for end users where no RequestAuthentication is", () => {
  test.each<[string, object, string]>([
    ["ALLOW of principals", USERS_MAY, "it never matches"],
    ["ALLOW of claims", GROUP_MAY, "it never matches"],
    ["DENY of a principal", deny(from({ requestPrincipals: ["a/b"] })), "it denies nothing"],
    ["DENY of all but users", deny(from({ notRequestPrincipals: ["*"] })), "nobody is excepted, and everybody denied"],
    [
      "DENY of who lacks a claim",
      deny(when("request.auth.claims[g]", { notValues: ["a"] })),
      "nobody is excepted, and everybody denied",
    ],
  ])("%s", (_name, document, why) => {
    const found = check([document]);
    expect(found).toMatchObject([{ code: "no-request-authentication" }]);
    expect(found[0]!.message).toContain(why);
  });

  test.each<[string, readonly AuthenticationDocument[]]>([
    ["in another namespace", [users("payments/users")]],
    ["for other labels", [users("shop/users", { selector: { matchLabels: { app: "web" } } })]],
    ["without any rule", [users("shop/users", { jwtRules: [] })]],
  ])("or one %s", (_name, authentication) => {
    expect(
      codes([policy("users", { ...SELECTED, rules: [from({ requestPrincipals: ["*"] })] })], { authentication }),
    ).toEqual(["no-request-authentication [0].from[0].source.requestPrincipals"]);
  });

  test("or one for other labels than those of the workloads that there are", () => {
    const authentication = [users("shop/users", { selector: { matchLabels: { tier: "front" } } })];
    expect(codes([USERS_MAY], { authentication })).toEqual([]);
    expect(codes([USERS_MAY], { authentication, workloads: [ORDERS] })).toEqual([
      "no-request-authentication [0].from[0].source.requestPrincipals",
    ]);
  });

  test.each<[string, object, Surroundings]>([
    ["there is one in the namespace", USERS_MAY, { authentication: [users("shop/users")] }],
    ["there is one of the mesh", GROUP_MAY, { authentication: [users("cardea-system/users")] }],
    [
      "another alternative asks for none",
      policy("p", { rules: [{ from: [{ source: { requestPrincipals: ["*"] } }, { source: { namespaces: ["a"] } }] }] }),
      {},
    ],
    ["it is not known what there is", USERS_MAY, { authentication: null }],
    [
      "an ALLOW rule excepts users",
      policy("p", { rules: [from({ notRequestPrincipals: ["*"], namespaces: ["a"] })] }),
      {},
    ],
  ])("is not found where %s", (_name, document, surroundings) => {
    expect(codes([document], surroundings)).toEqual([]);
  });
});

describe("a CUSTOM policy about which nobody can be asked", () => {
  test("names a provider that the mesh does not have", () => {
    const [found] = check([ask("ask", "opah")]);
    expect(found).toMatchObject({ code: "unknown-provider", field: "spec.provider.name" });
    expect(found!.message).toContain("it has opa, grpc");
  });

  test("names another than the workload's other policy", () => {
    expect(codes([ask("a", "opa", ON_A), ask("b", "grpc")], { workloads: [{ ...ORDERS, ports: null }] })).toEqual([
      "several-providers spec.provider.name",
      "several-providers spec.provider.name",
    ]);
  });

  test("asks over HTTP about the bytes of a port", () => {
    const [found] = check([ask("a", "opa")], { workloads: [ORDERS] });
    expect(found).toMatchObject({ code: "http-provider-on-tcp" });
    expect(found!.message).toContain("shop/orders:5432");
  });

  test.each<[string, readonly object[], Surroundings]>([
    ["its mesh is not known", [ask("a", "x")], { isMeshKnown: false }],
    [
      "it names the ports of requests",
      [ask("a", "opa", { to: [{ operation: { ports: ["8080"] } }] })],
      { workloads: [ORDERS] },
    ],
    ["its provider speaks gRPC", [ask("a", "grpc")], { workloads: [ORDERS] }],
    [
      "others ask the same",
      [ask("a", "grpc", ON_A), ask("b", "grpc", { to: [{ operation: { paths: ["/b"], ports: ["8080"] } }] })],
      { workloads: [ORDERS] },
    ],
  ])("is not found where %s", (_name, documents, surroundings) => {
    expect(codes(documents, surroundings)).toEqual([]);
  });
});

describe("a rule on who calls, where PeerAuthentication lets plaintext in", () => {
  const workloads = [ORDERS];
  const byWeb = from({ namespaces: ["shop"] });

  test("never matches where mutual TLS is off", () => {
    const found = check([policy("p", { rules: [byWeb] })], { workloads, authentication: mode("DISABLE") });
    expect(found).toMatchObject([{ code: "no-identity-there" }]);
    expect(found[0]!.message).toContain("shop/peers says DISABLE for shop/orders:8080");
  });

  test("is got by with plaintext where it takes away", () => {
    const authentication = mode("STRICT", { 8080: { mode: "PERMISSIVE" } });
    const found = check([deny(byWeb)], { workloads, authentication });
    expect(found).toMatchObject([{ code: "plaintext-gets-by" }]);
    expect(found[0]!.message).toContain("shop/orders:8080");
    expect(found[0]!.message).toContain("PERMISSIVE");
  });

  test.each<[string, object, readonly AuthenticationDocument[]]>([
    ["mutual TLS is strict", deny(byWeb), mode("STRICT")],
    ["no document speaks", deny(byWeb), []],
    ["an ALLOW rule passes plaintext callers over", policy("p", { rules: [byWeb] }), mode("PERMISSIVE")],
    ["a DENY rule takes callers without identity as well", deny(from({ notNamespaces: ["shop"] })), mode("PERMISSIVE")],
    [
      "the rule is about another port",
      deny({ ...byWeb, to: [{ operation: { ports: ["5432"] } }] }),
      mode("STRICT", { 8080: { mode: "DISABLE" } }),
    ],
  ])("is not found where %s", (_name, document, authentication) => {
    expect(codes([document], { workloads, authentication })).toEqual([]);
  });
});

describe("Telemetries of one rank", () => {
  test("all but the first by name are passed over, and told", () => {
    const labelled = { selector: { matchLabels: { app: "a" } } };
    expect(lint(logs("shop/b"), logs("shop/a"), logs("shop/c", labelled), logs("shop/d", labelled))).toEqual([
      "b.yaml: is passed over: for the namespace shop shop/a holds, the first by name (a.yaml:1)",
      "d.yaml: is passed over: for the same labels shop/c holds, the first by name (c.yaml:1)",
    ]);
  });

  test("one of the mesh with labels holds for nobody", () => {
    expect(lint(logs("cardea-system/a", { selector: { matchLabels: { app: "a" } } }))[0]).toContain("holds for nobody");
  });

  test("of other ranks none is passed over", () => {
    expect(lint(logs("cardea-system/a"), logs("shop/a"), logs("payments/a"))).toEqual([]);
  });
});
