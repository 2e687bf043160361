import type { Fault, Located } from "../core/located.ts";
import { LIMITS } from "../core/limits.ts";
import type { Address } from "../core/ports.ts";
import { PORT_PROTOCOLS, type PortProtocol } from "../core/port-protocol.ts";
import {
  addFault,
  boolean,
  integer,
  listOf,
  mapOf,
  object,
  oneOf,
  optional,
  type Placed,
  parsed,
  placed,
  required,
  type Schema,
  type Scope,
  string,
  withDefault,
} from "../core/schema.ts";
import type { FetchRules } from "../core/guarded-fetch.ts";
import { parseTrustDomain } from "../core/spiffe-id.ts";
import { TRUSTED_PROXIES } from "./mesh-settings-fields.ts";
import { GIT_POLICIES, type GitPolicies } from "./git-policies.ts";
import { EXTENSION_PROVIDERS } from "../policy/extension-provider.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../policy/mesh-settings.ts";
import { FETCH_RULES, TRACING, type TracingSettings } from "./mesh-settings-fields.ts";

/** A Mesh document (cardea.dev/v1): what `cardea up` runs, and the settings that decisions are made under. */
export interface Mesh {
  readonly name: string;
  readonly settings: MeshSettings;
  /** As written: relative to the mesh file's directory. */
  readonly policies: string;
  /** A git repository that policies come from instead of the directory; null: none. */
  readonly policiesGit: GitPolicies | null;
  /** Lifetime of a workload's certificate. */
  readonly certTtlSec: number;
  /** Port of the control plane where the file asks for one. */
  readonly controlPort: number | null;
  /** How long a client may be silent on a port of no declared protocol. */
  readonly protocolDetectionTimeoutMs: number;
  /** Whether the sidecars send their flow records to the control plane, which keeps them. */
  readonly flowStore: boolean;
  /** Of flows that were simply allowed, the store is sent one in so many. */
  readonly flowSampleOneIn: number;
  /** Where spans go, and of how many requests; null: nowhere, and none are made. */
  readonly tracing: TracingSettings | null;
  /** From where keys of token issuers may be fetched. */
  readonly jwks: FetchRules;
  readonly services: readonly MeshService[];
}

export interface MeshService {
  readonly name: string;
  readonly namespace: string;
  /** The last part of its SPIFFE ID; the service's name unless told. */
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Container ports: what policies and callers name. */
  readonly ports: readonly MeshPort[];
  /** Null: a caller only, which serves no port. */
  readonly app: MeshApp | null;
  readonly upstreams: readonly MeshUpstream[];
  /** Null: the mesh's. */
  readonly enforcement: MeshSettings["enforcement"] | null;
  /** Port of the sidecar's forward proxy where the file asks for one. */
  readonly outboundPort: number | null;
}

export interface MeshPort {
  readonly port: number;
  readonly protocol: PortProtocol;
}

/** A command that `up` starts and keeps, in the mesh file's directory, or an app that runs on its own. */
export type MeshApp =
  | { readonly kind: "command"; readonly command: readonly string[] }
  | { readonly kind: "address"; readonly address: Address };

/** A fixed local port at which the app finds a service. */
export interface MeshUpstream {
  /** What the app's CARDEA_UPSTREAM_<NAME> is called after. */
  readonly name: string;
  /** A host name as the registry knows it. */
  readonly service: string;
  readonly port: number;
  readonly localPort: number | null;
}

/** A document → Mesh, or null with every fault added. */
export function parseMesh(located: Located, source: { readonly file: string }, faults: Fault[]): Mesh | null {
  const scope: Scope = { file: source.file, field: "", faults };
  const document = DOCUMENT(located, scope);
  if (document === undefined) return null;
  const { metadata, spec } = document;
  const faultsBefore = faults.length;
  const services = spec.services.map((placedService) => readService(placedService, scope));
  checkNames(spec.services, scope);
  for (const [index, service] of services.entries()) checkUpstreams(spec.services[index]!, service, services, scope);
  if (faults.length !== faultsBefore) return null;
  const {
    policies,
    policiesGit,
    workloadCertTtlSec,
    controlPort,
    protocolDetectionTimeoutMs,
    flowStore,
    flowSampleOneIn,
    tracing,
    jwks,
    services: _,
    ...settings
  } = spec;
  const certTtlSec = workloadCertTtlSec;
  return {
    name: metadata.name,
    settings,
    policies,
    policiesGit,
    certTtlSec,
    controlPort,
    protocolDetectionTimeoutMs,
    flowStore,
    flowSampleOneIn,
    tracing,
    jwks,
    services,
  };
}

