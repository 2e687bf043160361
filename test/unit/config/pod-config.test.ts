import { describe, expect, test } from "vitest";
import { parsePodConfig } from "../../../src/config/pod-config.ts";
import { containerOf, mustInject, podOf } from "../../support/injected.ts";

const ENV = {
  CARDEA_POD_NAME: "web-1",
  CARDEA_POD_NAMESPACE: "shop",
  CARDEA_SERVICE_ACCOUNT: "web",
  CARDEA_POD_IPS: "10.0.0.7",
  CARDEA_CONTROL_ADDRESS: "cardea-control.cardea-system.svc:15012",
  CARDEA_CONTROL_ID: "spiffe://cluster.local/ns/cardea-system/sa/cardea-control",
};
const LABELS = 'app="web"\npod-template-hash="7d9"\n';

test("the least that a pod says becomes a whole bootstrap, which cannot be changed", () => {
  const { proxy, probes } = parsePodConfig(ENV, LABELS);
  expect(probes).toEqual([]);
  expect(Object.isFrozen(proxy)).toBe(true);
  expect(proxy).toEqual({
    name: "web-1",
    namespace: "shop",
    serviceAccount: "web",
    trustDomain: "cluster.local",
    labels: { app: "web", "pod-template-hash": "7d9" },
    control: {
      address: { host: "cardea-control.cardea-system.svc", port: 15_012 },
      spiffeId: ENV.CARDEA_CONTROL_ID,
      rootFile: "/var/run/secrets/cardea/root-cert.pem",
    },
    joinTokenFile: "/var/run/secrets/tokens/cardea-token",
    outbound: { host: "127.0.0.1", port: 15_002 },
    upstreams: [],
    inbound: [],
    hbone: { host: "0.0.0.0", port: 15_008 },
    admin: { host: "127.0.0.1", port: 15_000 },
    metrics: { host: "0.0.0.0", port: 15_020 },
    readiness: { host: "0.0.0.0", port: 15_021 },
    flowFile: null,
    flowCollector: null,
    tracing: null,
    ownPorts: [15_000, 15_001, 15_002, 15_006, 15_008, 15_020, 15_021],
    logLevel: "info",
    egress: "REGISTRY_ONLY",
    drainTimeoutMs: 5_000,
    drainDelayMs: 0,
    protocolDetectionTimeoutMs: 1_000,
    workloadSocket: null,
    certTtlSec: 3_600,
    enforcement: null,
    redirect: {
      outbound: { host: "0.0.0.0", port: 15_001 },
      inbound: { host: "0.0.0.0", port: 15_006 },
      podIps: ["10.0.0.7"],
      ports: [],
      opaquePorts: [],
    },
  });
});

test("a pod of both families listens on both, one of IPv6 alone has its loopback", () => {
  const both = parsePodConfig({ ...ENV, CARDEA_POD_IPS: "10.0.0.7,fd00::7" }, "").proxy;
  expect([both.metrics.host, both.outbound.host]).toEqual(["::", "127.0.0.1"]);
  const six = parsePodConfig(
    { ...ENV, CARDEA_POD_IPS: "fd00::7", CARDEA_CONTROL_ADDRESS: "[fd00::1]:15012" },
    "",
  ).proxy;
  expect([six.readiness.host, six.admin.host, six.control.address.host]).toEqual(["::", "::1", "fd00::1"]);
});

test("what port names say is read as everywhere else", () => {
  const { redirect } = parsePodConfig(
    { ...ENV, CARDEA_PORTS: "80/http-web,90/grpc,3306,53/udp-dns,9", CARDEA_OPAQUE_PORTS: "1-3" },
    "",
  ).proxy;
  expect(redirect?.ports).toEqual([
    { port: 80, protocol: "HTTP" },
    { port: 90, protocol: "GRPC" },
    { port: 3306, protocol: "TCP" },
    { port: 9, protocol: "AUTO" },
  ]);
  expect(redirect?.opaquePorts).toEqual([{ from: 1, to: 3 }]);
});

test("what injection sets is what is read here", () => {
  const annotations = {
    "cardea.dev/opaque-ports": "9000-9010",
    "cardea.dev/log-level": "warn",
    "cardea.dev/workload-api": "true",
  };
  const probe = { httpGet: { port: "http", path: "/up" } };
  const containers = [{ name: "web", livenessProbe: probe, ports: [{ name: "http", containerPort: 8080 }] }];
  for (const sidecar of ["native", "container"] as const) {
    const { pod } = mustInject(podOf({ containers }, { annotations }), { sidecar });
    const env = containerOf(pod, "cardea-proxy")["env"] as readonly { name: string; value?: string }[];
    const said = Object.fromEntries(env.map(({ name, value }) => [name, value ?? ENV[name as keyof typeof ENV]]));
    const { proxy, probes } = parsePodConfig(said, LABELS);
    expect(proxy).toMatchObject({ name: "web-1", logLevel: "warn", drainDelayMs: sidecar === "native" ? 0 : 5_000 });
    expect(proxy.redirect).toMatchObject({
      ports: [{ port: 8080, protocol: "HTTP" }],
      opaquePorts: [{ from: 9000, to: 9010 }],
    });
    // Where the app was told to look for it.
    const app = containerOf(pod, "web")["env"] as readonly { name: string; value?: string }[];
    const { value } = app.find(({ name }) => name === "SPIFFE_ENDPOINT_SOCKET")!;
    expect(proxy.workloadSocket).toEqual({ file: value!.replace("unix://", ""), access: "everyone" });
    expect(probes.map(({ path }) => path)).toEqual(["/app-health/web/livez"]);
  }
});

