import type { Latest } from "../../core/latest.ts";
import { trustDomainOf } from "../../core/spiffe-id.ts";
import type { Workload } from "../../policy/facts.ts";
import type { TrafficSet } from "../../traffic/traffic-set.ts";
import { ControlLink, type ControlLinkOptions, type DiscoveryConnection } from "./control-link.ts";
import { openDeltaClient } from "./delta-client.ts";
import { limitPolicyAge } from "./policy-age.ts";
import { createPolicySinks, type PolicySet } from "./policy-sinks.ts";
import { createRegistrySink } from "./registry-sink.ts";
import type { RegistrySnapshot, Service } from "./registry-snapshot.ts";

/** What this sidecar is told of the mesh, and how it stands with whoever tells. */
export interface Discovery {
  readonly registry: Latest<RegistrySnapshot>;
  /** Null: no policy set has been put in force yet, or nobody has confirmed it for too long: nothing may be let through. */
  readonly policies: Latest<PolicySet | null>;
  /** Traffic rules of the same revision as the policies. */
  readonly traffic: Latest<TrafficSet>;
  readonly connection: Latest<DiscoveryConnection>;
  /** Requests go to the service: its workloads are to be heard of at once. Costs nothing when it is known. */
  use(service: Service): void;
  close(): void;
}

export interface DiscoveryOptions extends Omit<ControlLinkOptions, "openStream"> {
  /** What this sidecar calls itself, for people. */
  readonly nodeId: string;
  /** For which policies are compiled. */
  readonly workload: Workload;
}

/** Follows registry and policies until it is closed, over as many streams as that takes. */
export function openDiscovery(options: DiscoveryOptions): Discovery {
  const { workload, nodeId, clock, logger } = options;
  const registry = createRegistrySink({ trustDomain: trustDomainOf(options.control.spiffeId), logger });
  const policies = createPolicySinks({ workload, clock, logger });
  // The policies first: the control plane sends a set only when it has sent what the set is made of.
  const sinks = [policies.policies, policies.policySet, registry.addresses];
  const link = new ControlLink({
    ...options,
    openStream: (channel, events) => openDeltaClient({ channel, sinks, clock, nodeId, ...events }),
  });
  return {
    registry: registry.snapshot,
    policies: limitPolicyAge({ inForce: policies.inForce, connection: link.state, clock, logger }),
    traffic: policies.traffic,
    connection: link.state,
    use: ({ namespace, fqdn }) => registry.interest.add(`${namespace}/${fqdn}`),
    close: () => link.close(),
  };
}
