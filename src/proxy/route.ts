import { CardeaError } from "../core/errors.ts";
import type { Address } from "../core/ports.ts";
import { parseAuthority } from "../wire/authority.ts";
import type { RegistrySnapshot, Service, ServicePort } from "./discovery/registry-snapshot.ts";

/** A service's port that a request is for. */
export interface Route {
  readonly service: Service;
  readonly port: ServicePort;
  /** One workload was dialled by its own address: no other will do, and no traffic rule speaks of it. */
  readonly workload?: Address;
}

export interface RouteTable {
  readonly registry: RegistrySnapshot;
  /** The caller's namespace, in which short names are looked up first. */
  readonly namespace: string;
  /** The mesh's own ports on this host. */
  readonly ownPorts: readonly number[];
}

/**
 * The authority that a request names (proxy form, CONNECT, or Host) → its service's port; 80 where none is given.
 * Errors: `no-route`, `loop-refused`, `bad-request`.
 */
export function routeByAuthority(authority: string | null, table: RouteTable): Route {
  if (authority === null || authority === "") throw new CardeaError("bad-request", "the request names no host");
  const { host, port } = parseAuthority(authority);
  const servicePort = port ?? 80;
  if (isOwnHost(host) && table.ownPorts.includes(servicePort)) {
    throw new CardeaError("loop-refused", `${authority} is a port of the mesh itself`);
  }
  return routeToService(host, servicePort, table);
}

/** What an app has dialled that knows nothing of the mesh. Errors: `no-route`, `loop-refused`. */
export function routeByAddress(to: Address, { registry, ownPorts }: RouteTable): Route {
  const { host, port } = to;
  const meaning = registry.lookupAddress(host, port);
  if (meaning === null) throw new CardeaError("no-route", `nobody of the mesh is known at ${host}:${port}`);
  if (!meaning.isWorkload) return { service: meaning.service, port: meaning.port };
  // Every sidecar has the same ones.
  if (ownPorts.includes(port)) throw new CardeaError("loop-refused", `${port} is a port of the mesh itself`);
  return { service: meaning.service, port: meaning.port, workload: to };
}

/** A fixed upstream's service. Errors: `no-route`. */
export function routeToService(host: string, servicePort: number, table: RouteTable): Route {
  const service = table.registry.lookup(host, table.namespace);
  if (service === null) throw new CardeaError("no-route", `no service ${host} is known`);
  const port = service.ports.get(servicePort);
  if (port === undefined) throw new CardeaError("no-route", `service ${service.fqdn} has no port ${servicePort}`);
  return { service, port };
}

/** This host by any of its local names; the mesh's ports of other hosts are reached through the registry alone. */
function isOwnHost(host: string): boolean {
  return (
    host === "localhost" ||
    host.endsWith(".localhost") ||
    host.startsWith("127.") ||
    host === "::1" ||
    host === "0.0.0.0" ||
    host === "::"
  );
}
