import { isAbsolute } from "node:path";
import { parseIp } from "../core/cidr.ts";
import { LIMITS } from "../core/limits.ts";
import type { Address, LogLevel } from "../core/ports.ts";
import { PORT_PROTOCOLS, type PortProtocol } from "../core/port-protocol.ts";
import type { PortRange } from "../core/port-range.ts";
import {
  integer,
  listOf,
  mapOf,
  number,
  object,
  oneOf,
  parsed,
  required,
  type Schema,
  string,
  withDefault,
} from "../core/schema.ts";
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from "../core/spiffe-id.ts";
import { fitsUnixSocket, UNIX_PATH_BYTES_MAX } from "../core/unix-path.ts";
import { parseJsonText } from "./json-text.ts";

/** Bootstrap of one sidecar: a JSON file, written by `cardea up` or `cardea run`, read once by `cardea proxy`. */
export interface ProxyConfig {
  /** The workload's name; in local mode the service's name, too. */
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly trustDomain: TrustDomain;
  readonly labels: Readonly<Record<string, string>>;
  readonly control: {
    readonly address: Address;
    /** The identity that the control plane must prove. */
    readonly spiffeId: SpiffeId;
    /** The pinned root, PEM; the first connection trusts nothing else. */
    readonly rootFile: string;
  };
  /** File that holds the one-time join token, or null where another attestation serves. */
  readonly joinTokenFile: string | null;
  /** Forward proxy, Host routing and CONNECT for the app. */
  readonly outbound: Address;
  /** Fixed local ports, one an upstream. */
  readonly upstreams: readonly UpstreamConfig[];
  readonly inbound: readonly InboundConfig[];
  /** Where other sidecars reach the opaque ones of these ports by CONNECT; null: nowhere. */
  readonly hbone: Address | null;
  readonly admin: Address;
  readonly metrics: Address;
  readonly readiness: Address;
  /** Where flow records go; null: stdout. */
  readonly flowFile: string | null;
  /** Who gets flow records as OTLP logs besides; null: nobody. It proves the control plane's identity. */
  readonly flowCollector: FlowCollectorConfig | null;
  /** Of which requests spans are made, for the control plane to pass on; null: of none. */
  readonly tracing: TracingConfig | null;
  /** The mesh's own ports on this host: a request aimed at one of them is refused as a loop. */
  readonly ownPorts: readonly number[];
  readonly logLevel: LogLevel;
  readonly egress: "REGISTRY_ONLY";
  readonly drainTimeoutMs: number;
  /** How long a client may be silent on a port of no declared protocol before its bytes are opaque. */
  readonly protocolDetectionTimeoutMs: number;
  readonly certTtlSec: number;
  /** Null: the mesh's. */
  readonly enforcement: "ENFORCE" | "AUDIT" | null;
  /** What the kernel's redirect brings here, in a pod; null where apps are told where their sidecar is. */
  readonly redirect: RedirectConfig | null;
  /** From SIGTERM to the beginning of the drain, for an app that ends at the same time and still calls others. */
  readonly drainDelayMs: number;
  /** Where the app gets its identity (SPIFFE Workload API, Envoy's SDS); null: nowhere. */
  readonly workloadSocket: WorkloadSocketConfig | null;
}

export interface FlowCollectorConfig {
  readonly address: Address;
  /** Where denials wait that memory has no room for while the collector is away; null: nowhere, and they are lost. */
  readonly spillFile: string | null;
  /** Of flows that were simply allowed, one in so many is sent and stands for all; 1: each. */
  readonly sampleOneIn: number;
}

export interface TracingConfig {
  /** Of traces that begin here. */
  readonly samplingPercentage: number;
  /** Requests in a second of which spans are reported; denials and errors have as many beside these. */
  readonly requestsPerSecond: number;
}

export interface WorkloadSocketConfig {
  /** A path of the file system. */
  readonly file: string;
  /** Who may connect: our own user, or everyone who reaches the directory. */
  readonly access: "owner" | "everyone";
}

/** Connections that `cardea redirect` has turned aside arrive here, with their destination kept by the kernel. */
export interface RedirectConfig {
  /** All that the app dials. */
  readonly outbound: Address;
  /** All that comes to the app's ports. */
  readonly inbound: Address;
  /** The pod's own addresses. */
  readonly podIps: readonly string[];
  /** Container ports that declare something; of all others the first bytes tell. */
  readonly ports: readonly { readonly port: number; readonly protocol: PortProtocol }[];
  /** Ports, declared or not, that carry opaque bytes whatever they seem to be. They stand above `ports`. */
  readonly opaquePorts: readonly PortRange[];
}

export interface UpstreamConfig {
  readonly name: string;
  /** Host name as the registry knows it. */
  readonly service: string;
  readonly servicePort: number;
  readonly listen: Address;
}

export interface InboundConfig {
  /** Where other sidecars dial. */
  readonly listen: Address;
  /** The container port: what policies name. */
  readonly port: number;
  readonly protocol: PortProtocol;
  /** Where the app listens. */
  readonly app: Address;
}

