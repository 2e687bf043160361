import type { FlowPeer } from "../observe/flow.ts";
import type { Endpoint, ServicePort } from "./discovery/registry-snapshot.ts";
import { HTTP_OFFER, TCP_OFFER } from "./detect.ts";
import { endpointPeer } from "./flow-peers.ts";
import type { Route } from "./route.ts";
import { formatSni } from "./sni.ts";
import { type Target, workloadTarget } from "./target.ts";

/** A workload as the outbound side sees it, made once for as long as the registry does not change it. */
export interface Destination {
  readonly target: Target;
  readonly peer: FlowPeer;
}

export class Destinations {
  readonly #byPort = new WeakMap<ServicePort, Map<Endpoint, Destination>>();

  of(route: Route, endpoint: Endpoint): Destination {
    let byEndpoint = this.#byPort.get(route.port);
    if (byEndpoint === undefined) {
      byEndpoint = new Map();
      this.#byPort.set(route.port, byEndpoint);
    }
    let destination = byEndpoint.get(endpoint);
    if (destination === undefined) {
      destination = describe(route, endpoint);
      byEndpoint.set(endpoint, destination);
    }
    return destination;
  }
}

function describe({ service, port }: Route, endpoint: Endpoint): Destination {
  const sni = formatSni(port.port, service.fqdn);
  const alpn = port.protocol === "HTTP" ? HTTP_OFFER : TCP_OFFER;
  const target = workloadTarget(endpoint, { spiffeId: endpoint.spiffeId, sni, alpn });
  return Object.freeze({ target, peer: endpointPeer(endpoint, service) });
}
