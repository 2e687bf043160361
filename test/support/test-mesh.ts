import { createLatest, type LatestSource } from "../../src/core/latest.ts";
import { locatePlain } from "../../src/core/located.ts";
import { carriesRequests, type PortProtocol } from "../../src/core/port-protocol.ts";
import type { Address, Clock, Network, OriginalDestination, Random } from "../../src/core/ports.ts";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import { createSystemRandom } from "../../src/io/random.ts";
import type { FlowRecord } from "../../src/observe/flow.ts";
import { createDataPathMetrics, type DataPathMetrics } from "../../src/observe/metrics.ts";
import type { AccessLog } from "../../src/policy/access-log.ts";
import type { MutualTls } from "../../src/policy/authentication/mutual-tls.ts";
import { compilePolicy } from "../../src/policy/compile.ts";
import { type AuthorizationPolicy, parseAuthorizationPolicy } from "../../src/policy/document.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../../src/policy/mesh-settings.ts";
import { type AdmissionStep, AdmissionSteps } from "../../src/proxy/admission-steps.ts";
import type { PolicySet } from "../../src/proxy/discovery/policy-sinks.ts";
import {
  createRegistrySnapshot,
  EMPTY_REGISTRY,
  type Endpoint,
  type RegistrySnapshot,
  type Service,
  type ServiceProtocol,
} from "../../src/proxy/discovery/registry-snapshot.ts";
import type { Identity } from "../../src/proxy/identity/identity.ts";
import type { HttpProtocol } from "../../src/proxy/streams.ts";
import { openSidecar, type Sidecar, type SidecarConfig } from "../../src/proxy/sidecar.ts";
import type { Tracing } from "../../src/proxy/tracing.ts";
import { NO_TRAFFIC, type TrafficSet } from "../../src/traffic/traffic-set.ts";
import { withoutHttp2 } from "./http1-network.ts";
import { createTestAuthority, shopId, type TestAuthority } from "./test-authority.ts";

/** One sidecar of a test's mesh, with all that it was handed. */
export interface TestSidecar {
  readonly sidecar: Sidecar;
  readonly identity: LatestSource<Identity | null>;
  readonly policy: LatestSource<PolicySet | null>;
  readonly registry: LatestSource<RegistrySnapshot>;
  readonly traffic: LatestSource<TrafficSet>;
  readonly flows: FlowRecord[];
  readonly metrics: DataPathMetrics;
}

/** web's sidecar, and the sidecar before orders (HTTP, service port 80) and ledger (TCP, service port 5432). */
export interface TestMesh {
  readonly authority: TestAuthority;
  readonly web: TestSidecar;
  readonly orders: TestSidecar;
  /** Where web sends requests: the proxy, and the fixed ports for orders:80 and ledger:5432. */
  readonly proxy: Address;
  readonly toOrders: Address;
  readonly toLedger: Address;
  /** Where the mesh dials orders and ledger. */
  readonly ordersInbound: Address;
  readonly ledgerInbound: Address;
  /** Where it takes CONNECT; null unless the mesh was opened so. */
  readonly hbone: Address | null;
  /** What is registered when a test says nothing else; `edit` changes the endpoints. */
  register(edit?: (endpoint: Endpoint) => Endpoint): void;
  close(): Promise<void>;
}

export interface TestMeshOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random?: Random;
  /** Where the apps listen. */
  readonly ordersApp: Address;
  readonly ledgerApp: Address;
  readonly policy?: PolicySet | null;
  readonly identity?: "present" | "absent";
  /** What the sidecars speak to each other; HTTP/2 when nothing is said. */
  readonly between?: HttpProtocol;
  /** Whether ledger is reached through an HBONE port; not when nothing is said. */
  readonly hbone?: boolean;
  /** What orders' port is declared to speak; HTTP when nothing is said. */
  readonly ordersProtocol?: PortProtocol;
  /** How long a client may be silent where nothing is declared. */
  readonly protocolDetectionTimeoutMs?: number;
  /** How long what is under way may take when a sidecar is drained; 5 s when nothing is said. */
  readonly drainTimeoutMs?: number;
  /** A test that opens many meshes may give them one. */
  readonly authority?: TestAuthority;
  /** For sidecars that are redirected to. */
  readonly originalDestination?: OriginalDestination;
  /** Who makes spans in the sidecar of that name. */
  readonly tracing?: (name: string, clock: Clock) => Tracing;
}

