import { describe, expect, it } from "vitest";
import type { Address } from "../../src/core/ports.ts";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import type { Identity } from "../../src/proxy/identity/identity.ts";
import { createRegistrySnapshot, type Endpoint, type Service } from "../../src/proxy/discovery/registry-snapshot.ts";
import { openSimMesh, type SimMesh } from "../support/sim-mesh.ts";
import { shopId } from "../support/test-authority.ts";
import { openTestSidecar, policy, policySetOf, type TestSidecar, WEB_MAY } from "../support/test-mesh.ts";

// A sidecar to which the kernel brings connections, with the kernel played by the test: `meant` is what it has kept of
// where the next connection was to go. test/e2e/redirect.test.ts has the real one.

const OUTBOUND = { host: "::", port: 15_001 };
const INBOUND = { host: "::", port: 15_006 };
const POD_IPS = ["10.1.0.5", "fd00::5"];
const OWN_PORTS = [15_000, 15_001, 15_002, 15_006, 15_008, 15_020, 15_021];
const NOTHING_ELSE = { ports: [], opaquePorts: [] };

async function openPod(redirect: object = {}) {
  let meant: Address | null = null;
  const originalDestination = { of: () => meant };
  const mesh = await openSimMesh({ originalDestination });
  const { network, clock } = mesh;
  const options = { network, clock, originalDestination, ordersApp: OUTBOUND, ledgerApp: OUTBOUND };
  const pod = await openTestSidecar(options, mesh.authority, {
    name: "web",
    ownPorts: OWN_PORTS,
    redirect: { outbound: OUTBOUND, inbound: INBOUND, podIps: POD_IPS, ...NOTHING_ELSE, ...redirect },
  });
  return { mesh, pod, meantFor: (host: string, port: number) => void (meant = { host, port }) };
}

/** orders by its own addresses, at port 80; the workload at 10.1.0.9 takes it where the mesh's orders does. */
function register(pod: TestSidecar, inbound: Address): void {
  const names = { namespace: "shop", canonicalName: "orders", revision: "v1", hbonePort: null };
  const at = (address: string, workload: string): Endpoint => ({
    ...names,
    address,
    workload,
    port: inbound.port,
    containerPort: 8_080,
    spiffeId: parseSpiffeId(shopId("orders")),
  });
  const shared = [at("10.1.0.7", "one"), at("10.1.0.7", "other")];
  const services = [
    service("orders", ["10.96.0.1", "fd96::1"], [at("10.1.0.9", "orders-1")]),
    service("nobody", ["10.96.0.2"], []),
    service("on-the-host", [], shared),
  ];
  pod.registry.set(createRegistrySnapshot({ services, workloads: [] }));
}

function service(name: string, addresses: readonly string[], endpoints: readonly Endpoint[]): Service {
  const ports = new Map([[80, { port: 80, protocol: "HTTP" as const, endpoints }]]);
  return { fqdn: `${name}.shop.svc.cluster.local`, namespace: "shop", name, addresses, ports };
}

const GET = "GET /a HTTP/1.1\r\nHost: ledger.shop:5432\r\n\r\n";

