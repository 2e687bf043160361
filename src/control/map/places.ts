import type { MapNode } from "../../api/map-messages.ts";
import { parseSpiffeId, workloadNameOf } from "../../core/spiffe-id.ts";
import type { EdgeEnd } from "../flows/query.ts";
import type { GroundWorkload } from "./ground.ts";

/** Callers that showed no identity. */
export const NOBODY = "/no identity";
/** Where somebody wanted to go, and nobody knows what it is. */
export const NOWHERE = "/unknown destination";

/** Which node of the map an end of a flow is: what it is called in records, and in the registry, are put together here. */
export class Places {
  readonly #byId = new Map<string, GroundWorkload>();
  readonly #byPrincipal = new Map<string, string>();
  readonly #byHost = new Map<string, string>();

  constructor(workloads: readonly GroundWorkload[]) {
    for (const workload of workloads) {
      this.#byId.set(workload.name, workload);
      this.#byPrincipal.set(workload.principal, workload.name);
      for (const host of workload.hosts) if (!this.#byHost.has(host)) this.#byHost.set(host, workload.name);
    }
  }

  idOf({ namespace, workload, service, principal }: EdgeEnd, side: "source" | "destination"): string {
    if (workload !== null) return `${namespace ?? ""}/${workload}`;
    const known =
      (principal === null ? undefined : this.#byPrincipal.get(principal)) ??
      (service === null ? undefined : this.#byHost.get(service));
    if (known !== undefined) return known;
    if (principal !== null) return nameByIdentity(principal);
    if (service !== null) return `/${service}`;
    return side === "source" ? NOBODY : NOWHERE;
  }

  /** Registered ones, and those of `ids` besides. */
  nodes(ids: Iterable<string>, principals: ReadonlyMap<string, string>, connected: ReadonlySet<string>): MapNode[] {
    return [...new Set([...this.#byId.keys(), ...ids])].toSorted().map((id) => {
      const workload = this.#byId.get(id);
      const cut = id.indexOf("/");
      const namespace = id.slice(0, cut) || null;
      const principal = workload?.principal ?? principals.get(id) ?? null;
      return {
        id,
        name: id.slice(cut + 1),
        namespace,
        kind: namespace === null ? "outside" : "workload",
        principal,
        service: workload?.hosts[0] ?? null,
        isRegistered: workload !== undefined,
        isConnected: workload === undefined ? null : connected.has(workload.principal),
      };
    });
  }
}

function nameByIdentity(principal: string): string {
  try {
    const name = workloadNameOf(parseSpiffeId(principal));
    return name === null ? `/${principal}` : `${name.namespace}/${name.serviceAccount}`;
  } catch {
    return `/${principal}`;
  }
}
