import type { MeshApi } from "../../api/load.ts";
import type { Latest } from "../../core/latest.ts";
import type { Clock } from "../../core/ports.ts";
import { runInSlices } from "../../core/slices.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { KnownPort, KnownWorkload } from "../../policy/analysis/known-workload.ts";
import { type Reach, reachSteps } from "../../policy/analysis/reach.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import type { PolicyContent } from "../distribute/policy-content.ts";
import type { RegistryContent } from "../distribute/registry-content.ts";

/** What the analyses stand on: the workloads of the registry, and the policies in force. */
export interface Ground {
  workloads(): readonly GroundWorkload[];
  /** Who may call whom by policy; worked out once for each state of both, in slices. */
  reach(settings: MeshSettings): Promise<Reach>;
}

export interface GroundWorkload extends KnownWorkload {
  readonly principal: SpiffeId;
}

export interface GroundSources {
  readonly registry: Latest<RegistryContent>;
  readonly policies: Latest<PolicyContent | null>;
  readonly api: MeshApi;
  readonly clock: Clock;
}

export function createGround({ registry, policies, api, clock }: GroundSources): Ground {
  let known: { readonly of: RegistryContent; readonly workloads: readonly GroundWorkload[] } | null = null;
  let reached: { readonly of: readonly unknown[]; readonly reach: Promise<Reach> } | null = null;

  function workloads(): readonly GroundWorkload[] {
    const content = registry.get();
    if (known?.of !== content) known = { of: content, workloads: workloadsOf(content, api) };
    return known.workloads;
  }

  return {
    workloads,
    reach(settings) {
      const { documents = [], authentication = [] } = policies.get() ?? {};
      const of = [workloads(), documents, authentication, settings.defaultAction];
      if (reached === null || reached.of.some((each, i) => each !== of[i])) {
        const steps = reachSteps(workloads(), { documents, authentication, settings });
        reached = { of, reach: runInSlices(steps, clock) };
      }
      return reached.reach;
    },
  };
}

function workloadsOf({ workloads, resources }: RegistryContent, api: MeshApi): readonly GroundWorkload[] {
  const addresses = [...resources.values()].map(({ body }) => api.address.deserialize(body.value));
  const services = new Map<string, readonly ServedPort[]>(
    addresses.flatMap(({ service }) =>
      service == null ? [] : [[`${service.namespace}/${service.hostname}`, service.ports ?? []] as const],
    ),
  );
  const served = new Map<string, Pick<KnownWorkload, "ports" | "hosts">>();
  for (const { workload } of addresses) {
    if (workload == null) continue;
    const names = Object.keys(workload.services ?? {});
    // A workload may take a service's port elsewhere; policies name the service's target (ADR 0005).
    const ports = names.flatMap((name) => services.get(name) ?? []);
    served.set(`${workload.namespace}/${workload.name}`, {
      ports: ports.length === 0 ? null : portsOf(ports),
      hosts: names.map((name) => name.slice(name.indexOf("/") + 1)),
    });
  }
  return workloads.map(({ namespace, name, labels, spiffeId }) => {
    const id = `${namespace}/${name}`;
    const { ports, hosts } = served.get(id) ?? { ports: null, hosts: [] };
    return { name: id, namespace, labels, principal: spiffeId, ports, hosts };
  });
}

interface ServedPort {
  readonly targetPort: number;
  readonly appProtocol: string;
}

/** Several services may have the same port of a workload. */
function portsOf(ports: readonly ServedPort[]): readonly KnownPort[] {
  return [...Map.groupBy(ports, ({ targetPort }) => targetPort)].map(([port, same]) => ({
    port,
    protocols: [...new Set(same.flatMap(({ appProtocol }) => protocolsOf(appProtocol)))],
  }));
}

/** On a port that declares nothing, policy sees what the first bytes turn out to be. */
function protocolsOf(appProtocol: string): KnownPort["protocols"] {
  if (appProtocol === "TCP" || appProtocol === "TLS") return ["tcp"];
  return appProtocol === "UNKNOWN" ? ["http", "tcp"] : ["http"];
}
