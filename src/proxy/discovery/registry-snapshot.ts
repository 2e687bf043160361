import type { SpiffeId } from "../../core/spiffe-id.ts";

/**
 * What the mesh knows of services and workloads at one moment. Immutable: a change makes a new snapshot in which
 * untouched `Service` objects stay the very same ones, so pools and caches may be keyed by them.
 */
export interface RegistrySnapshot {
  /**
   * The service that a name means to a caller of `fromNamespace`: `orders`, `orders.shop`, `orders.shop.svc`,
   * `orders.shop.svc.cluster.local`, or the full host of any other ServiceEntry. Case and one trailing dot do not
   * matter; the host comes without its port. Null: REGISTRY_ONLY has no such service.
   */
  lookup(host: string, fromNamespace: string): Service | null;
  /** The workloads that run under an identity, for names in flow records and metrics; empty when unknown. */
  workloadsOf(spiffeId: SpiffeId): readonly WorkloadNames[];
  readonly services: readonly Service[];
}

export interface Service {
  /** e.g. `orders.shop.svc.cluster.local`, lower case. */
  readonly fqdn: string;
  readonly namespace: string;
  /** e.g. `orders`. */
  readonly name: string;
  /** By service port. */
  readonly ports: ReadonlyMap<number, ServicePort>;
}

export interface ServicePort {
  readonly port: number;
  readonly protocol: ServiceProtocol;
  /** Healthy workloads that speak mutual TLS, in a stable order; may be empty. */
  readonly endpoints: readonly Endpoint[];
}

export type ServiceProtocol = "HTTP" | "TCP";

/** One place to send to: a workload's address and port, and who must answer there. */
export interface Endpoint {
  /** IP literal. */
  readonly address: string;
  /** Where to dial: the workload's own port, in local mode its sidecar's inbound port. */
  readonly port: number;
  /** The port as policies mean it. */
  readonly containerPort: number;
  /** The identity that the peer's certificate has to prove. */
  readonly spiffeId: SpiffeId;
  /** The workload's name, e.g. `orders-1`. */
  readonly workload: string;
  readonly namespace: string;
  /** Istio's `app` and `version` labels of telemetry. */
  readonly canonicalName: string;
  readonly revision: string;
}

export interface WorkloadNames {
  readonly workload: string;
  readonly namespace: string;
  readonly canonicalName: string;
  readonly revision: string;
}

interface RegistryContent {
  readonly services: Iterable<Service>;
  readonly workloads: Iterable<WorkloadNames & { readonly spiffeId: SpiffeId }>;
}

/** Indexes services by every name they answer to. */
export function createRegistrySnapshot(content: RegistryContent): RegistrySnapshot {
  const services = [...content.services].toSorted(byFqdnAndNamespace);
  const byHost = new Map<string, Service[]>();
  // The mesh's own names come first, so that an outside host `orders.shop` of some namespace cannot take them over.
  const inOrder = [...services.filter(isMeshService), ...services.filter((service) => !isMeshService(service))];
  for (const service of inOrder) for (const host of hostsOf(service)) append(byHost, host, service);
  const byIdentity = new Map<SpiffeId, WorkloadNames[]>();
  for (const { spiffeId, ...names } of content.workloads) append(byIdentity, spiffeId, names);
  return {
    services,
    lookup(host, fromNamespace) {
      const name = normalHost(host);
      // As the cluster's DNS search path does it: a bare name is first one of the caller's own namespace.
      const candidates = (name.includes(".") ? null : byHost.get(`${name}.${fromNamespace}`)) ?? byHost.get(name);
      return candidates === undefined ? null : nearest(candidates, fromNamespace);
    },
    workloadsOf: (spiffeId) => byIdentity.get(spiffeId) ?? [],
  };
}

/** The snapshot of a sidecar that has heard nothing yet. */
export const EMPTY_REGISTRY: RegistrySnapshot = createRegistrySnapshot({ services: [], workloads: [] });

/** Whether the host has Kubernetes' shape for the service's own name and namespace. */
function isMeshService(service: Service): boolean {
  return service.fqdn.startsWith(`${service.name}.${service.namespace}.svc.`);
}

function hostsOf(service: Service): string[] {
  const short = `${service.name}.${service.namespace}`;
  return isMeshService(service) ? [service.fqdn, `${short}.svc`, short] : [service.fqdn];
}

/** Two namespaces may declare the same host: the caller's own comes first, then the first in order. */
function nearest(candidates: readonly Service[], fromNamespace: string): Service | null {
  return candidates.find((service) => service.namespace === fromNamespace) ?? candidates[0] ?? null;
}

function normalHost(host: string): string {
  const lower = host.toLowerCase();
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}

function byFqdnAndNamespace(left: Service, right: Service): number {
  return compare(left.fqdn, right.fqdn) || compare(left.namespace, right.namespace);
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function append<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
