import { RULE_METHODS, RULE_PATHS } from "./rules.ts";
import type { Backends } from "./side.ts";

/** Where the caller's sidecar takes what goes to each service. */
export interface CallerPorts {
  readonly outbound: number;
  readonly http: number;
  readonly grpc: number;
  readonly tcp: number;
  readonly fresh: number;
}

/** Each service that is called has a sidecar of its own; a request passes the caller's and one of these. */
export const SERVED = { http: "server", grpc: "grpc", tcp: "bulk", fresh: "fresh" } as const;

/** What a mesh of ours tells of the requests that it lets through. Metrics and trace context are always on. */
export interface OurTelemetry {
  /** A line in a file for each. Without it, what is refused is recorded all the same. */
  readonly flowLog: boolean;
  /** A record for each to the control plane's store. */
  readonly flowStore: boolean;
  /** Of these, what was simply allowed: one in so many; left out: each. */
  readonly flowSampleOneIn?: number;
  /** Spans of one request in a hundred, to this collector; left out: none. */
  readonly spansTo?: string;
}

/** As the peers have it: an access log, and nothing besides unless FLOW_STORE=1 says so. */
export const USUAL_TELEMETRY: OurTelemetry = { flowLog: true, flowStore: process.env["FLOW_STORE"] === "1" };

/** A mesh file; JSON is YAML. */
export function meshText(ports: CallerPorts, backends: Backends, telemetry = USUAL_TELEMETRY): string {
  const { flowStore, flowSampleOneIn = 1, spansTo } = telemetry;
  const upstreams = [
    { service: "server.bench", port: 8080, localPort: ports.http },
    { service: "grpc.bench", port: 9090, localPort: ports.grpc },
    { service: "bulk.bench", port: 9000, localPort: ports.tcp },
    { service: "fresh.bench", port: 9001, localPort: ports.fresh },
  ];
  const services = [
    { name: "caller", namespace: "bench", outboundPort: ports.outbound, upstreams },
    serving(SERVED.http, 8080, "HTTP", backends.httpPort),
    serving(SERVED.grpc, 9090, "GRPC", backends.grpcPort),
    serving(SERVED.tcp, 9000, "TCP", backends.tcpPort),
    serving(SERVED.fresh, 9001, "TCP", backends.tcpPort),
  ];
  const tracing = { endpoint: spansTo, protocol: "http/protobuf", samplingPercentage: 1, requestsPerSecond: 10_000 };
  const spec = { flowStore, flowSampleOneIn, ...(spansTo === undefined ? {} : { tracing }), services };
  const mesh = { apiVersion: "cardea.dev/v1", kind: "Mesh", metadata: { name: "bench" }, spec };
  return `${JSON.stringify(mesh, null, 2)}\n`;
}

function serving(name: string, port: number, protocol: string, appPort: number): object {
  return { name, namespace: "bench", ports: [{ port, protocol }], app: { address: `127.0.0.1:${appPort}` } };
}

/**
 * The policies: a hundred rules for each service that carries requests, one for TCP. `extraPath` is allowed besides, so
 * that two texts can differ.
 */
export function policyText(extraPath?: string): string {
  const from = [{ source: { principals: ["cluster.local/ns/bench/sa/caller"] } }];
  const rulesFor = (port: string): readonly object[] =>
    [...RULE_PATHS, ...(extraPath === undefined ? [] : [extraPath])].map((path) => ({
      from,
      to: [{ operation: { methods: RULE_METHODS, paths: [path], ports: [port] } }],
    }));
  return [
    allow(SERVED.http, rulesFor("8080")),
    allow(SERVED.grpc, rulesFor("9090")),
    allow(SERVED.tcp, [{ from, to: [{ operation: { ports: ["9000"] } }] }]),
    allow(SERVED.fresh, [{ from, to: [{ operation: { ports: ["9001"] } }] }]),
  ].join("---\n");
}

/** A document that keeps both sides of the mesh from recording what they let through. */
export function silenceText(): string {
  const silence = {
    apiVersion: "telemetry.istio.io/v1",
    kind: "Telemetry",
    metadata: { name: "silent", namespace: "cardea-system" },
    spec: { accessLogging: [{ disabled: true }] },
  };
  return `${JSON.stringify(silence)}\n`;
}

/** Istio's mark of a workload that takes TCP by HBONE, many connections on one. */
const TUNNEL_LABEL = "networking.istio.io/tunnel";

/**
 * A registry document without that mark: to its workload every TCP connection goes by a TLS connection of its own, as to
 * any peer without HBONE.
 */
export function withoutTunnel(document: string): string {
  return JSON.stringify(JSON.parse(document, (name, value: unknown) => (name === TUNNEL_LABEL ? undefined : value)));
}

function allow(app: string, rules: readonly object[]): string {
  const policy = {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: app, namespace: "bench" },
    spec: { selector: { matchLabels: { app } }, action: "ALLOW", rules },
  };
  return `${JSON.stringify(policy)}\n`;
}
