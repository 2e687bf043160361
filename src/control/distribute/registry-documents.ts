import { parseIp } from "../../core/cidr.ts";
import { toCardeaError } from "../../core/errors.ts";
import { type Fault, type Located, locatePlain } from "../../core/located.ts";
import { type PortProtocol, protocolOfWord } from "../../core/port-protocol.ts";
import {
  addFault,
  ignored,
  integer,
  listOf,
  lookUp,
  mapOf,
  object,
  oneOf,
  optional,
  parsed,
  refused,
  required,
  type Scope,
  string,
  withDefault,
} from "../../core/schema.ts";
import { EXPORT_TO, type ExportTo, exportToOf } from "../../traffic/export-to.ts";

/** A service of the local registry: networking.istio.io ServiceEntry, the part of it that the mesh uses. */
export interface ServiceEntry {
  readonly name: string;
  readonly namespace: string;
  readonly hosts: readonly string[];
  readonly ports: readonly ServiceEntryPort[];
  /** Its own IP addresses, which no workload has. */
  readonly addresses: readonly string[];
  /** Labels of the workloads that serve it, all of its own namespace. */
  readonly selector: ReadonlyMap<string, string>;
  /** The namespaces that learn of it; null: all. */
  readonly exportTo: ExportTo;
}

export interface ServiceEntryPort {
  readonly number: number;
  readonly name: string;
  readonly protocol: PortProtocol;
  /** The container port, which policies mean. */
  readonly targetPort: number;
}

/** A workload of the local registry: networking.istio.io WorkloadEntry. */
export interface WorkloadEntry {
  readonly name: string;
  readonly namespace: string;
  /** IP literal. */
  readonly address: string;
  /** By port name: where to dial, when it is not the service's target port. */
  readonly ports: ReadonlyMap<string, number>;
  readonly labels: ReadonlyMap<string, string>;
  readonly serviceAccount: string;
  /** Where it takes HBONE, by Istio's label for that and its port of that name; null: it does not. */
  readonly hbonePort: number | null;
}

export interface RegistryDocuments {
  readonly services: readonly ServiceEntry[];
  readonly workloads: readonly WorkloadEntry[];
}

/** A registry file (a v1 List) → its documents, or null with every fault added: a file counts whole or not at all. */
export function parseRegistryFile(text: string, file: string, faults: Fault[]): RegistryDocuments | null {
  const scope: Scope = { file, field: "", faults };
  const faultsBefore = faults.length;
  const located = locateJson(text, scope);
  const list = located === null ? undefined : LIST(located, scope);
  const services: ServiceEntry[] = [];
  const workloads: WorkloadEntry[] = [];
  for (const [index, item] of (list?.items ?? []).entries()) {
    const at = { ...scope, field: `items[${index}]` };
    const kind = lookUp(item, "kind");
    const read = kind === null ? undefined : KIND(kind, { ...at, field: `${at.field}.kind` });
    if (kind === null) addFault(at, item.at, "is required", "kind");
    if (read === "ServiceEntry") services.push(...toServiceEntry(SERVICE_ENTRY(item, at)));
    if (read === "WorkloadEntry") workloads.push(...toWorkloadEntry(WORKLOAD_ENTRY(item, at)));
  }
  return faults.length === faultsBefore ? { services, workloads } : null;
}

const LABEL = parsed(string(), (name) => {
  if (name.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name)) return name;
  throw new Error(`expected a name of a-z, 0-9 and -, found ${JSON.stringify(name)}`);
});

/** RFC 1123 subdomain: names of Kubernetes objects. */
const NAME = parsed(string(), (name) => {
  if (name.length <= 253 && /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(name)) return name;
  throw new Error(`expected a Kubernetes name (a-z, 0-9, - and .), found ${JSON.stringify(name)}`);
});

/** RFC 1123 names; no wildcard hosts, since a workload is looked up by one exact name. */
const HOST = parsed(string(), (host) => {
  if (host.length <= 253 && host.split(".").every((label) => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(label)))
    return host;
  throw new Error(`expected a host name in lower case, found ${JSON.stringify(host)}`);
});

const IP = parsed(string(), (text) => {
  if (parseIp(text) !== null) return text;
  throw new Error(`expected an IP address, found ${JSON.stringify(text)}`);
});

