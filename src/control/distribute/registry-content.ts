import type { MeshApi } from "../../api/load.ts";
import { type SpiffeId, spiffeIdFor } from "../../core/spiffe-id.ts";
import { type MessagePort, serviceMessage, workloadMessage } from "./address-message.ts";
import type { LabelSet } from "./policy-set.ts";
import type { RegistryDocuments, ServiceEntry, ServiceEntryPort, WorkloadEntry } from "./registry-documents.ts";
import type { Resource } from "./resource.ts";

/** What the registry knows at one moment, as it is distributed. */
export interface RegistryContent {
  /** Counts the changes since the start. */
  readonly version: string;
  /** istio.workload.Address, by resource name. */
  readonly resources: ReadonlyMap<string, Resource>;
  readonly workloads: readonly RegisteredWorkload[];
  readonly serviceCount: number;
  /** The different label sets of an identity's workloads, where they are known without a search. */
  labelSetsOf?(spiffeId: SpiffeId): readonly LabelSet[];
  /** The names of the resources that changed after a version, where that is known. Null: compare all. */
  changedSince?(version: string): ReadonlySet<string> | null;
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

function serviceResources(entry: ServiceEntry, { api }: RegistryContext): Resource[] {
  const { name, namespace, hosts, addresses, ports } = entry;
  const own = ports.map((port) => portOf(port, port.targetPort));
  return hosts.map((hostname) => serviceMessage({ name, namespace, hostname, addresses, ports: own }, api));
}

function workloadResource(
  workload: WorkloadEntry,
  services: readonly ServiceEntry[],
  context: RegistryContext,
): Resource {
  const { name, namespace, serviceAccount, labels, address, hbonePort } = workload;
  const served = services.flatMap((service) =>
    service.hosts.map((host) => ({ name: serviceResourceName(namespace, host), ports: portsOf(workload, service) })),
  );
  return workloadMessage(
    {
      uid: workloadResourceName(workload),
      name,
      namespace,
      addresses: [address],
      serviceAccount,
      workloadName: name,
      labels,
      // In local mode every workload stands behind a sidecar.
      reach: { hbonePort },
      services: served,
    },
    context,
  );
}

/** Service port → where this workload takes it. */
function portsOf(workload: WorkloadEntry, service: ServiceEntry): MessagePort[] {
  return service.ports.map((port) => portOf(port, workload.ports.get(port.name) ?? port.targetPort));
}

function portOf({ number, protocol }: ServiceEntryPort, targetPort: number): MessagePort {
  return { port: number, targetPort, protocol };
}

function registeredOf(workload: WorkloadEntry, trustDomain: string): RegisteredWorkload {
  const { name, namespace, serviceAccount } = workload;
  const spiffeId = spiffeIdFor(trustDomain, namespace, serviceAccount);
  const labels = Object.fromEntries([...workload.labels].toSorted(([left], [right]) => (left < right ? -1 : 1)));
  return { name, namespace, serviceAccount, spiffeId, labels };
}