export const ORDERS_PORT = 8080;
export const LEDGER_PORT = 5432;
const LOOPBACK = { host: "127.0.0.1", port: 0 };
const OWN_PORT = 15_001;

/** For tests of what must be so whatever the sidecars speak to each other. */
export const BETWEEN: readonly HttpProtocol[] = ["http/1.1", "h2"];

/** Ends of connections that stay open when a request between the sidecars was cut off: a stream ends alone. */
export function keptEnds(between: HttpProtocol): number {
  return between === "h2" ? 2 : 0;
}

/** A policy set that selects every workload. */
export function policySetOf(
  policies: readonly object[],
  settings: Partial<MeshSettings> = {},
  revision = "test-revision",
  steps: readonly AdmissionStep[] = [],
  mutualTls: MutualTls | null = null,
  accessLog: AccessLog | null = null,
): PolicySet {
  const all = { ...DEFAULT_MESH_SETTINGS, ...settings };
  const documents = policies.map(parsePolicy);
  const compiled = compilePolicy(documents, { namespace: "shop", labels: { app: "orders" } }, all);
  const asked = steps.length === 0 ? null : new AdmissionSteps(steps);
  return { revision, settings: all, compiled, documents, authentication: [], steps: asked, mutualTls, accessLog };
}

/** An AuthorizationPolicy in namespace shop. */
export function policy(name: string, spec: object): object {
  return {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name, namespace: "shop" },
    spec,
  };
}

/** web may do everything. */
export const WEB_MAY = policy("web-may", {
  action: "ALLOW",
  rules: [{ from: [{ source: { principals: ["cluster.local/ns/shop/sa/web"] } }] }],
});

export async function openTestMesh(options: TestMeshOptions): Promise<TestMesh> {
  const authority = options.authority ?? createTestAuthority("cluster.local", options.clock.wallMs());
  const web = await open(options, authority, {
    ...BASE,
    name: "web",
    upstreams: [
      { name: "orders", service: "orders", servicePort: 80, listen: LOOPBACK },
      { name: "ledger", service: "ledger", servicePort: 5432, listen: LOOPBACK },
    ],
  });
  const orders = await open(options, authority, {
    ...BASE,
    name: "orders",
    inbound: [
      { listen: LOOPBACK, port: ORDERS_PORT, protocol: options.ordersProtocol ?? "HTTP", app: options.ordersApp },
      { listen: LOOPBACK, port: LEDGER_PORT, protocol: "TCP", app: options.ledgerApp },
    ],
    hbone: options.hbone === true ? LOOPBACK : null,
  });
  const [toOrders, toLedger] = web.sidecar.addresses.upstreams as [Address, Address];
  const [ordersInbound, ledgerInbound] = orders.sidecar.addresses.inbound as [Address, Address];
  const { hbone } = orders.sidecar.addresses;
  const hbonePort = hbone?.port ?? null;
  const mesh: TestMesh = {
    authority,
    web,
    orders,
    proxy: web.sidecar.addresses.outbound,
    toOrders,
    toLedger,
    ordersInbound,
    ledgerInbound,
    hbone,
    register(edit = (endpoint) => endpoint) {
      const snapshot = createRegistrySnapshot({
        services: [
          serviceOf(
            "orders",
            80,
            edit(endpointOf(ordersInbound, ORDERS_PORT, hbonePort)),
            servedAs(options.ordersProtocol),
          ),
          serviceOf("ledger", 5432, edit(endpointOf(ledgerInbound, LEDGER_PORT, hbonePort)), "TCP"),
        ],
        workloads: [{ spiffeId: parseSpiffeId(shopId("web")), ...namesOf("web") }],
      });
      web.registry.set(snapshot);
      orders.registry.set(snapshot);
    },
    async close() {
      await Promise.all([web.sidecar.close(), orders.sidecar.close()]);
    },
  };
  mesh.register();
  return mesh;
}

