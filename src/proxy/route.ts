import { CardeaError } from "../core/errors.ts";
import { parseAuthority } from "../wire/authority.ts";
import type { RegistrySnapshot, Service, ServicePort } from "./discovery/registry-snapshot.ts";

/** A service's port that a request is for. */
export interface Route {
  readonly service: Service;
  readonly port: ServicePort;
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
