import type { Address } from "../../src/core/ports.ts";
import type { Endpoint } from "../../src/proxy/discovery/registry-snapshot.ts";
import { DEFAULT_PORT_TRAFFIC, DEFAULT_RETRY, NO_HEADER_CHANGES } from "../../src/traffic/default-traffic.ts";
import type {
  HttpMatch,
  HttpRoute,
  PortTraffic,
  RetryPolicy,
  WeightedDestination,
} from "../../src/traffic/service-traffic.ts";
import { type Collected, collect } from "./collected.ts";
import { openSimMesh, say, type SimMesh } from "./sim-mesh.ts";
import type { SimConnection } from "./sim-network.ts";
import { openTestSidecar, ORDERS_PORT, type TestMeshOptions, type TestSidecar } from "./test-mesh.ts";
import { endpointAt, seededRandom } from "./traffic.ts";

const SECOND_APP = { host: "127.0.0.1", port: 9081 };

/** A simulated mesh in which orders has two workloads, `orders-1` and `orders-2`, each with a sidecar and an app. */
export interface TrafficMesh extends SimMesh {
  readonly second: TestSidecar;
  readonly secondApp: Collected<SimConnection>[];
  readonly endpoints: readonly [Endpoint, Endpoint];
  /** What the registry knows of orders. */
  registerOrders(endpoints: readonly Endpoint[]): void;
  /** What the traffic rules say of orders from now on. */
  rule(traffic: Partial<PortTraffic>): void;
  /** A GET, and all that follows from it at once. */
  get(path?: string, fields?: string): Promise<Collected<SimConnection>>;
}

export async function openTrafficMesh(options: Partial<TestMeshOptions> = {}): Promise<TrafficMesh> {
  const mesh = await openSimMesh({ random: seededRandom(1), ...options });
  const { network, clock, authority } = mesh;
  const secondApp: Collected<SimConnection>[] = [];
  await network.listen(SECOND_APP, (connection) => void secondApp.push(collect(connection as SimConnection)));
  const apps = { ordersApp: SECOND_APP, ledgerApp: SECOND_APP };
  const second = await openTestSidecar({ network, clock, ...apps, ...options }, authority, {
    name: "orders",
    inbound: [
      {
        listen: { host: "127.0.0.1", port: 0 },
        port: ORDERS_PORT,
        protocol: options.ordersProtocol ?? "HTTP",
        app: SECOND_APP,
      },
    ],
    hbone: options.hbone === true ? { host: "127.0.0.1", port: 0 } : null,
  });
  const endpoints = [
    workloadAt({ port: mesh.ordersInbound.port, hbone: mesh.hbone }, "orders-1", "v1"),
    workloadAt(
      { port: second.sidecar.addresses.inbound[0]!.port, hbone: second.sidecar.addresses.hbone },
      "orders-2",
      "v2",
    ),
  ] as const;
  const registerOrders = (list: readonly Endpoint[]) => {
    const snapshot = mesh.web.registry.get();
    const orders = snapshot.lookup("orders", "shop")!;
    const ports = new Map([[80, { ...orders.ports.get(80)!, endpoints: list }]]);
    const changed = { ...orders, ports };
    const lookup = (host: string, from: string) => (host.startsWith("orders") ? changed : snapshot.lookup(host, from));
    const after = { ...snapshot, lookup };
    for (const sidecar of [mesh.web, mesh.orders, second]) sidecar.registry.set(after);
  };
  registerOrders(endpoints);
  return {
    ...mesh,
    second,
    secondApp,
    endpoints,
    registerOrders,
    rule(traffic) {
      const service = { ports: new Map(), default: { ...DEFAULT_PORT_TRAFFIC, ...traffic } };
      const byService = new Map([["orders.shop.svc.cluster.local", service]]);
      mesh.web.traffic.set({ revision: "test", byService, bySuffix: new Map() });
    },
    get: (path = "/", fields = "") => mesh.call(mesh.toOrders, `GET ${path} HTTP/1.1\r\nHost: orders\r\n${fields}\r\n`),
  };
}

function workloadAt(
  { port, hbone }: { readonly port: number; readonly hbone: Address | null },
  workload: string,
  revision: string,
): Endpoint {
  return endpointAt(port, { containerPort: ORDERS_PORT, workload, revision, hbonePort: hbone?.port ?? null });
}

/** A route that sends everything to orders, but for what a test changes. */
export function routeTo(changes: Partial<HttpRoute> = {}): HttpRoute {
  return {
    name: "shop/orders",
    matches: [],
    action: { kind: "forward", destinations: [destination()], rewrite: null },
    timeoutMs: 0,
    retry: DEFAULT_RETRY,
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
    ...changes,
  };
}

export function destination(changes: Partial<WeightedDestination> = {}): WeightedDestination {
  const headers = { requestHeaders: NO_HEADER_CHANGES, responseHeaders: NO_HEADER_CHANGES };
  return { host: "orders", namespace: "shop", port: null, subset: null, weight: 1, ...headers, ...changes };
}

export function matchOf(changes: Partial<HttpMatch> = {}): HttpMatch {
  return {
    path: null,
    ignorePathCase: false,
    method: null,
    authority: null,
    scheme: null,
    headers: [],
    withoutHeaders: [],
    query: [],
    port: null,
    sourceLabels: new Map(),
    sourceNamespace: null,
    ...changes,
  };
}

/** A rule of the user's own about retries. */
export function retryOn(conditions: readonly string[], changes: Partial<RetryPolicy> = {}): RetryPolicy {
  const asked = new Set(conditions) as RetryPolicy["retryOn"];
  return { ...DEFAULT_RETRY, isExplicit: true, retryOn: asked, ...changes };
}

/** Answers every request that an app has and that it has not answered. */
export function answerAll(apps: readonly Collected<SimConnection>[], text: string): void {
  for (const app of apps) if (!app.isClosed) say(app, text);
}
