import type { CardeaError } from "../../core/errors.ts";
import type { Latest } from "../../core/latest.ts";
import { DEFAULT_PORT_TRAFFIC } from "../../traffic/default-traffic.ts";
import type { PortTraffic, TrafficPolicy } from "../../traffic/service-traffic.ts";
import { type TrafficSet, trafficOf } from "../../traffic/traffic-set.ts";
import type { Carriage, Endpoint, RegistrySnapshot, Service, ServicePort } from "../discovery/registry-snapshot.ts";
import type { Route } from "../route.ts";
import type { Target } from "../target.ts";
import { Backend, type BackendParts } from "./backend.ts";
import { failureStatus, speaksAgainstWorkload } from "./failure-status.ts";

interface BackendsOptions {
  readonly registry: Latest<RegistrySnapshot>;
  readonly traffic: Latest<TrafficSet>;
  readonly parts: BackendParts;
  /** Told of each service when it is first used, and again after changes of it. */
  onUse?(service: Service): void;
}

/** What stands behind one port of a service, by the rules in force. */
export interface PortBackends {
  readonly traffic: PortTraffic;
  readonly main: Backend;
  /** Null: no rule names it. */
  subset(name: string): Backend | null;
}

/** All backends that were asked for. Looking one up again costs one look into a map until something changes. */
export class Backends {
  readonly #options: BackendsOptions;
  #byPort = { HTTP: new WeakMap<ServicePort, PortBackends>(), TCP: new WeakMap<ServicePort, PortBackends>() };
  /** Whose a target of an opaque connection is: for requests their tries know it. */
  readonly #byTarget = new WeakMap<Target, Backend>();
  /** By service and port, across changes of the registry. */
  readonly #kept = new Map<string, KeptBackends>();

  constructor(options: BackendsOptions) {
    this.#options = options;
    options.registry.subscribe((registry) => this.#prune(registry));
    options.traffic.subscribe(() => {
      this.#byPort = { HTTP: new WeakMap(), TCP: new WeakMap() };
    });
  }

  of(route: Route, carriage: Carriage): PortBackends {
    return this.#byPort[carriage].get(route.port) ?? this.#bring(route, carriage);
  }

  /** Connecting for bytes that nobody reads went well (null) or not. What is no target of ours is passed over. */
  reportConnect(target: Target, error: CardeaError | null): void {
    const backend = this.#byTarget.get(target);
    if (error === null) backend?.report(target, { from: "workload", status: 200 });
    else if (speaksAgainstWorkload(error)) backend?.report(target, { from: "local", status: failureStatus(error) });
  }

  #bring(route: Route, carriage: Carriage): PortBackends {
    const { service, port } = route;
    // Nothing is kept of these: no rule speaks of them, and whoever looks through ports must not fill the memory.
    if (route.workload !== undefined) return this.#bringOne(route, carriage);
    this.#options.onUse?.(service);
    const id = `${service.namespace} ${service.fqdn}:${port.port} ${carriage}`;
    const traffic = trafficOf(this.#options.traffic.get(), service.fqdn, port.port);
    let kept = this.#kept.get(id);
    if (kept === undefined || kept.traffic !== traffic) {
      kept = new KeptBackends({ service, port: port.port, carriage, traffic, parts: this.#options.parts });
      this.#kept.set(id, kept);
    }
    kept.update(route);
    if (carriage === "TCP") for (const { target } of kept.main.members) this.#byTarget.set(target, kept.main);
    this.#byPort[carriage].set(port, kept);
    return kept;
  }

  #bringOne(route: Route, carriage: Carriage): PortBackends {
    const { service, port } = route;
    const { parts } = this.#options;
    const one = new KeptBackends({ service, port: port.port, carriage, traffic: DEFAULT_PORT_TRAFFIC, parts });
    one.update(route);
    return one;
  }

  #prune(registry: RegistrySnapshot): void {
    for (const [id, { service, port }] of this.#kept) {
      const now = registry.lookup(service.fqdn, service.namespace);
      if (now?.namespace !== service.namespace || !now.ports.has(port)) this.#kept.delete(id);
    }
  }
}

interface KeptOptions {
  readonly service: Service;
  readonly port: number;
  readonly carriage: Carriage;
  readonly traffic: PortTraffic;
  readonly parts: BackendParts;
}

class KeptBackends implements PortBackends {
  readonly service: Service;
  readonly port: number;
  readonly traffic: PortTraffic;
  readonly main: Backend;
  readonly #subsets: ReadonlyMap<string, Backend>;

  constructor({ service, port, carriage, traffic, parts }: KeptOptions) {
    this.service = service;
    this.port = port;
    this.traffic = traffic;
    const open = (name: string, policy: TrafficPolicy) =>
      new Backend({ id: `${service.fqdn}:${port}${name}`, carriage, policy, parts });
    this.main = open("", traffic.policy);
    this.#subsets = new Map([...traffic.subsets].map(([name, { policy }]) => [name, open(` ${name}`, policy)]));
  }

  subset(name: string): Backend | null {
    return this.#subsets.get(name) ?? null;
  }

  update(route: Route): void {
    const { endpoints } = route.port;
    this.main.update(route, endpoints);
    for (const [name, backend] of this.#subsets) {
      const { labels } = this.traffic.subsets.get(name)!;
      backend.update(
        route,
        endpoints.filter((endpoint) => hasLabels(endpoint, labels)),
      );
    }
  }
}

/**
 * Of a far workload's labels the registry (istio.workload.Workload) tells its canonical service and revision alone,
 * which Istio makes of these. A label that it does not tell fits nobody.
 */
function hasLabels({ canonicalName, revision }: Endpoint, labels: ReadonlyMap<string, string>): boolean {
  return [...labels].every(([name, value]) => {
    if (NAME_LABELS.has(name)) return value === canonicalName;
    return REVISION_LABELS.has(name) && value === revision;
  });
}

const NAME_LABELS: ReadonlySet<string> = new Set(["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]);
const REVISION_LABELS: ReadonlySet<string> = new Set([
  "service.istio.io/canonical-revision",
  "app.kubernetes.io/version",
  "version",
]);
