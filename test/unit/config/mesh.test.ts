import { expect, test } from "vitest";
import { type Mesh, parseMesh } from "../../../src/config/mesh.ts";
import { type Fault, formatFault, locatePlain } from "../../../src/core/located.ts";

const SHOP = { name: "orders", namespace: "shop", app: { command: ["node", "orders.js"] }, ports: [{ port: 8080 }] };

function read(spec: object): { mesh: Mesh | null; faults: string[] } {
  const faults: Fault[] = [];
  const document = { apiVersion: "cardea.dev/v1", kind: "Mesh", metadata: { name: "local" }, spec };
  const mesh = parseMesh(locatePlain(document), { file: "mesh.yaml" }, faults);
  return { mesh, faults: faults.map(formatFault) };
}

test("a mesh file that says nothing has the defaults of the design", () => {
  expect(read({}).mesh).toEqual({
    name: "local",
    settings: {
      trustDomain: "cluster.local",
      trustDomainAliases: [],
      rootNamespace: "cardea-system",
      enforcement: "ENFORCE",
      defaultAction: "DENY",
      pathNormalization: "BASE",
      numTrustedProxies: 0,
      extensionProviders: [],
    },
    policies: "policies",
    policiesGit: null,
    certTtlSec: 3600,
    controlPort: null,
    protocolDetectionTimeoutMs: 1_000,
    flowStore: true,
    flowSampleOneIn: 1,
    tracing: null,
    jwks: { allowHttp: false, allowAddresses: [], caFile: null },
    services: [],
  });
});

test("a service's account and app label are its name unless told", () => {
  const { mesh } = read({ services: [SHOP, { ...SHOP, name: "web", serviceAccount: "front", labels: { tier: "1" } }] });
  expect(mesh?.services[0]).toMatchObject({ serviceAccount: "orders", labels: { app: "orders" }, enforcement: null });
  expect(mesh?.services[0]?.ports).toEqual([{ port: 8080, protocol: "AUTO" }]);
  expect(mesh?.services[1]).toMatchObject({ serviceAccount: "front", labels: { tier: "1" } });
});

test("a caller serves nothing, and so needs no app", () => {
  expect(read({ services: [{ name: "cron", namespace: "shop" }] }).mesh?.services[0]).toMatchObject({
    app: null,
    ports: [],
  });
});

test.each([
  ["orders", "shop"],
  ["orders.shop", "web"],
  ["orders.shop.svc", "web"],
  ["orders.shop.svc.cluster.local", "web"],
])("an upstream may be called %s from the namespace %s", (service, namespace) => {
  const web = { ...SHOP, name: "web", namespace, upstreams: [{ service, port: 8080 }] };
  const { mesh, faults } = read({ services: [SHOP, web] });
  expect(faults).toEqual([]);
  expect(mesh?.services[1]?.upstreams).toEqual([{ name: "orders", service, port: 8080, localPort: null }]);
});

test.each<[string, object, string]>([
  ["an unknown field", { polices: "p" }, "spec.polices: unknown field; did you mean `policies`?"],
  ["a wrong enforcement", { enforcement: "AUDITT" }, "did you mean `AUDIT`?"],
  ["a trust domain in capitals", { trustDomain: "Cluster.Local" }, "spec.trustDomain"],
  ["tracing to nowhere", { tracing: { samplingPercentage: 5 } }, "spec.tracing.endpoint"],
  [
    "tracing to what is no address",
    { tracing: { endpoint: "collector:4317" } },
    "spec.tracing: expected an address like",
  ],
  ["more than all traces", { tracing: { endpoint: "http://c:1", samplingPercentage: 101 } }, "a number from 0 to 100"],
  ["a share of traces in words", { tracing: { endpoint: "http://c:1", samplingPercentage: "all" } }, "from 0 to 100"],
  ["spans without bound", { tracing: { endpoint: "http://c:1", requestsPerSecond: 0 } }, "from 1 to 10000"],
  [
    "a protocol of tracing that nobody speaks",
    { tracing: { endpoint: "http://c:1", protocol: "zipkin" } },
    "one of grpc",
  ],
  ["a certificate that lives too short", { workloadCertTtlSec: 1 }, "expected a whole number from 4 to 3600"],
  ["a certificate that lives too long", { workloadCertTtlSec: 86_400 }, "expected a whole number from 4 to 3600"],
  [
    "a service with ports and no app",
    { services: [{ name: "a", namespace: "b", ports: [{ port: 80 }] }] },
    "spec.services[0].app: is required to serve its ports",
  ],
  ["a name that DNS has not", { services: [{ ...SHOP, name: "Orders!" }] }, "spec.services[0].name: expected a name"],
  ["a port that is none", { services: [{ ...SHOP, ports: [{ port: 70_000 }] }] }, "from 1 to 65535"],
  ["a port given twice", { services: [{ ...SHOP, ports: [{ port: 1 }, { port: 1 }] }] }, "1 is given twice"],
  [
    "a protocol that we do not speak",
    { services: [{ ...SHOP, ports: [{ port: 1, protocol: "UDP" }] }] },
    "HTTP, HTTP2, GRPC, TCP",
  ],
  ["a service given twice", { services: [SHOP, SHOP] }, "spec.services[1]: the service orders.shop is given twice"],
  [
    "an app that is both a command and an address",
    { services: [{ ...SHOP, app: { command: ["x"], address: "127.0.0.1:1" } }] },
    "needs either `command` or `address`",
  ],
  ["an app that is neither", { services: [{ ...SHOP, app: {} }] }, "needs either `command` or `address`"],
  ["an app by name", { services: [{ ...SHOP, app: { address: "example.com:80" } }] }, "expected an address like"],
  [
    "an address without a port to serve",
    { services: [{ ...SHOP, ports: [], app: { address: "127.0.0.1:1" } }] },
    "one port",
  ],
  [
    "an upstream that is no service",
    { services: [{ ...SHOP, upstreams: [{ service: "ledgr.ledger", port: 1 }] }] },
    "spec.services[0].upstreams[0]: no service of this file is called ledgr.ledger",
  ],
  [
    "an upstream's bare name from another namespace",
    { services: [SHOP, { ...SHOP, namespace: "web", name: "web", upstreams: [{ service: "orders", port: 8080 }] }] },
    "no service of this file is called orders",
  ],
  [
    "an upstream's port that is not declared",
    { services: [{ ...SHOP, upstreams: [{ service: "orders", port: 81 }] }] },
    "orders.shop has no port 81",
  ],
])("%s is refused", (_, spec, message) => {
  const { mesh, faults } = read(spec);
  expect(mesh).toBeNull();
  expect(faults.join("\n")).toContain(message);
});

test("tracing has the defaults of the design, and any share", () => {
  const { mesh } = read({ tracing: { endpoint: "http://collector:4317" } });
  expect(mesh!.tracing).toEqual({
    endpoint: { url: "http://collector:4317/", protocol: "grpc" },
    samplingPercentage: 1,
    requestsPerSecond: 100,
  });
  const asked = { endpoint: "https://otel.example", protocol: "http/protobuf", samplingPercentage: 0.25 };
  expect(read({ tracing: asked }).mesh!.tracing).toMatchObject({
    endpoint: { url: "https://otel.example/v1/traces" },
    samplingPercentage: 0.25,
  });
});

test("every fault of a file is named at once", () => {
  const { faults } = read({
    enforcement: "OFF",
    services: [
      { ...SHOP, name: "A" },
      { ...SHOP, ports: [{ port: 0 }] },
    ],
  });
  expect(faults).toHaveLength(3);
});