/** JSON text → ProxyConfig, frozen. Errors: `bad-input`, every fault on a line of its own. */
export function parseProxyConfig(text: string, file: string): ProxyConfig {
  const config = parseJsonText(CONFIG, text, file);
  return Object.freeze({ ...config, labels: Object.freeze(Object.fromEntries(config.labels)) });
}

const PORT = integer({ min: 0, max: 65_535 });
const IP = parsed(string(), (text) => {
  if (parseIp(text) === null) throw new Error(`expected an IP address, found ${JSON.stringify(text)}`);
  return text;
});
// The app is on this host, and the admin port has no login.
const LOOPBACK = parsed(IP, (text) => {
  if (!text.startsWith("127.") && text !== "::1") throw new Error(`expected a loopback address, found ${text}`);
  return text;
});
const ADDRESS = object({ host: required(IP), port: required(PORT) });
const LOOPBACK_ADDRESS = object({ host: required(LOOPBACK), port: required(PORT) });
const FILE = parsed(string(), (path) => {
  if (!isAbsolute(path)) throw new Error(`expected an absolute path, found ${JSON.stringify(path)}`);
  return path;
});

const DRAIN_TIMEOUT_MS_MAX = 600_000;
const CERT_TTL_SEC_MAX = 86_400;

/** Without an end, a server that speaks first would never be heard. */
const PROTOCOL_DETECTION_MS = integer({ min: 1, max: 60_000 });

const REDIRECT = object({
  outbound: required(ADDRESS),
  inbound: required(ADDRESS),
  podIps: required(listOf(IP, { minCount: 1 })),
  ports: withDefault(listOf(object({ port: required(PORT), protocol: required(oneOf(...PORT_PROTOCOLS)) })), []),
  opaquePorts: withDefault(listOf(object({ from: required(PORT), to: required(PORT) })), []),
});

const SOCKET_FILE = parsed(FILE, (path) => {
  if (!fitsUnixSocket(path)) throw new Error(`a socket's path has ${UNIX_PATH_BYTES_MAX} bytes at most`);
  return path;
});
const WORKLOAD_SOCKET = object({
  file: required(SOCKET_FILE),
  access: withDefault(oneOf("owner", "everyone"), "owner"),
});

const FLOW_COLLECTOR = object({
  address: required(ADDRESS),
  spillFile: withDefault(nullable(FILE), null),
  sampleOneIn: withDefault(integer({ min: 1, max: LIMITS.flowSampledFromMax }), 1),
});

const TRACING = object({
  samplingPercentage: required(number({ min: 0, max: 100 })),
  requestsPerSecond: required(integer({ min: 1, max: 10_000 })),
});

const CONFIG = object({
  name: required(string()),
  namespace: required(string()),
  serviceAccount: required(string()),
  trustDomain: required(parsed(string(), parseTrustDomain)),
  labels: required(mapOf(string({ allowEmpty: true }))),
  control: required(
    object({
      address: required(ADDRESS),
      spiffeId: required(parsed(string(), parseSpiffeId)),
      rootFile: required(FILE),
    }),
  ),
  joinTokenFile: required(nullable(FILE)),
  outbound: required(LOOPBACK_ADDRESS),
  upstreams: required(
    listOf(
      object({
        name: required(string()),
        service: required(string()),
        servicePort: required(PORT),
        listen: required(LOOPBACK_ADDRESS),
      }),
    ),
  ),
  inbound: required(
    listOf(
      object({
        listen: required(ADDRESS),
        port: required(PORT),
        protocol: required(oneOf(...PORT_PROTOCOLS)),
        app: required(ADDRESS),
      }),
    ),
  ),
  hbone: withDefault(nullable(ADDRESS), null),
  admin: required(LOOPBACK_ADDRESS),
  metrics: required(ADDRESS),
  readiness: required(ADDRESS),
  flowFile: required(nullable(FILE)),
  flowCollector: withDefault(nullable(FLOW_COLLECTOR), null),
  tracing: withDefault(nullable(TRACING), null),
  ownPorts: required(listOf(PORT)),
  logLevel: withDefault<LogLevel>(oneOf("debug", "info", "warn", "error"), "info"),
  egress: withDefault(oneOf("REGISTRY_ONLY"), "REGISTRY_ONLY"),
  drainTimeoutMs: required(integer({ min: 0, max: DRAIN_TIMEOUT_MS_MAX })),
  protocolDetectionTimeoutMs: withDefault(PROTOCOL_DETECTION_MS, LIMITS.protocolDetectionMs),
  certTtlSec: required(integer({ min: 1, max: CERT_TTL_SEC_MAX })),
  enforcement: withDefault(nullable(oneOf("ENFORCE", "AUDIT")), null),
  redirect: withDefault(nullable(REDIRECT), null),
  drainDelayMs: withDefault(integer({ min: 0, max: DRAIN_TIMEOUT_MS_MAX }), 0),
  workloadSocket: withDefault(nullable(WORKLOAD_SOCKET), null),
});

/** The schema's value, or a null that is written out. */
function nullable<T>(schema: Schema<T>): Schema<T | null> {
  return (value, scope) => (value.kind === "scalar" && value.value === null ? null : schema(value, scope));
}