/** RFC 1123 label: what Kubernetes takes as the name of a service or namespace. */
const LABEL = parsed(string(), (text) => {
  if (text.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text)) return text;
  throw new Error(`expected a name of a-z, 0-9 and -, found ${JSON.stringify(text)}`);
});

const PORT = integer({ min: 1, max: 65_535 });
const TRUST_DOMAIN = parsed(string(), parseTrustDomain);

/** An IPv4 or bracketed IPv6 literal with a port: an app next to its sidecar needs no DNS. */
const ADDRESS: Schema<Address> = parsed(string(), (text) => {
  const match = /^(?:(\d{1,3}(?:\.\d{1,3}){3})|\[([0-9a-fA-F:]+)\]|(localhost)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[4]);
  if (match === null || port < 1 || port > 65_535)
    throw new Error(`expected an address like 127.0.0.1:3000, found ${JSON.stringify(text)}`);
  return { host: match[1] ?? match[2] ?? "127.0.0.1", port };
});

const SERVICE = object({
  name: required(LABEL),
  namespace: required(LABEL),
  serviceAccount: optional(LABEL),
  labels: optional(mapOf(string({ allowEmpty: true }))),
  ports: withDefault(
    listOf(
      placed(object({ port: required(PORT), protocol: withDefault<PortProtocol>(oneOf(...PORT_PROTOCOLS), "AUTO") })),
    ),
    [],
  ),
  app: optional(
    placed(object({ command: optional(listOf(string(), { minCount: 1 })), address: optional(placed(ADDRESS)) })),
  ),
  upstreams: withDefault(
    listOf(
      placed(
        object({ name: optional(LABEL), service: required(string()), port: required(PORT), localPort: optional(PORT) }),
      ),
    ),
    [],
  ),
  enforcement: optional(oneOf("ENFORCE", "AUDIT")),
  outboundPort: optional(PORT),
});

/** X.509 counts whole seconds; below this, half a lifetime leaves no room for a renewal and its retry. */
const CERT_TTL_SEC_MIN = 4;
const CERT_TTL_SEC_MAX = 3_600;
const DEFAULT_POLICIES = "policies";

const DOCUMENT = object({
  apiVersion: required(oneOf("cardea.dev/v1")),
  kind: required(oneOf("Mesh")),
  metadata: required(object({ name: required(LABEL) })),
  spec: required(
    object({
      trustDomain: withDefault(TRUST_DOMAIN, DEFAULT_MESH_SETTINGS.trustDomain),
      trustDomainAliases: withDefault(listOf(TRUST_DOMAIN), DEFAULT_MESH_SETTINGS.trustDomainAliases),
      rootNamespace: withDefault(LABEL, DEFAULT_MESH_SETTINGS.rootNamespace),
      enforcement: withDefault(oneOf("ENFORCE", "AUDIT"), DEFAULT_MESH_SETTINGS.enforcement),
      defaultAction: withDefault(oneOf("DENY", "ALLOW"), DEFAULT_MESH_SETTINGS.defaultAction),
      pathNormalization: withDefault(
        oneOf("NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"),
        DEFAULT_MESH_SETTINGS.pathNormalization,
      ),
      numTrustedProxies: withDefault(TRUSTED_PROXIES, DEFAULT_MESH_SETTINGS.numTrustedProxies),
      extensionProviders: withDefault(EXTENSION_PROVIDERS, DEFAULT_MESH_SETTINGS.extensionProviders),
      policies: withDefault(string(), DEFAULT_POLICIES),
      policiesGit: optional(GIT_POLICIES),
      workloadCertTtlSec: withDefault(integer({ min: CERT_TTL_SEC_MIN, max: CERT_TTL_SEC_MAX }), CERT_TTL_SEC_MAX),
      controlPort: optional(PORT),
      protocolDetectionTimeoutMs: withDefault(integer({ min: 1, max: 60_000 }), LIMITS.protocolDetectionMs),
      flowStore: withDefault(boolean(), true),
      flowSampleOneIn: withDefault(integer({ min: 1, max: LIMITS.flowSampledFromMax }), 1),
      tracing: optional(TRACING),
      jwks: FETCH_RULES,
      services: withDefault(listOf(placed(SERVICE)), []),
    }),
  ),
});

