import { describe, expect, it, test } from "vitest";
import { locatePlain } from "../../../src/core/located.ts";
import { compilePolicy } from "../../../src/policy/compile.ts";
import { createCustomMatcher } from "../../../src/policy/custom-match.ts";
import { decideRequest } from "../../../src/policy/decide.ts";
import { type AuthorizationPolicy, parseAuthorizationPolicy } from "../../../src/policy/document.ts";
import { explainDecision } from "../../../src/policy/explain.ts";
import { EXTENSION_PROVIDERS } from "../../../src/policy/extension-provider.ts";
import { interpret } from "../../../src/policy/interpret.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../../../src/policy/mesh-settings.ts";
import { providerOf } from "../../support/asked-outside.ts";
import { policy, WEB_MAY } from "../../support/test-mesh.ts";

const GRPC = { service: "authz.shop.svc.cluster.local", port: 9000 };
const WORKLOAD = { namespace: "shop", labels: { app: "orders" } };
const PEER = {
  principal: "spiffe://cluster.local/ns/shop/sa/web",
  sourceIp: "10.0.0.1",
  remoteIp: "10.0.0.1",
  destinationIp: "10.0.0.2",
  destinationPort: 8080,
  sni: null,
} as Parameters<typeof decideRequest>[1];

describe("an extension provider is refused", () => {
  it.each<[string, object, string]>([
    ["that fails open", { name: "a", envoyExtAuthzGrpc: { ...GRPC, failOpen: true } }, "failOpen must be false"],
    ["without a service", { name: "a", envoyExtAuthzGrpc: { port: 1 } }, "service is required"],
    ["with a port that is none", { name: "a", envoyExtAuthzGrpc: { ...GRPC, port: 70_000 } }, "port"],
    ["of two kinds", { name: "a", envoyExtAuthzGrpc: GRPC, envoyExtAuthzHttp: GRPC }, "needs either envoyExtAuthzGrpc"],
    ["of no kind", { name: "a" }, "needs either envoyExtAuthzGrpc"],
    ["of another kind", { name: "a", zipkin: {} }, "zipkin"],
    ["with a name that is none", { name: "A b", envoyExtAuthzGrpc: GRPC }, "expected a name"],
    ["that may take longer than a request waits", { name: "a", envoyExtAuthzGrpc: { ...GRPC, timeout: "10m" } }, "30s"],
    ["whose status on error allows", { name: "a", envoyExtAuthzGrpc: { ...GRPC, statusOnError: "200" } }, "400 to 599"],
    ["with a single *", { name: "a", envoyExtAuthzHttp: { ...GRPC, headersToUpstreamOnAllow: ["*"] } }, "a single *"],
    ["with a path that is none", { name: "a", envoyExtAuthzHttp: { ...GRPC, pathPrefix: "check" } }, "begins with /"],
    ["with HTTP's fields on gRPC", { name: "a", envoyExtAuthzGrpc: { ...GRPC, pathPrefix: "/x" } }, "pathPrefix"],
    [
      "with an added header that is two",
      { name: "a", envoyExtAuthzHttp: { ...GRPC, includeAdditionalHeadersInCheck: { a: "b\r\nc: d" } } },
      "no header",
    ],
    [
      "that would choose routes anew",
      { name: "a", envoyExtAuthzGrpc: { ...GRPC, clearRouteCache: true } },
      "no meaning",
    ],
    [
      "with the old list of headers",
      { name: "a", envoyExtAuthzHttp: { ...GRPC, includeHeadersInCheck: ["a"] } },
      "deprecated",
    ],
    [
      "that wants more of a body than is held",
      { name: "a", envoyExtAuthzGrpc: { ...GRPC, includeRequestBodyInCheck: { maxRequestBytes: 1e9 } } },
      "maxRequestBytes",
    ],
  ])("%s", (_name, document, message) => {
    expect(() => providerOf(document)).toThrow(message);
  });

  it("whose name another one has", () => {
    const faults: Parameters<typeof EXTENSION_PROVIDERS>[1]["faults"] = [];
    const provider = { name: "a", envoyExtAuthzGrpc: GRPC };
    EXTENSION_PROVIDERS(locatePlain([provider, provider]), { file: "mesh.yaml", field: "extensionProviders", faults });
    expect(faults.map(({ message }) => message)).toEqual(["has two providers of the name a"]);
  });
});

test("an extension provider is written out as it was read", () => {
  const document = { name: "a", envoyExtAuthzGrpc: { ...GRPC, timeout: "2s", failOpen: false } };
  const provider = providerOf(document);
  expect(provider).toMatchObject({ protocol: "grpc", timeoutMs: 2_000, statusOnError: 403, body: null });
  expect(JSON.parse(JSON.stringify(provider))).toEqual(document);
});

