import { expect, test } from "vitest";
import { describeMissingSockets, type LocalPlan, planMesh, reservedPortsOf } from "../../../../src/cli/local/plan.ts";
import { createPortChooser } from "../../../../src/cli/local/ports.ts";
import { formatRegistryDocument } from "../../../../src/cli/local/registry-document.ts";
import { statePathsOf } from "../../../../src/cli/state-dir.ts";
import { parseMesh } from "../../../../src/config/mesh.ts";
import { parseProxyConfig } from "../../../../src/config/proxy-config.ts";
import { parseRegistryFile } from "../../../../src/control/distribute/registry-documents.ts";
import { locatePlain } from "../../../../src/core/located.ts";

const app = { command: ["node", "x.js"] };
const WEB = {
  name: "web",
  namespace: "shop",
  app,
  ports: [{ port: 8080 }],
  upstreams: [{ service: "ledger.ledger", port: 7000 }],
};
const LEDGER = { name: "ledger", namespace: "ledger", app, ports: [{ port: 7000, protocol: "TCP" }] };

async function plan(
  services: object[],
  taken: readonly number[] = [],
  spec: object = {},
  directory = "/state",
): Promise<LocalPlan> {
  const document = { apiVersion: "cardea.dev/v1", kind: "Mesh", metadata: { name: "t" }, spec: { ...spec, services } };
  const mesh = parseMesh(locatePlain(document), { file: "mesh.yaml" }, []);
  const ports = createPortChooser((port) => Promise.resolve(!taken.includes(port)), reservedPortsOf(mesh!, 15_000));
  return planMesh(mesh!, statePathsOf(directory), ports, 15_000);
}

test("ports stand where Istio's users look for them", async () => {
  const { control, services } = await plan([WEB, LEDGER]);
  expect(control.address.port).toBe(15_012);
  const web = services[0]!.config;
  expect([web.admin.port, web.outbound.port, web.inbound[0]?.listen.port]).toEqual([15_100, 15_101, 15_106]);
  expect([web.metrics.port, web.readiness.port]).toEqual([15_120, 15_121]);
  expect(services[1]!.config.outbound.port).toBe(15_201);
});

test("a taken default moves nobody but its owner", async () => {
  const { services } = await plan([WEB, LEDGER], [15_101, 15_102, 15_103, 15_104, 15_105]);
  expect(services[0]!.config.outbound.port).toBe(15_107);
  expect(services[0]!.config.inbound[0]?.listen.port).toBe(15_106);
  expect(services[1]!.config.outbound.port).toBe(15_201);
});

test.each([
  ["control plane's port", { controlPort: 15_012 }, WEB],
  ["outbound port of shop/web", {}, { ...WEB, outboundPort: 15_012 }],
  [
    "local port for ledger of shop/web",
    {},
    { ...WEB, upstreams: [{ service: "ledger.ledger", port: 7000, localPort: 15_012 }] },
  ],
])("the %s that the file asks for is not stepped around", async (purpose, spec, web) => {
  // For the last two the control plane has stepped around it already, but to nobody else is it free.
  await expect(plan([web, LEDGER], [15_012], spec)).rejects.toMatchObject({
    code: "bad-input",
    message: `port 15012, asked for as the ${purpose}, is taken`,
  });
});

test("the container port is the policy's, the app's own may be another", async () => {
  const { services } = await plan([WEB, LEDGER]);
  expect(describeMissingSockets(services, statePathsOf("/state"))).toBeNull();
  expect(services[0]!.config.inbound[0]).toMatchObject({ port: 8080, app: { host: "127.0.0.1", port: 15_180 } });
  expect(services[0]!.appEnv).toEqual({
    PORT: "15180",
    PORT_8080: "15180",
    http_proxy: "http://127.0.0.1:15101",
    HTTP_PROXY: "http://127.0.0.1:15101",
    CARDEA_UPSTREAM_LEDGER: "127.0.0.1:15130",
    SPIFFE_ENDPOINT_SOCKET: "unix:///state/sockets/shop.web.sock",
  });
});

test("an app has no identity socket where the kernel would cut its path", async () => {
  const { services } = await plan([WEB, LEDGER], [], {}, `/state/${"x".repeat(90)}`);
  expect(services[0]!.config.workloadSocket).toBeNull();
  expect(services[0]!.appEnv).not.toHaveProperty("SPIFFE_ENDPOINT_SOCKET");
  expect(describeMissingSockets(services, statePathsOf(`/state/${"x".repeat(90)}`))).toMatch(
    /^no identity socket for shop\/web, ledger\/ledger: .*103 bytes/,
  );
});

test("an app that runs on its own is dialled where it is", async () => {
  const { services } = await plan([{ ...WEB, upstreams: [], app: { address: "127.0.0.1:3000" } }]);
  expect(services[0]!.config.inbound[0]?.app).toEqual({ host: "127.0.0.1", port: 3000 });
});

test("every sidecar knows all ports of the mesh as its own, apps' ports not among them", async () => {
  const { services } = await plan([WEB, LEDGER]);
  for (const { config } of services) {
    expect(config.ownPorts).toEqual(expect.arrayContaining([15_012, 15_014, 15_101, 15_106, 15_130, 15_206, 15_221]));
    expect(config.ownPorts).not.toContain(15_180);
  }
});

test("a sidecar reads what is written for it", async () => {
  const { services } = await plan([WEB, LEDGER]);
  for (const { config } of services) expect(parseProxyConfig(JSON.stringify(config), "x.json")).toEqual(config);
});

test("the control plane reads what is written into the registry", async () => {
  const { services } = await plan([WEB, LEDGER]);
  const faults: never[] = [];
  const read = parseRegistryFile(formatRegistryDocument(services[1]!.config), "ledger.json", faults);
  expect(faults).toEqual([]);
  expect(read?.services).toMatchObject([
    { hosts: ["ledger.ledger.svc.cluster.local"], ports: [{ number: 7000, targetPort: 7000, protocol: "TCP" }] },
  ]);
  expect(read?.workloads).toMatchObject([{ address: "127.0.0.1", serviceAccount: "ledger", namespace: "ledger" }]);
  expect(read?.workloads[0]?.ports).toEqual(
    new Map([
      ["tcp-7000", 15_206],
      ["hbone", 15_208],
    ]),
  );
  expect(read?.workloads[0]).toMatchObject({ hbonePort: 15_208 });
  expect(read?.workloads[0]?.labels.get("app")).toBe("ledger");
});

test("a caller without ports is a workload and no service", async () => {
  const { services } = await plan([{ ...WEB, ports: [], upstreams: [] }]);
  const read = parseRegistryFile(formatRegistryDocument(services[0]!.config), "web.json", []);
  expect(read).toMatchObject({ services: [], workloads: [{ name: "web" }] });
});
