import type { MeshApi } from "../../api/load.ts";
import { ADDRESS_TYPE } from "../../api/resource-types.ts";
import { type IpAddress, parseIp } from "../../core/cidr.ts";
import type { PortProtocol } from "../../core/port-protocol.ts";
import { type SpiffeId, spiffeIdFor } from "../../core/spiffe-id.ts";
import type { RegistryDocuments, ServiceEntry, ServiceEntryPort, WorkloadEntry } from "./registry-documents.ts";
import { createResource, type Resource } from "./resource.ts";

/** What the registry knows at one moment, as it is distributed. */
export interface RegistryContent {
  /** Counts the changes since the start. */
  readonly version: string;
  /** istio.workload.Address, by resource name. */
  readonly resources: ReadonlyMap<string, Resource>;
  readonly workloads: readonly RegisteredWorkload[];
  readonly serviceCount: number;
}

export interface RegisteredWorkload {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly spiffeId: SpiffeId;
  /** In the order of their names, so that equal sets look equal. */
  readonly labels: Readonly<Record<string, string>>;
}

export interface RegistryContext {
  readonly api: MeshApi;
  readonly trustDomain: string;
}

/** Documents → resources. Their names are unique already; a workload serves what selects it in its namespace. */
export function createRegistryContent(
  version: string,
  documents: RegistryDocuments,
  context: RegistryContext,
): RegistryContent {
  const services = documents.services.flatMap((service) => serviceResources(service, context));
  const byNamespace = Map.groupBy(documents.services, (service) => service.namespace);
  const workloads = documents.workloads.map((workload) => {
    const candidates = byNamespace.get(workload.namespace) ?? [];
    return workloadResource(workload, candidates.filter(selects(workload)), context);
  });
  return {
    version,
    resources: new Map([...services, ...workloads].map((resource) => [resource.name, resource])),
    workloads: documents.workloads.map((workload) => registeredOf(workload, context.trustDomain)),
    serviceCount: services.length,
  };
}

/** xDS resource name of a service: one for each host. */
export function serviceResourceName(namespace: string, host: string): string {
  return `${namespace}/${host}`;
}

/** xDS resource name and uid of a workload, in Istio's shape (cluster/group/kind/namespace/name). */
export function workloadResourceName(workload: { readonly namespace: string; readonly name: string }): string {
  return `local/networking.istio.io/WorkloadEntry/${workload.namespace}/${workload.name}`;
}

function selects(workload: WorkloadEntry): (service: ServiceEntry) => boolean {
  return (service) => [...service.selector].every(([label, value]) => workload.labels.get(label) === value);
}

function serviceResources(service: ServiceEntry, { api }: RegistryContext): Resource[] {
  const { name, namespace } = service;
  const ports = service.ports.map((port) => portMessage(port, port.targetPort));
  return service.hosts.map((hostname) =>
    createResource(serviceResourceName(namespace, hostname), api.address, ADDRESS_TYPE, {
      service: { name, namespace, hostname, ports },
    }),
  );
}

function workloadResource(
  workload: WorkloadEntry,
  services: readonly ServiceEntry[],
  { api, trustDomain }: RegistryContext,
): Resource {
  const { name, namespace, serviceAccount, labels } = workload;
  const served = services.flatMap((service) =>
    service.hosts.map((host) => [serviceResourceName(namespace, host), { ports: portsOf(workload, service) }] as const),
  );
  const uid = workloadResourceName(workload);
  return createResource(uid, api.address, ADDRESS_TYPE, {
    workload: {
      uid,
      name,
      namespace,
      addresses: [addressBytes(workload.address)],
      // In local mode every workload stands behind a sidecar, which is its own waypoint: its HBONE port is not 15008.
      ...(workload.hbonePort === null
        ? { tunnelProtocol: "LEGACY_ISTIO_MTLS" as const }
        : {
            tunnelProtocol: "HBONE" as const,
            waypoint: {
              destination: "address" as const,
              address: { network: "", address: addressBytes(workload.address) },
              hboneMtlsPort: workload.hbonePort,
            },
          }),
      trustDomain,
      serviceAccount,
      workloadName: name,
      canonicalName: canonicalName(workload),
      canonicalRevision:
        firstOf(labels, ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]) ?? "latest",
      services: Object.fromEntries(served),
    },
  });
}

/** Service port → where this workload takes it. */
function portsOf(workload: WorkloadEntry, service: ServiceEntry) {
  return service.ports.map((port) => portMessage(port, workload.ports.get(port.name) ?? port.targetPort));
}

function portMessage(port: ServiceEntryPort, targetPort: number) {
  return { servicePort: port.number, targetPort, appProtocol: APP_PROTOCOLS[port.protocol] };
}

/** As istio.workload.AppProtocol has it; where nothing is declared, the sidecars look. */
const APP_PROTOCOLS = {
  AUTO: "UNKNOWN",
  HTTP: "HTTP11",
  HTTP2: "HTTP2",
  GRPC: "GRPC",
  TCP: "TCP",
  TLS: "TLS",
} as const satisfies Record<PortProtocol, string>;

/** Istio's order of labels for the `app` of telemetry. */
function canonicalName(workload: WorkloadEntry): string {
  return (
    firstOf(workload.labels, ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]) ?? workload.name
  );
}

function firstOf(labels: ReadonlyMap<string, string>, names: readonly string[]): string | undefined {
  return names.map((name) => labels.get(name)).find((value) => value !== undefined && value !== "");
}

function registeredOf(workload: WorkloadEntry, trustDomain: string): RegisteredWorkload {
  const { name, namespace, serviceAccount } = workload;
  const spiffeId = spiffeIdFor(trustDomain, namespace, serviceAccount);
  const labels = Object.fromEntries([...workload.labels].toSorted(([left], [right]) => (left < right ? -1 : 1)));
  return { name, namespace, serviceAccount, spiffeId, labels };
}

/** The documents' schema has read the address already. */
function addressBytes(text: string): Buffer {
  const address: IpAddress | null = parseIp(text);
  if (address === null) throw new Error(`not an IP address: ${text}`);
  const hex = address.bits.toString(16).padStart(address.family === 4 ? 8 : 32, "0");
  return Buffer.from(hex, "hex");
}
