import { DEFAULT_PORT_TRAFFIC } from "./default-traffic.ts";
import type { PortTraffic, ServiceTraffic } from "./service-traffic.ts";

/** All traffic rules that a sidecar holds, at one revision. Immutable; a change makes a new set. */
export interface TrafficSet {
  readonly revision: string;
  /**
   * By the service's full name in lower case, e.g. `orders.shop.svc.cluster.local`. Rules that did not change are the
   * very same object in the next set, so that what was learned under them may be kept by it.
   */
  readonly byService: ReadonlyMap<string, ServiceTraffic>;
  /** What rules for wildcard hosts say of all other services; `*.shop.svc.cluster.local` without its star, `*` as "". */
  readonly bySuffix: ReadonlyMap<string, ServiceTraffic>;
}

export const NO_TRAFFIC: TrafficSet = Object.freeze({ revision: "none", byService: new Map(), bySuffix: new Map() });

export function trafficOf(set: TrafficSet, fqdn: string, port: number): PortTraffic {
  const traffic = set.byService.get(fqdn) ?? (set.bySuffix.size === 0 ? undefined : wildcardTraffic(set, fqdn));
  if (traffic === undefined) return DEFAULT_PORT_TRAFFIC;
  return traffic.ports.get(port) ?? traffic.default;
}

/** The longest suffix first: the most specific host holds. */
function wildcardTraffic({ bySuffix }: TrafficSet, fqdn: string): ServiceTraffic | undefined {
  for (let dot = fqdn.indexOf("."); dot !== -1; dot = fqdn.indexOf(".", dot + 1)) {
    const traffic = bySuffix.get(fqdn.slice(dot));
    if (traffic !== undefined) return traffic;
  }
  return bySuffix.get("");
}
