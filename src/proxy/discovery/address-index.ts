import { parseIp } from "../../core/cidr.ts";
import type { Endpoint, NamedWorkload, Service, ServicePort } from "./registry-snapshot.ts";
import { type PlaintextPorts, takesPlaintext } from "./wire-address.ts";

/** One workload at one of its own addresses. */
export interface PlacedWorkload {
  /** IP literal. */
  readonly address: string;
  readonly names: NamedWorkload;
  /** Whether its ports take mutual TLS themselves; else opaque TCP goes by `hbonePort`, and nothing else goes. */
  readonly takesMutualTls: boolean;
  readonly hbonePort: number | null;
  readonly plaintext: PlaintextPorts | null;
  /** Resource name of a service that it serves → the service's port → where the workload takes it. */
  readonly services: ReadonlyMap<string, ReadonlyMap<number, number>>;
}

/** What stands behind addresses, by `addressKey`. */
export interface AddressIndex {
  readonly services: ReadonlyMap<string, readonly Service[]>;
  readonly workloads: ReadonlyMap<string, readonly PlacedWorkload[]>;
  readonly byResource: ReadonlyMap<string, Service>;
}

/** What an address and a port mean. */
export interface AddressMeaning {
  readonly service: Service;
  readonly port: ServicePort;
  /** It is that very workload's own address: no other will do. */
  readonly isWorkload: boolean;
}

/** One text for an address, however it is written. */
export function addressKey(ip: string): string {
  const address = parseIp(ip);
  return address === null ? ip : `${address.family} ${address.bits}`;
}

/**
 * A service by its own address, else one workload by its: on a port of a service that it serves, or on any other, for
 * which nothing is declared. Null: the mesh knows of none, or cannot tell which of several it is.
 */
export function lookUpAddress(index: AddressIndex, ip: string, port: number): AddressMeaning | null {
  const key = addressKey(ip);
  for (const service of index.services.get(key) ?? []) {
    const found = service.ports.get(port);
    if (found !== undefined) return { service, port: found, isWorkload: false };
  }
  const workloads = index.workloads.get(key) ?? [];
  for (const workload of workloads) {
    const served = servedPort(workload, port, index.byResource);
    if (served !== null) return served;
  }
  // Whose identity is to be expected must be certain: pods of the host's network share an address.
  return workloads.length === 1 ? undeclaredPort(workloads[0]!, port) : null;
}

/** Adds to a list of the index. Lists are replaced, never changed: snapshots share them. */
export function addAt<T>(map: Map<string, readonly T[]>, ip: string, value: T): void {
  const key = addressKey(ip);
  map.set(key, [...(map.get(key) ?? []), value]);
}

export function removeAt<T>(map: Map<string, readonly T[]>, ip: string, value: T): void {
  const key = addressKey(ip);
  const others = map.get(key)?.filter((each) => each !== value) ?? [];
  if (others.length === 0) map.delete(key);
  else map.set(key, others);
}

function servedPort(
  workload: PlacedWorkload,
  port: number,
  byResource: ReadonlyMap<string, Service>,
): AddressMeaning | null {
  for (const [resource, ports] of workload.services) {
    const service = byResource.get(resource);
    const servicePort = [...ports].find(([, at]) => at === port)?.[0];
    const declared = servicePort === undefined ? undefined : service?.ports.get(servicePort);
    if (service === undefined || declared === undefined) continue;
    const known = declared.endpoints.find((each) => each.workload === workload.names.workload && each.port === port);
    if (known === undefined) continue;
    return { service, port: { ...declared, endpoints: [{ ...known, address: workload.address }] }, isWorkload: true };
  }
  return null;
}

function undeclaredPort(workload: PlacedWorkload, port: number): AddressMeaning {
  const { address, takesMutualTls, hbonePort, plaintext, names } = workload;
  const isPlaintext = takesPlaintext(plaintext, port);
  const at = { address, port, containerPort: port, hbonePort, ...(isPlaintext ? { isPlaintext } : {}) };
  const endpoint: Endpoint = { ...at, ...names };
  // As Kubernetes' DNS names pods.
  const fqdn = `${address.replaceAll(/[.:]/g, "-")}.${names.namespace}.pod`;
  const service: Service = { fqdn, namespace: names.namespace, name: names.workload, ports: new Map() };
  const protocol = takesMutualTls || isPlaintext ? "AUTO" : "TCP";
  return { service, port: { port, protocol, endpoints: [endpoint] }, isWorkload: true };
}