test("flow records go to the collector that injection names, without a disk of the pod's", () => {
  const { proxy } = parsePodConfig({ ...ENV, CARDEA_FLOW_COLLECTOR: "cardea-control.cardea-system.svc:4317" }, LABELS);
  expect(proxy.flowCollector).toEqual({
    address: { host: "cardea-control.cardea-system.svc", port: 4_317 },
    spillFile: null,
    sampleOneIn: 1,
  });
});

describe("refused, by the variable's name:", () => {
  test.each<[string, Record<string, string | undefined>, string]>([
    ["a name that is missing", { CARDEA_POD_NAME: undefined }, "CARDEA_POD_NAME: is not set"],
    ["an empty service account", { CARDEA_SERVICE_ACCOUNT: "" }, "CARDEA_SERVICE_ACCOUNT: must not be empty"],
    ["no address yet", { CARDEA_POD_IPS: "" }, "CARDEA_POD_IPS: expected IP addresses"],
    ["an address that is none", { CARDEA_POD_IPS: "10.0.0.7,x" }, 'found "x"'],
    [
      "a control plane without a port",
      { CARDEA_CONTROL_ADDRESS: "control" },
      "CARDEA_CONTROL_ADDRESS: expected host:port",
    ],
    ["a sampling that is none", { CARDEA_FLOW_SAMPLE_ONE_IN: "10%" }, "CARDEA_FLOW_SAMPLE_ONE_IN: expected a whole"],
    ["a collector without a port", { CARDEA_FLOW_COLLECTOR: "control" }, "CARDEA_FLOW_COLLECTOR: expected host:port"],
    ["a control plane's identity that is none", { CARDEA_CONTROL_ID: "cardea" }, "CARDEA_CONTROL_ID: "],
    ["a trust domain that is none", { CARDEA_TRUST_DOMAIN: "A/b" }, "CARDEA_TRUST_DOMAIN: "],
    ["ports that are none", { CARDEA_PORTS: "http" }, "CARDEA_PORTS: expected ports like 8080/http-web"],
    [
      "a port too large",
      { CARDEA_PORTS: "70000" },
      'CARDEA_PORTS: expected ports like 8080/http-web, separated by commas, found "70000"',
    ],
    ["opaque ports that are none", { CARDEA_OPAQUE_PORTS: "a" }, "CARDEA_OPAQUE_PORTS: expected ports"],
    [
      "a socket at a relative path",
      { CARDEA_WORKLOAD_SOCKET: "api.sock" },
      "CARDEA_WORKLOAD_SOCKET: expected an absolute",
    ],
    [
      "a socket at a path that the kernel would cut",
      { CARDEA_WORKLOAD_SOCKET: `/${"x".repeat(103)}` },
      "CARDEA_WORKLOAD_SOCKET: a socket's path has 103 bytes at most",
    ],
    ["probes that are no JSON", { CARDEA_PROBES: "{" }, "CARDEA_PROBES: is not JSON"],
    [
      "a probe without a handler",
      { CARDEA_PROBES: '{"/a":{"port":1,"handler":{}}}' },
      "needs one of httpGet, tcpSocket and grpc",
    ],
    [
      "a probe with two",
      { CARDEA_PROBES: '{"/a":{"port":1,"handler":{"tcpSocket":{"port":1},"grpc":{"port":1}}}}' },
      "needs one of",
    ],
    [
      "a probe of no port",
      { CARDEA_PROBES: '{"/a":{"port":0,"handler":{"tcpSocket":{"port":1}}}}' },
      "expected a whole number from 1",
    ],
    ["a level that is none", { CARDEA_LOG_LEVEL: "loud" }, "CARDEA_LOG_LEVEL: expected one of"],
    [
      "an endless drain",
      { CARDEA_DRAIN_TIMEOUT_SECONDS: "9999" },
      "CARDEA_DRAIN_TIMEOUT_SECONDS: expected a whole number up to 600",
    ],
  ])("%s", (_, changes, message) => {
    expect(() => parsePodConfig({ ...ENV, ...changes }, LABELS)).toThrow(
      expect.objectContaining({ code: "bad-input", message: expect.stringContaining(message) as string }),
    );
  });

  test("labels that the kubelet would not write", () => {
    for (const text of ["app=web", '"app"', 'app="a\\"b"']) {
      expect(() => parsePodConfig(ENV, text)).toThrow(/^\/etc\/cardea\/pod\/labels: expected lines like/);
    }
  });

  test("all of them at once", () => {
    expect(() => parsePodConfig({}, "x")).toThrow(/CARDEA_POD_NAME.*\n.*CARDEA_POD_NAMESPACE/s);
  });
});