type ValueOf<S> = S extends Schema<infer T> ? T : never;
type ServiceFields = ValueOf<typeof SERVICE>;

function readService(service: Placed<ServiceFields>, scope: Scope): MeshService {
  const fields = service.value;
  checkPorts(fields, scope);
  return {
    name: fields.name,
    namespace: fields.namespace,
    serviceAccount: fields.serviceAccount ?? fields.name,
    // Policies select by labels, and `app` is the one that people expect to be there.
    labels: Object.fromEntries(fields.labels ?? [["app", fields.name]]),
    ports: fields.ports.map((port) => port.value),
    app: readApp(service, scope),
    upstreams: fields.upstreams.map(({ value }) => ({ ...value, name: value.name ?? firstLabel(value.service) })),
    enforcement: fields.enforcement,
    outboundPort: fields.outboundPort,
  };
}

function readApp(service: Placed<ServiceFields>, scope: Scope): MeshApp | null {
  const fields = service.value;
  if (fields.app === null) {
    if (fields.ports.length > 0)
      addFault({ ...scope, field: service.field }, service.at, "is required to serve its ports", "app");
    return null;
  }
  const { command, address } = fields.app.value;
  const at = { ...scope, field: fields.app.field };
  if ((command === null) === (address === null)) addFault(at, fields.app.at, "needs either `command` or `address`");
  if (address !== null && fields.ports.length !== 1)
    addFault({ ...scope, field: address.field }, address.at, "goes with exactly one port");
  if (address !== null) return { kind: "address", address: address.value };
  return { kind: "command", command: command ?? [] };
}

function checkPorts(fields: ServiceFields, scope: Scope): void {
  const seen = new Set<number>();
  for (const port of fields.ports) {
    if (seen.has(port.value.port))
      addFault({ ...scope, field: port.field }, port.at, `${port.value.port} is given twice`);
    seen.add(port.value.port);
  }
}

function checkNames(services: readonly Placed<ServiceFields>[], scope: Scope): void {
  const seen = new Set<string>();
  for (const service of services) {
    const name = `${service.value.name}.${service.value.namespace}`;
    if (seen.has(name)) addFault({ ...scope, field: service.field }, service.at, `the service ${name} is given twice`);
    seen.add(name);
  }
}

/** A mistyped upstream would be found out by a 502 much later. */
function checkUpstreams(
  from: Placed<ServiceFields>,
  caller: MeshService,
  services: readonly MeshService[],
  scope: Scope,
): void {
  const names = new Set<string>();
  for (const upstream of from.value.upstreams) {
    const at = { ...scope, field: upstream.field };
    const name = upstream.value.name ?? firstLabel(upstream.value.service);
    if (names.has(name)) addFault(at, upstream.at, `the name ${name} is given twice; set \`name\``);
    names.add(name);
    const target = services.find((service) => answersTo(service, upstream.value.service, caller.namespace));
    if (target === undefined) addFault(at, upstream.at, `no service of this file is called ${upstream.value.service}`);
    else if (!target.ports.some(({ port }) => port === upstream.value.port))
      addFault(at, upstream.at, `${target.name}.${target.namespace} has no port ${upstream.value.port}`);
  }
}

/** The names by which the registry will know it: `orders` (own namespace), `orders.shop`, `orders.shop.svc[.cluster.local]`. */
function answersTo(service: MeshService, host: string, fromNamespace: string): boolean {
  const long = `${service.name}.${service.namespace}`;
  if (host === service.name) return service.namespace === fromNamespace;
  return host === long || host === `${long}.svc` || host === `${long}.svc.cluster.local`;
}

function firstLabel(host: string): string {
  return host.split(".")[0]!;
}
