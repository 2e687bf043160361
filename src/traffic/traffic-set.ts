import { DEFAULT_PORT_TRAFFIC } from "./default-traffic.ts";
import type { PortTraffic, ServiceTraffic } from "./service-traffic.ts";

/** All traffic rules that a sidecar holds, at one revision. Immutable; a change makes a new set. */
export interface TrafficSet {
  readonly revision: string;
  /** By the service's full name in lower case, e.g. `orders.shop.svc.cluster.local`. */
  readonly byService: ReadonlyMap<string, ServiceTraffic>;
}

export const NO_TRAFFIC: TrafficSet = Object.freeze({ revision: "none", byService: new Map() });

export function trafficOf(set: TrafficSet, fqdn: string, port: number): PortTraffic {
  const traffic = set.byService.get(fqdn);
  if (traffic === undefined) return DEFAULT_PORT_TRAFFIC;
  return traffic.ports.get(port) ?? traffic.default;
}