/** Istio's names, in either case; what it calls MONGO, MySQL or HTTPS means to us that it is not looked into. */
const PROTOCOL = parsed(string(), (word): PortProtocol => {
  const protocol = protocolOfWord(word);
  if (protocol !== null) return protocol;
  throw new Error(`expected a protocol such as HTTP, HTTP2, GRPC, HTTPS, TLS or TCP, found ${JSON.stringify(word)}`);
});
const PORT = integer({ min: 1, max: 65_535 });
const LABELS = mapOf(string({ allowEmpty: true }));
/** An empty selector would take in every workload of the namespace. */
const SELECTOR = parsed(LABELS, (labels) => {
  if (labels.size === 0) throw new Error("needs at least one label");
  return labels;
});
const API_VERSION = oneOf("networking.istio.io/v1", "networking.istio.io/v1beta1");
const KIND = oneOf("ServiceEntry", "WorkloadEntry");
const METADATA = object({
  name: required(NAME),
  namespace: required(LABEL),
  labels: optional(LABELS),
  annotations: ignored(),
});

const LIST = object({
  apiVersion: required(oneOf("v1")),
  kind: required(oneOf("List")),
  metadata: ignored(),
  items: required(listOf<Located>((item) => item)),
});

const SERVICE_ENTRY = object({
  apiVersion: required(API_VERSION),
  kind: required(KIND),
  metadata: required(METADATA),
  spec: required(
    object({
      hosts: required(listOf(HOST, { minCount: 1 })),
      ports: required(
        listOf(
          object({
            number: required(PORT),
            name: required(LABEL),
            protocol: withDefault(PROTOCOL, "AUTO"),
            targetPort: optional(PORT),
          }),
          { minCount: 1 },
        ),
      ),
      workloadSelector: required(object({ labels: required(SELECTOR) })),
      location: withDefault(oneOf("MESH_INTERNAL"), "MESH_INTERNAL"),
      resolution: withDefault(oneOf("STATIC"), "STATIC"),
      addresses: withDefault(listOf(IP), []),
      exportTo: optional(EXPORT_TO),
      endpoints: refused("is not supported: write a WorkloadEntry for each, which has an identity"),
    }),
  ),
});

const WORKLOAD_ENTRY = object({
  apiVersion: required(API_VERSION),
  kind: required(KIND),
  metadata: required(METADATA),
  spec: required(
    object({
      address: required(IP),
      ports: withDefault(mapOf(PORT), new Map()),
      labels: withDefault(LABELS, new Map()),
      serviceAccount: required(NAME),
      network: ignored(),
      locality: ignored(),
      weight: ignored(),
    }),
  ),
});

function toServiceEntry(read: ReturnType<typeof SERVICE_ENTRY>): ServiceEntry[] {
  if (read === undefined) return [];
  const { metadata, spec } = read;
  const ports = spec.ports.map((port) => ({ ...port, targetPort: port.targetPort ?? port.number }));
  const { name, namespace } = metadata;
  const { hosts, addresses } = spec;
  const exportTo = exportToOf(spec.exportTo, namespace);
  return [{ name, namespace, hosts, ports, addresses, selector: spec.workloadSelector.labels, exportTo }];
}

function toWorkloadEntry(read: ReturnType<typeof WORKLOAD_ENTRY>): WorkloadEntry[] {
  if (read === undefined) return [];
  const { metadata, spec } = read;
  const { name, namespace } = metadata;
  const { address, ports, serviceAccount } = spec;
  const labels = new Map([...(metadata.labels ?? []), ...spec.labels]);
  const hbonePort = labels.get(TUNNEL_LABEL) === "http" ? (ports.get(HBONE_PORT_NAME) ?? HBONE_PORT) : null;
  return [{ name, namespace, address, ports, serviceAccount, labels, hbonePort }];
}

/** What Istio marks workloads by that take HBONE, `http` being its value. */
const TUNNEL_LABEL = "networking.istio.io/tunnel";
const HBONE_PORT_NAME = "hbone";
const HBONE_PORT = 15_008;

function locateJson(text: string, scope: Scope): Located | null {
  try {
    return locatePlain(JSON.parse(text));
  } catch (thrown) {
    addFault(scope, null, `is not JSON: ${toCardeaError(thrown).message}`);
    return null;
  }
}
