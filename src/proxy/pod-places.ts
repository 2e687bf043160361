import type { RedirectConfig } from "../config/proxy-config.ts";
import { CardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import { isInRanges } from "../core/port-range.ts";
import type { PortProtocol } from "../core/port-protocol.ts";
import type { Address } from "../core/ports.ts";
import { addressKey } from "./discovery/address-index.ts";
import type { RegistrySnapshot } from "./discovery/registry-snapshot.ts";
import type { PlaceOptions } from "./inbound-place.ts";

interface PodPlacesOptions {
  readonly redirect: RedirectConfig;
  readonly ownPorts: readonly number[];
  readonly registry: Latest<RegistrySnapshot>;
}

/** Any port of a pod that is no port of its sidecar. The app is dialled where the caller has dialled it. */
export class PodPlaces {
  readonly #options: PodPlacesOptions;
  readonly #podIps: ReadonlySet<string>;

  constructor(options: PodPlacesOptions) {
    this.#options = options;
    this.#podIps = new Set(options.redirect.podIps.map(addressKey));
  }

  /** Errors: `loop-refused` for a port of ours; `no-route` for an address that is none of the pod's. */
  at(destination: Address): PlaceOptions {
    const { host, port } = destination;
    if (this.#options.ownPorts.includes(port))
      throw new CardeaError("loop-refused", `${port} is a port of the sidecar itself`);
    // Whoever is on this network can send us packets for anybody; the sidecar is nobody's way to other hosts.
    if (!this.#podIps.has(addressKey(host))) throw new CardeaError("no-route", `${host} is no address of this pod`);
    return { port, protocol: this.#protocolOf(host, port), app: destination, from: appSideSource(host), localIp: host };
  }

  /** What the pod declares stands above what a service says, and an opaque port above both. */
  #protocolOf(host: string, port: number): PortProtocol {
    const { redirect, registry } = this.#options;
    if (isInRanges(redirect.opaquePorts, port)) return "TCP";
    const declared = redirect.ports.find((each) => each.port === port)?.protocol ?? "AUTO";
    if (declared !== "AUTO") return declared;
    return registry.get().lookupAddress(host, port)?.port.declared ?? "AUTO";
  }
}

/** `cardea redirect` leaves alone what comes from there, and only that (control/redirect/rules.ts). */
function appSideSource(host: string): string {
  return host.includes(":") ? "::6" : "127.0.0.6";
}