const BASE: SidecarConfig = {
  name: "",
  namespace: "shop",
  labels: {},
  outbound: LOOPBACK,
  upstreams: [],
  inbound: [],
  hbone: null,
  ownPorts: [OWN_PORT],
  drainTimeoutMs: 5_000,
  enforcement: null,
};

/** Another sidecar with the mesh's authority. */
export function openTestSidecar(
  options: TestMeshOptions,
  authority: TestAuthority,
  config: Partial<SidecarConfig>,
): Promise<TestSidecar> {
  return open(options, authority, { ...BASE, ...config });
}

async function open(options: TestMeshOptions, authority: TestAuthority, config: SidecarConfig): Promise<TestSidecar> {
  const { clock, between, protocolDetectionTimeoutMs, originalDestination, drainTimeoutMs } = options;
  const network = between === "http/1.1" ? withoutHttp2(options.network) : options.network;
  const isAbsent = options.identity === "absent";
  const identity = createLatest<Identity | null>(isAbsent ? null : authority.issue(shopId(config.name)));
  const inForce = createLatest<PolicySet | null>(
    options.policy === undefined ? policySetOf([WEB_MAY]) : options.policy,
  );
  const registry = createLatest(EMPTY_REGISTRY);
  const traffic = createLatest(NO_TRAFFIC);
  const flows: FlowRecord[] = [];
  const metrics = createDataPathMetrics();
  const detection = protocolDetectionTimeoutMs === undefined ? {} : { protocolDetectionTimeoutMs };
  const drain = drainTimeoutMs === undefined ? {} : { drainTimeoutMs };
  const sidecar = await openSidecar(
    { ...config, ...detection, ...drain },
    {
      network,
      clock,
      random: options.random ?? createSystemRandom(),
      identity,
      registry,
      policy: inForce,
      traffic,
      flows: { record: (flow) => void flows.push(flow) },
      tracing: options.tracing?.(config.name, clock) ?? null,
      metrics,
      logger: { log: () => {}, isEnabled: () => false },
      ...(originalDestination === undefined ? {} : { originalDestination }),
    },
  );
  return { sidecar, identity, policy: inForce, registry, traffic, flows, metrics };
}

function parsePolicy(raw: object): AuthorizationPolicy {
  const faults: Parameters<typeof parseAuthorizationPolicy>[2] = [];
  const parsed = parseAuthorizationPolicy(locatePlain(raw), { file: "test.yaml" }, faults);
  if (parsed === null) throw new Error(JSON.stringify(faults));
  return parsed;
}

function serviceOf(name: string, port: number, endpoint: Endpoint, protocol: ServiceProtocol): Service {
  const ports = new Map([[port, { port, protocol, endpoints: [endpoint] }]]);
  return { fqdn: `${name}.shop.svc.cluster.local`, namespace: "shop", name, ports };
}

/** As the control plane tells it. */
function servedAs(protocol: PortProtocol = "HTTP"): ServiceProtocol {
  return carriesRequests(protocol) ? "HTTP" : (protocol as ServiceProtocol);
}

function endpointOf(at: Address, containerPort: number, hbonePort: number | null): Endpoint {
  const spiffeId = parseSpiffeId(shopId("orders"));
  return { address: at.host, port: at.port, containerPort, hbonePort, spiffeId, ...namesOf("orders") };
}

function namesOf(name: string) {
  return { workload: `${name}-1`, namespace: "shop", canonicalName: name, revision: "v1" };
}
