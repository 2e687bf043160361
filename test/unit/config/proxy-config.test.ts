import { expect, test } from "vitest";
import { parseProxyConfig } from "../../../src/config/proxy-config.ts";

const LOOPBACK = { host: "127.0.0.1", port: 15_101 };
const GOOD = {
  name: "web",
  namespace: "shop",
  serviceAccount: "web",
  trustDomain: "cluster.local",
  labels: { app: "web" },
  control: { address: LOOPBACK, spiffeId: "spiffe://cluster.local/ns/x/sa/cardea-control", rootFile: "/root.pem" },
  joinTokenFile: null,
  outbound: LOOPBACK,
  upstreams: [{ name: "orders", service: "orders.shop", servicePort: 8080, listen: LOOPBACK }],
  inbound: [{ listen: LOOPBACK, port: 8080, protocol: "HTTP", app: LOOPBACK }],
  admin: LOOPBACK,
  metrics: { host: "0.0.0.0", port: 15_120 },
  readiness: { host: "::", port: 15_121 },
  flowFile: null,
  flowCollector: {
    address: { host: "127.0.0.1", port: 15_017 },
    spillFile: "/state/flows/shop.web.spill",
    sampleOneIn: 1,
  },
  tracing: { samplingPercentage: 0.5, requestsPerSecond: 100 },
  hbone: { host: "127.0.0.1", port: 15_108 },
  ownPorts: [15_101],
  logLevel: "info",
  egress: "REGISTRY_ONLY",
  drainTimeoutMs: 5_000,
  protocolDetectionTimeoutMs: 2_000,
  certTtlSec: 3_600,
  enforcement: null,
  redirect: {
    outbound: { host: "0.0.0.0", port: 15_001 },
    inbound: { host: "0.0.0.0", port: 15_006 },
    podIps: ["10.0.0.7"],
    ports: [{ port: 8080, protocol: "HTTP" }],
    opaquePorts: [{ from: 9000, to: 9010 }],
  },
  drainDelayMs: 0,
  workloadSocket: { file: "/state/sockets/shop.web.sock", access: "owner" },
};

function parse(changes: object): unknown {
  return parseProxyConfig(JSON.stringify({ ...GOOD, ...changes }), "web.json");
}

test("a whole bootstrap file is read as it is, and cannot be changed", () => {
  const config = parse({});
  expect(config).toEqual(GOOD);
  expect(Object.isFrozen(config)).toBe(true);
});

test.each<[string, object, string]>([
  ["a mistyped field", { inbund: [] }, "web.json: inbund: unknown field; did you mean `inbound`?"],
  ["an outbound port for all to use", { outbound: { host: "0.0.0.0", port: 1 } }, "outbound.host: expected a loopback"],
  ["an admin port for all to reach", { admin: { host: "10.0.0.1", port: 1 } }, "admin.host: expected a loopback"],
  ["a name in the place of an address", { metrics: { host: "localhost", port: 1 } }, "metrics.host: expected an IP"],
  ["an identity that is none", { control: { ...GOOD.control, spiffeId: "spiffe://X" } }, "control.spiffeId: "],
  ["a trust domain that is none", { trustDomain: "a/b" }, "trustDomain: "],
  ["more than all traces", { tracing: { samplingPercentage: 100.1, requestsPerSecond: 1 } }, "a number from 0 to 100"],
  ["spans without bound", { tracing: { samplingPercentage: 1, requestsPerSecond: 0 } }, "from 1 to 10000"],
  ["no bound on spans", { tracing: { samplingPercentage: 1 } }, "tracing.requestsPerSecond"],
  [
    "a relative file for what waits",
    { flowCollector: { address: { host: "::1", port: 1 }, spillFile: "s" } },
    "spillFile: expected",
  ],
  ["a relative file", { flowFile: "flows.jsonl" }, "flowFile: expected an absolute path"],
  ["another egress", { egress: "ALLOW_ANY" }, "egress: expected one of REGISTRY_ONLY"],
  ["another enforcement", { enforcement: "OFF" }, "enforcement: expected one of ENFORCE, AUDIT"],
  ["a redirect to nowhere", { redirect: { ...GOOD.redirect, podIps: [] } }, "redirect.podIps: must not be an empty"],
  ["a redirect by name", { redirect: { ...GOOD.redirect, podIps: ["web"] } }, "redirect.podIps[0]: expected an IP"],
  [
    "a socket at a relative path",
    { workloadSocket: { file: "web.sock" } },
    "workloadSocket.file: expected an absolute",
  ],
  [
    "a socket at a path that the kernel would cut",
    { workloadSocket: { file: `/${"x".repeat(103)}` } },
    "workloadSocket.file: a socket's path has 103 bytes at most",
  ],
  [
    "a socket for some",
    { workloadSocket: { file: "/web.sock", access: "group" } },
    "workloadSocket.access: expected one",
  ],
  ["a port too large", { ownPorts: [70_000] }, "ownPorts[0]: expected a whole number"],
  ["an endless drain", { drainTimeoutMs: 1e9 }, "drainTimeoutMs: expected a whole number"],
  ["a protocol that is not served", { inbound: [{ ...GOOD.inbound[0], protocol: "UDP" }] }, "inbound[0].protocol: "],
])("%s is refused", (_, changes, message) => {
  expect(() => parse(changes)).toThrow(
    expect.objectContaining({ code: "bad-input", message: expect.stringContaining(message) as string }),
  );
});

test("what is no JSON is refused with the file's name", () => {
  expect(() => parseProxyConfig("{", "web.json")).toThrow(/^web\.json: is not JSON/);
});
