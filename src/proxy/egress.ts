import { CardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import type { Address } from "../core/ports.ts";
import type { FlowPeer } from "../observe/flow.ts";
import { type Permit, permitEgress } from "./authorize.ts";
import type { Carriage, RegistrySnapshot, ServiceProtocol } from "./discovery/registry-snapshot.ts";
import { type Route, routeByAddress, routeByAuthority, routeToService, type RouteTable } from "./route.ts";
import type { Backends } from "./traffic/backends.ts";
import { ConnectTries } from "./traffic/connect-tries.ts";
import type { TriesParts } from "./traffic/request-tries.ts";
import {
  type RequestToRoute,
  type RoutedRequest,
  routeRequest,
  type RouteRequestParts,
} from "./traffic/route-request.ts";

/** A fixed upstream's service and port, or what a captured connection was meant for; null where requests name theirs. */
export type FixedService =
  | { readonly service: string; readonly servicePort: number }
  | { readonly captured: Address }
  | null;

interface EgressOptions {
  readonly registry: Latest<RegistrySnapshot>;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ownPorts: readonly number[];
  readonly backends: Backends;
  readonly tries: TriesParts;
}

/** Leave to send, to whom, and what to do when that one does not take it. */
export interface Egress {
  readonly permit: Permit;
  readonly destination: FlowPeer;
  readonly tries: ConnectTries;
}

/** route → traffic rules → balance → permit, for requests and connections of our own app. Egress mode REGISTRY_ONLY. */
export class EgressRouter {
  readonly #options: EgressOptions;
  readonly #parts: RouteRequestParts;

  constructor(options: EgressOptions) {
    this.#options = options;
    const { backends, tries, namespace, labels } = options;
    this.#parts = {
      backends,
      tries,
      random: tries.random,
      namespace,
      labels,
      find: (host, port, from) => routeToService(host, port, this.#table(from)),
    };
  }

  /** Errors: `no-route`, `loop-refused`, `bad-request`. */
  route(authority: string | null, fixed: FixedService): Route {
    const table = this.#table(this.#options.namespace);
    if (fixed !== null && "captured" in fixed) return routeByAddress(fixed.captured, table);
    if (fixed !== null) return routeToService(fixed.service, fixed.servicePort, table);
    return routeByAuthority(authority, table);
  }

  /** A connection whose bytes nobody reads. Errors: `no-healthy-upstream`; `no-route` when the port is declared HTTP. */
  chooseTcp(route: Route): Egress {
    assertCarries(route, "TCP");
    const { main } = this.#options.backends.of(route, "TCP");
    const { target, peer } = main.pick(null);
    return { permit: permitEgress(target), destination: peer, tries: new ConnectTries(main, target) };
  }

  /** One request. Errors: `no-healthy-upstream`; `no-route` when the port is declared TCP, or a rule names nobody. */
  routeRequest(route: Route, request: RequestToRoute): RoutedRequest {
    assertCarries(route, "HTTP");
    return routeRequest(route, request, this.#parts);
  }

  #table(namespace: string): RouteTable {
    const { registry, ownPorts } = this.#options;
    return { registry: registry.get(), namespace, ownPorts };
  }
}

function assertCarries({ service, port }: Route, carriage: Carriage): void {
  if (mayCarry(port.protocol, carriage)) return;
  throw new CardeaError("no-route", `port ${port.port} of ${service.fqdn} is declared ${port.protocol}`);
}

/** Requests go to ports that are declared so; on a port that says nothing, what came says it. */
function mayCarry(protocol: ServiceProtocol, carriage: Carriage): boolean {
  if (protocol === "AUTO") return true;
  return (protocol === "HTTP") === (carriage === "HTTP");
}