test.each([
  ["authz.shop.svc.cluster.local", "authz.shop.svc.cluster.local"],
  ["tools/authz.example.com", "authz.example.com"],
])("a service by its host, with a namespace before it or not: %s", (service, host) => {
  expect(providerOf({ name: "a", envoyExtAuthzGrpc: { service, port: 1 } }).service).toBe(host);
});

describe("where a server would be asked", () => {
  const ask = policyOf("ask", {
    action: "CUSTOM",
    provider: { name: "opa" },
    rules: [{ to: [{ operation: { paths: ["/admin"] } }] }],
  });
  const documents = [ask, parse(WEB_MAY)];
  const settings = withProviders({ name: "opa", envoyExtAuthzGrpc: GRPC });

  it("the policies decide as if it had allowed, and it is said that it would be asked", () => {
    const decision = decideRequest(compilePolicy(documents, WORKLOAD, settings), PEER, requestFor("/admin"));
    expect(decision).toMatchObject({ allow: true, policy: "shop/web-may" });
    const matcher = createCustomMatcher(documents, WORKLOAD, settings);
    expect(matcher(PEER, requestFor("/admin"))).toEqual({
      policy: "shop/ask",
      rule: 0,
      provider: "opa",
      canBeAsked: true,
    });
    expect(matcher(PEER, requestFor("/other"))).toBeNull();
  });

  it("of bytes, an HTTP clause does not keep it from being asked, as with DENY", () => {
    expect(createCustomMatcher(documents, WORKLOAD, settings)(PEER, null)).toMatchObject({ canBeAsked: true });
    const http = withProviders({ name: "opa", envoyExtAuthzHttp: GRPC });
    expect(createCustomMatcher(documents, WORKLOAD, http)(PEER, null)).toMatchObject({ canBeAsked: false });
  });

  it.each<[string, MeshSettings, readonly AuthorizationPolicy[]]>([
    ["no provider of that name", DEFAULT_MESH_SETTINGS, documents],
    [
      "two providers",
      withProviders({ name: "opa", envoyExtAuthzGrpc: GRPC }, { name: "b", envoyExtAuthzGrpc: GRPC }),
      [
        ...documents,
        policyOf("b", {
          action: "CUSTOM",
          provider: { name: "b" },
          rules: [{ to: [{ operation: { paths: ["/b"] } }] }],
        }),
      ],
    ],
  ])("but there is %s, what matches is denied, by compiler and interpreter alike", (_name, mesh, all) => {
    const request = requestFor("/admin");
    const question = { workload: WORKLOAD, settings: mesh, peer: PEER, request };
    const decision = decideRequest(compilePolicy(all, WORKLOAD, mesh), PEER, request);
    expect(decision).toMatchObject({ allow: false, policy: "shop/ask", rule: 0 });
    expect(interpret(all, question)).toEqual(decision);
    expect(createCustomMatcher(all, WORKLOAD, mesh)(PEER, request)).toBeNull();
    expect(explainDecision(all, question).advice).toMatch(/^Nobody can be asked, so what it matches is denied: the /);
    expect(decideRequest(compilePolicy(all, WORKLOAD, mesh), PEER, requestFor("/x")).allow).toBe(true);
  });

  it("another workload may ask another one", () => {
    const elsewhere = policyOf("elsewhere", {
      action: "CUSTOM",
      provider: { name: "b" },
      selector: { matchLabels: { app: "web" } },
      rules: [{}],
    });
    const mesh = withProviders({ name: "opa", envoyExtAuthzGrpc: GRPC }, { name: "b", envoyExtAuthzGrpc: GRPC });
    const all = [...documents, elsewhere];
    expect(createCustomMatcher(all, WORKLOAD, mesh)(PEER, requestFor("/admin"))?.provider).toBe("opa");
    // Both select web: the first by its whole namespace.
    const web = { namespace: "shop", labels: { app: "web" } };
    expect(createCustomMatcher([elsewhere], web, mesh)(PEER, requestFor("/x"))?.provider).toBe("b");
    expect(createCustomMatcher(all, web, mesh)(PEER, requestFor("/x"))).toBeNull();
  });
});

function withProviders(...documents: object[]): MeshSettings {
  return { ...DEFAULT_MESH_SETTINGS, extensionProviders: documents.map(providerOf) };
}

function policyOf(name: string, spec: object): AuthorizationPolicy {
  return parse(policy(name, spec));
}

function parse(raw: object): AuthorizationPolicy {
  const faults: Parameters<typeof parseAuthorizationPolicy>[2] = [];
  const parsed = parseAuthorizationPolicy(locatePlain(raw), { file: "test.yaml" }, faults);
  if (parsed === null) throw new Error(JSON.stringify(faults));
  return parsed;
}

function requestFor(path: string) {
  return { method: "GET", path, host: "orders", header: () => undefined, claims: null };
}
