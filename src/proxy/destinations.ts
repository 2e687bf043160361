import type { FlowPeer } from "../observe/flow.ts";
import type { Carriage, Endpoint, ServicePort } from "./discovery/registry-snapshot.ts";
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

/** The destinations of what is carried in one way. */
export class Destinations {
  readonly #offer: readonly string[];
  readonly #byPort = new WeakMap<ServicePort, Map<Endpoint, Destination>>();

  constructor(carriage: Carriage) {
    this.#offer = carriage === "HTTP" ? HTTP_OFFER : TCP_OFFER;
  }

  of(route: Route, endpoint: Endpoint): Destination {
    let byEndpoint = this.#byPort.get(route.port);
    if (byEndpoint === undefined) {
      byEndpoint = new Map();
      this.#byPort.set(route.port, byEndpoint);
    }
    let destination = byEndpoint.get(endpoint);
    if (destination === undefined) {
      destination = describe(route, endpoint, this.#offer);
      byEndpoint.set(endpoint, destination);
    }
    return destination;
  }
}

function describe({ service, port }: Route, endpoint: Endpoint, alpn: readonly string[]): Destination {
  const sni = formatSni(port.port, service.fqdn);
  const target = workloadTarget(endpoint, { spiffeId: endpoint.spiffeId, sni, alpn });
  return Object.freeze({ target, peer: endpointPeer(endpoint, service) });
}
