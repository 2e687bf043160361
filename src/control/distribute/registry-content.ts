import type { MeshApi } from "../../api/load.ts";
import { type SpiffeId, spiffeIdFor } from "../../core/spiffe-id.ts";
import { type MessagePort, serviceMessage, workloadMessage } from "./address-message.ts";
import { type About, type Changes, isSameResource } from "./about.ts";
import type { PlaintextPorts, PlaintextTable } from "./plaintext-ports.ts";
import type { LabelSet } from "./policy-set.ts";
import type { RegistryDocuments, ServiceEntry, ServiceEntryPort, WorkloadEntry } from "./registry-documents.ts";
import type { Resource } from "./resource.ts";
import { ServedServices } from "./served-services.ts";

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
  /** What changed after a version, where that is known. Null: compare all. */
  changedSince?(version: string): Changes | null;
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
  /** Left out: every port takes mutual TLS. */
  readonly plaintext?: PlaintextTable;
}

/** Makes contents of documents. What the same documents made before is the very same object again. */
export interface RegistryBuilder {
  build(version: string, documents: RegistryDocuments): RegistryContent;
}

/**
 * Documents → resources. Their names are unique already; a workload serves what selects it in its namespace. A change of
 * one file costs the encoding of that file's documents, and of the workloads that a changed service selects.
 */
export function createRegistryBuilder(context: RegistryContext): RegistryBuilder {
  const ofService = remembered((service: ServiceEntry) => serviceResources(service, context));
  const registered = remembered((workload: WorkloadEntry) => registeredOf(workload, context.trustDomain));
  const ofWorkload = new WeakMap<WorkloadEntry, MadeWorkload>();

  function workloadOf(workload: WorkloadEntry, services: readonly ServiceEntry[]): Resource {
    const { namespace, labels } = workload;
    const plaintext = context.plaintext?.of({ namespace, labels: Object.fromEntries(labels) }) ?? null;
    const known = ofWorkload.get(workload);
    if (known !== undefined && isSameList(known.services, services) && isSamePorts(known.plaintext, plaintext))
      return known.resource;
    const resource = workloadResource({ workload, services, plaintext }, context);
    ofWorkload.set(workload, { services, plaintext, resource });
    return resource;
  }

  return {
    build(version, documents) {
      const services = documents.services.flatMap(ofService);
      const byNamespace = Map.groupBy(documents.services, (service) => service.namespace);
      const workloads = documents.workloads.map((workload) =>
        workloadOf(workload, (byNamespace.get(workload.namespace) ?? []).filter(selects(workload))),
      );
      return {
        version,
        resources: new Map([...services, ...workloads].map((resource) => [resource.name, resource])),
        workloads: documents.workloads.map(registered),
        serviceCount: services.length,
      };
    },
  };
}

interface MadeWorkload {
  readonly services: readonly ServiceEntry[];
  readonly plaintext: PlaintextPorts | null;
  readonly resource: Resource;
}

function isSamePorts(left: PlaintextPorts | null, right: PlaintextPorts | null): boolean {
  return left === right || JSON.stringify(left) === JSON.stringify(right);
}

/** What is different in a later content. Null: nothing. */
export function changesBetween(before: RegistryContent, after: RegistryContent): Changes | null {
  const names = new Map<string, readonly About[]>();
  const served = new ServedServices();
  for (const { about } of before.resources.values()) served.note(null, about);
  served.takeOpened();
  const note = (name: string, was: Resource | undefined, is: Resource | undefined): void => {
    if (isSameResource(was, is)) return;
    names.set(name, aboutsOf(was, is));
    served.note(was?.about, is?.about);
  };
  for (const [name, resource] of after.resources) note(name, before.resources.get(name), resource);
  for (const [name, resource] of before.resources) if (!after.resources.has(name)) note(name, resource, undefined);
  // Labels are in no resource, but decide which policies a sidecar gets.
  const [was, is] = [labelsOf(before.workloads), labelsOf(after.workloads)];
  const identities = new Set([...was.keys(), ...is.keys()].filter((each) => was.get(each) !== is.get(each)));
  return names.size === 0 && identities.size === 0 ? null : { names, identities, opened: served.takeOpened() };
}

/** What a resource that changed was about, and is. */
export function aboutsOf(before: Resource | undefined, after: Resource | undefined): readonly About[] {
  return [before?.about, after?.about].filter((about) => about !== null && about !== undefined);
}

const labelTexts = new WeakMap<readonly RegisteredWorkload[], ReadonlyMap<SpiffeId, string>>();

function labelsOf(workloads: readonly RegisteredWorkload[]): ReadonlyMap<SpiffeId, string> {
  const known = labelTexts.get(workloads);
  if (known !== undefined) return known;
  const texts = new Map<SpiffeId, string>();
  for (const each of workloads) texts.set(each.spiffeId, `${texts.get(each.spiffeId) ?? ""}\n${labelTextOf(each)}`);
  labelTexts.set(workloads, texts);
  return texts;
}

const labelTextOf = remembered(({ labels }: RegisteredWorkload) => JSON.stringify(labels));

/** Its results, as long as somebody holds what they were made of. */
function remembered<Key extends object, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const made = new WeakMap<Key, Value>();
  return (key) => {
    const known = made.get(key);
    if (known !== undefined) return known;
    const value = make(key);
    made.set(key, value);
    return value;
  };
}

function isSameList<T>(left: readonly T[], right: readonly T[]): boolean {
  return left.length === right.length && left.every((each, index) => each === right[index]);
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
  const { name, namespace, hosts, addresses, ports, exportTo } = entry;
  const own = ports.map((port) => portOf(port, port.targetPort));
  return hosts.map((hostname) => serviceMessage({ name, namespace, hostname, addresses, ports: own, exportTo }, api));
}

interface WorkloadParts {
  readonly workload: WorkloadEntry;
  readonly services: readonly ServiceEntry[];
  readonly plaintext: PlaintextPorts | null;
}

function workloadResource({ workload, services, plaintext }: WorkloadParts, context: RegistryContext): Resource {
  const { name, namespace, serviceAccount, labels, address, hbonePort } = workload;
  const served = services.flatMap((service) =>
    service.hosts.map((host) => ({
      name: serviceResourceName(namespace, host),
      ports: portsOf(workload, service),
      exportTo: service.exportTo,
    })),
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
      plaintext,
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
