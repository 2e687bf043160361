import { CardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import type { Random } from "../core/ports.ts";
import type { FlowPeer } from "../observe/flow.ts";
import { type Permit, permitEgress } from "./authorize.ts";
import { chooseEndpoint } from "./balance.ts";
import { Destinations } from "./destinations.ts";
import type { RegistrySnapshot, ServiceProtocol } from "./discovery/registry-snapshot.ts";
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
  readonly #destinations = new Destinations();

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
  choose(route: Route, protocol: ServiceProtocol): Egress {
    const { service, port } = route;
    if (port.protocol !== protocol) {
      throw new CardeaError("no-route", `port ${port.port} of ${service.fqdn} is declared ${port.protocol}`);
    }
    const { random, pools } = this.#options;
    const endpoint = chooseEndpoint(route, random, (each) => pools.activeTo(this.#destinations.of(route, each).target));
    const { target, peer } = this.#destinations.of(route, endpoint);
    return { permit: permitEgress(target), destination: peer };
  }
}
