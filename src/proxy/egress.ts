import { CardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import type { Random } from "../core/ports.ts";
import type { FlowPeer } from "../observe/flow.ts";
import { type Permit, permitEgress } from "./authorize.ts";
import { chooseEndpoint } from "./balance.ts";
import { Destinations } from "./destinations.ts";
import type { Carriage, RegistrySnapshot, ServiceProtocol } from "./discovery/registry-snapshot.ts";
import type { Pools } from "./pool.ts";
import { type Route, routeByAuthority, routeToService } from "./route.ts";

/** A fixed upstream's service and port; null where requests name theirs. */
export type FixedService = { readonly service: string; readonly servicePort: number } | null;

interface EgressOptions {
  readonly registry: Latest<RegistrySnapshot>;
  readonly namespace: string;
  readonly ownPorts: readonly number[];
  readonly pools: Pools;
  readonly random: Random;
}

/** Leave to send, and to whom. */
export interface Egress {
  readonly permit: Permit;
  readonly destination: FlowPeer;
}

/** route → balance → permit, for requests and connections of our own app. Egress mode REGISTRY_ONLY. */
export class EgressRouter {
  readonly #options: EgressOptions;
  readonly #destinations = { HTTP: new Destinations("HTTP"), TCP: new Destinations("TCP") };

  constructor(options: EgressOptions) {
    this.#options = options;
  }

  /** Errors: `no-route`, `loop-refused`, `bad-request`. */
  route(authority: string | null, fixed: FixedService): Route {
    const { registry, namespace, ownPorts } = this.#options;
    const table = { registry: registry.get(), namespace, ownPorts };
    if (fixed !== null) return routeToService(fixed.service, fixed.servicePort, table);
    return routeByAuthority(authority, table);
  }

  /** Errors: `no-healthy-upstream`; `no-route` when the port speaks another protocol than the caller. */
  choose(route: Route, carriage: Carriage): Egress {
    const { service, port } = route;
    if (!mayCarry(port.protocol, carriage)) {
      throw new CardeaError("no-route", `port ${port.port} of ${service.fqdn} is declared ${port.protocol}`);
    }
    const { random, pools } = this.#options;
    const destinations = this.#destinations[carriage];
    const endpoint = chooseEndpoint(route, random, (each) => pools.activeTo(destinations.of(route, each).target));
    const { target, peer } = destinations.of(route, endpoint);
    return { permit: permitEgress(target), destination: peer };
  }
}

/** Requests go to ports that are declared so; on a port that says nothing, what came says it. */
function mayCarry(protocol: ServiceProtocol, carriage: Carriage): boolean {
  if (protocol === "AUTO") return true;
  return (protocol === "HTTP") === (carriage === "HTTP");
}