describe("what the app has dialled", () => {
  it.each([
    ["a service's address", "10.96.0.1", 80],
    ["its IPv6 address", "fd96::1", 80],
    ["the same, written out", "fd96:0:0:0:0:0:0:1", 80],
  ])("goes to the service by %s, whatever Host says", async (_by, host, port) => {
    const { mesh, pod, meantFor } = await openPod();
    register(pod, mesh.ordersInbound);
    meantFor(host, port);
    await mesh.call(OUTBOUND, GET);
    expect(mesh.ordersApp[0]!.text()).toMatch(/^GET \/a HTTP\/1\.1\r\nhost: ledger\.shop:5432\r\n/);
    expect(mesh.ledgerApp).toEqual([]);
  });

  it("goes to the workload by its own address, and to no other", async () => {
    const { mesh, pod, meantFor } = await openPod();
    register(pod, mesh.ordersInbound);
    meantFor("10.1.0.9", mesh.ordersInbound.port);
    await mesh.call(OUTBOUND, GET);
    expect(mesh.ordersApp).toHaveLength(1);
  });

  it.each<[string, Address, string]>([
    ["nobody that the mesh knows", { host: "203.0.113.1", port: 443 }, "no-route"],
    ["a port that the service does not have", { host: "10.96.0.1", port: 81 }, "no-route"],
    ["a workload's sidecar", { host: "10.1.0.9", port: 15_008 }, "loop-refused"],
    ["a port of an address that two workloads share", { host: "10.1.0.7", port: 22 }, "no-route"],
    ["the listener itself", { host: "10.1.0.5", port: 15_001 }, "loop-refused"],
  ])("is refused and recorded when it is %s", async (_what, to, reason) => {
    const { mesh, pod, meantFor } = await openPod();
    register(pod, mesh.ordersInbound);
    meantFor(to.host, to.port);
    const caller = await mesh.call(OUTBOUND, GET);
    expect({ text: caller.text(), code: caller.error?.code }).toMatchObject({ text: "", code: "upstream-reset" });
    expect(pod.flows).toMatchObject([{ verdict: "error", reason }]);
    expect(mesh.ordersApp).toEqual([]);
  });

  it("is refused when the kernel knows of nothing that was dialled", async () => {
    const { mesh, pod } = await openPod();
    register(pod, mesh.ordersInbound);
    expect((await mesh.call(OUTBOUND, GET)).text()).toBe("");
    expect(pod.flows).toMatchObject([{ verdict: "error", reason: "loop-refused" }]);
  });

  it.each([
    ["a service without workloads", GET, 503],
    ["CONNECT, which would choose where we go", "CONNECT ledger:5432 HTTP/1.1\r\nHost: ledger:5432\r\n\r\n", 405],
  ])("is answered as a request: %s", async (_what, text, status) => {
    const { mesh, pod, meantFor } = await openPod();
    register(pod, mesh.ordersInbound);
    meantFor(status === 503 ? "10.96.0.2" : "10.96.0.1", 80);
    expect((await mesh.call(OUTBOUND, text)).text()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(pod.flows).toMatchObject([{ verdict: "error", status }]);
  });
});

function web(mesh: SimMesh): Identity {
  return mesh.authority.issue(shopId("web"));
}

describe("what comes to the pod", () => {
  const PORT_OF_APP = 40_001;

  /** The app, at the pod's own address. */
  async function withApp(mesh: SimMesh) {
    const dials: string[] = [];
    await mesh.network.listen(
      { host: "10.1.0.5", port: PORT_OF_APP },
      (connection) => void dials.push(connection.local.host),
    );
    return dials;
  }

  it("on any port goes to that port of the app, and policy is asked about it", async () => {
    const { mesh, pod, meantFor } = await openPod();
    const dials = await withApp(mesh);
    meantFor("10.1.0.5", PORT_OF_APP);
    await mesh.callAs(web(mesh), INBOUND, { text: "GET / HTTP/1.1\r\nHost: x\r\n\r\n" });
    expect(dials).toEqual(["10.1.0.5"]);
    pod.policy.set(policySetOf([policy("one-port", { rules: [{ to: [{ operation: { ports: ["8080"] } }] }] })]));
    const denied = await mesh.callAs(web(mesh), INBOUND, { text: "GET / HTTP/1.1\r\nHost: x\r\n\r\n" });
    expect(denied.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(pod.flows.at(-1)).toMatchObject({ verdict: "denied", destination: { ip: "10.1.0.5", port: PORT_OF_APP } });
  });

  it.each<[string, Address | null, string]>([
    ["dialled directly, the kernel knowing of nothing", null, "loop-refused"],
    ["dialled directly, at the listener", { host: "10.1.0.5", port: 15_006 }, "loop-refused"],
    ["for the admin port", { host: "10.1.0.5", port: 15_000 }, "loop-refused"],
    ["for the outbound port", { host: "fd00::5", port: 15_001 }, "loop-refused"],
    ["for another host", { host: "10.1.0.6", port: 8_080 }, "no-route"],
    ["for loopback", { host: "127.0.0.1", port: 8_080 }, "no-route"],
    ["for the cloud's metadata", { host: "169.254.169.254", port: 80 }, "no-route"],
  ])("is refused with a record, before any handshake, when it is %s", async (_what, to, reason) => {
    const { mesh, pod, meantFor } = await openPod();
    const dials = await withApp(mesh);
    if (to !== null) meantFor(to.host, to.port);
    await expect(mesh.callAs(web(mesh), INBOUND, { text: GET })).rejects.toThrow("hung up");
    expect(pod.flows).toMatchObject([{ verdict: "error", reason }]);
    expect(dials).toEqual([]);
  });

  it("goes on in plaintext to a port that takes it, and is refused on all others", async () => {
    await import("../../src/proxy/read-plaintext.ts");
    const { mesh, pod, meantFor } = await openPod();
    const dials = await withApp(mesh);
    const ports = new Map([[PORT_OF_APP, { mode: "PERMISSIVE", by: "shop/peer" } as const]]);
    const mutualTls = { mode: "STRICT", by: null, ports } as const;
    pod.policy.set(policySetOf([policy("all", { rules: [{}] })], {}, "second", [], mutualTls));
    meantFor("10.1.0.5", PORT_OF_APP);
    await mesh.call(INBOUND, GET);
    expect(dials).toEqual(["10.1.0.5"]);
    meantFor("10.1.0.5", PORT_OF_APP + 1);
    expect((await mesh.call(INBOUND, GET)).isClosed).toBe(true);
    expect(dials).toEqual(["10.1.0.5"]);
    expect(pod.flows).toMatchObject([{ reason: "plaintext-refused", destination: { port: PORT_OF_APP + 1 } }]);
  });

  it.each(["10.1.0.5", "fd00::5"])("is refused when it is plaintext for %s", async (host) => {
    const { mesh, pod, meantFor } = await openPod();
    const dials = await withApp(mesh);
    meantFor(host, PORT_OF_APP);
    expect((await mesh.call(INBOUND, GET)).text()).toBe("");
    expect(pod.flows).toMatchObject([{ reason: "plaintext-refused", destination: { ip: host, port: PORT_OF_APP } }]);
    expect(dials).toEqual([]);
  });

  it.each([
    ["the pod declares it", { ports: [{ port: PORT_OF_APP, protocol: "TCP" }] }],
    [
      "it is told to be, whatever is declared",
      {
        ports: [{ port: PORT_OF_APP, protocol: "HTTP" }],
        opaquePorts: [{ from: 40_000, to: 41_000 }],
      },
    ],
  ])("is opaque bytes where %s, and a rule about requests lets none of it in", async (_where, redirect) => {
    const { mesh, pod, meantFor } = await openPod(redirect);
    const dials = await withApp(mesh);
    meantFor("10.1.0.5", PORT_OF_APP);
    pod.policy.set(policySetOf([policy("get", { rules: [{ to: [{ operation: { methods: ["GET"] } }] }] })]));
    await mesh.callAs(web(mesh), INBOUND, { alpn: ["istio"], text: GET });
    expect(dials).toEqual([]);
    pod.policy.set(policySetOf([WEB_MAY]));
    await mesh.callAs(web(mesh), INBOUND, { alpn: ["istio"], text: GET });
    expect(pod.flows.map(({ verdict, protocol }) => `${verdict} ${protocol}`)[0]).toBe("denied tcp");
    expect(dials).toEqual(["10.1.0.5"]);
  });
});
