import type { PortProtocol } from "../../core/port-protocol.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import { addAt, type AddressIndex, type AddressMeaning, lookUpAddress, type PlacedWorkload } from "./address-index.ts";

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
  /** The same of an address and port that an app has dialled, knowing nothing of the mesh. Null: REGISTRY_ONLY. */
  lookupAddress(ip: string, port: number): AddressMeaning | null;
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
  /** Its own IP addresses; a headless service has none, as one of a local mesh. */
  readonly addresses?: readonly string[];
}

export interface ServicePort {
  readonly port: number;
  readonly protocol: ServiceProtocol;
  /** As the workload's own sidecar has to know it, where that was told. */
  readonly declared?: PortProtocol;
  /** Healthy workloads that speak mutual TLS, in a stable order; may be empty. */
  readonly endpoints: readonly Endpoint[];
}

/** What a service's port is declared to speak; HTTP of either version is one, since the far sidecar speaks to the app. */
export type ServiceProtocol = "AUTO" | "HTTP" | "TCP" | "TLS";

/** How a port is used: requests that are read, or bytes that are not. */
export type Carriage = "HTTP" | "TCP";

/** One place to send to: a workload's address and port, and who must answer there. */
export interface Endpoint {
  /** IP literal. */
  readonly address: string;
  /** Where to dial: the workload's own port, in local mode its sidecar's inbound port. */
  readonly port: number;
  /** The port as policies mean it. */
  readonly containerPort: number;
  /** Where the workload takes opaque TCP by CONNECT; null: nowhere, so that it goes to `port` in mutual TLS. */
  readonly hbonePort: number | null;
  /** It takes plaintext alone there. */
  readonly isPlaintext?: boolean;
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

export interface NamedWorkload extends WorkloadNames {
  readonly spiffeId: SpiffeId;
}

/** What a snapshot is looked up in. */
export interface RegistryIndex {
  readonly services: Iterable<Service>;
  /** The services that answer to a host name, the preferred ones first (`withHost`). */
  readonly byHost: ReadonlyMap<string, readonly Service[]>;
  readonly byIdentity: ReadonlyMap<SpiffeId, readonly WorkloadNames[]>;
  readonly byAddress: AddressIndex;
}

/** A snapshot of an index that does not change any more. */
export function snapshotOf(index: RegistryIndex): RegistrySnapshot {
  let sorted: readonly Service[] | null = null;
  return {
    get services() {
      sorted ??= [...index.services].toSorted(byPreference);
      return sorted;
    },
    lookup(host, fromNamespace) {
      const name = normalHost(host);
      // As the cluster's DNS search path does it: a bare name is first one of the caller's own namespace.
      const candidates =
        (name.includes(".") ? null : index.byHost.get(`${name}.${fromNamespace}`)) ?? index.byHost.get(name);
      return candidates === undefined ? null : nearest(candidates, fromNamespace);
    },
    lookupAddress: (ip, port) => lookUpAddress(index.byAddress, ip, port),
    workloadsOf: (spiffeId) => index.byIdentity.get(spiffeId) ?? [],
  };
}

/** A snapshot made from nothing. */
export function createRegistrySnapshot(content: {
  readonly services: readonly Service[];
  readonly workloads: readonly NamedWorkload[];
}): RegistrySnapshot {
  const byHost = new Map<string, readonly Service[]>();
  for (const service of content.services) addHosts(byHost, service);
  const byIdentity = Map.groupBy(content.workloads, (workload) => workload.spiffeId);
  return snapshotOf({ services: content.services, byHost, byIdentity, byAddress: placesOf(content.services) });
}

/** Where the endpoints say that they are. */
function placesOf(services: readonly Service[]): AddressIndex {
  const byVip = new Map<string, readonly Service[]>();
  const workloads = new Map<string, readonly PlacedWorkload[]>();
  const byResource = new Map(services.map((service) => [`${service.namespace}/${service.fqdn}`, service]));
  for (const [resource, service] of byResource) {
    for (const address of service.addresses ?? []) addAt(byVip, address, service);
    const ends = [...service.ports.values()].flatMap((each) =>
      each.endpoints.map((end) => ({ ...end, of: each.port })),
    );
    for (const end of ends) {
      const { address, hbonePort } = end;
      const served = new Map([[resource, new Map([[end.of, end.port]])]]);
      addAt(workloads, address, {
        address,
        names: end,
        takesMutualTls: true,
        hbonePort,
        plaintext: null,
        services: served,
      });
    }
  }
  return { services: byVip, workloads, byResource };
}

/** The snapshot of a sidecar that has heard nothing yet. */
export const EMPTY_REGISTRY: RegistrySnapshot = createRegistrySnapshot({ services: [], workloads: [] });

/** Enters a service under all its names. Lists are replaced, never changed: snapshots share them. */
export function addHosts(byHost: Map<string, readonly Service[]>, service: Service): void {
  for (const host of hostsOf(service)) {
    byHost.set(host, [...(byHost.get(host) ?? []), service].toSorted(byPreference));
  }
}

export function removeHosts(byHost: Map<string, readonly Service[]>, service: Service): void {
  for (const host of hostsOf(service)) {
    const others = byHost.get(host)?.filter((each) => each !== service) ?? [];
    if (others.length === 0) byHost.delete(host);
    else byHost.set(host, others);
  }
}

function hostsOf(service: Service): string[] {
  const short = meshNameOf(service);
  return short === null ? [service.fqdn] : [service.fqdn, `${short}.svc`, short];
}

/** `orders.shop` of `orders.shop.svc.cluster.local`, when the service's own namespace says so, too. */
function meshNameOf({ fqdn, namespace }: Service): string | null {
  const [name, ofNamespace, svc] = fqdn.split(".");
  return svc === "svc" && ofNamespace === namespace ? `${name}.${namespace}` : null;
}

/** Two namespaces may declare the same host: the caller's own comes first, then the first in order. */
function nearest(candidates: readonly Service[], fromNamespace: string): Service | null {
  return candidates.find((service) => service.namespace === fromNamespace) ?? candidates[0] ?? null;
}

/** The mesh's own names come first, so that an outside host `orders.shop` of some namespace cannot take them over. */
function byPreference(left: Service, right: Service): number {
  const isLeftMesh = meshNameOf(left) !== null;
  if (isLeftMesh !== (meshNameOf(right) !== null)) return isLeftMesh ? -1 : 1;
  return compare(left.fqdn, right.fqdn) || compare(left.namespace, right.namespace);
}

function normalHost(host: string): string {
  const lower = host.toLowerCase();
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
