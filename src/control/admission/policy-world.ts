import type { Latest } from "../../core/latest.ts";
import type { Clock } from "../../core/ports.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import type { PolicyContent } from "../distribute/policy-content.ts";
import type { RegistryContent } from "../distribute/registry-content.ts";
import type { PolicyWorld } from "./staged-report.ts";

/** What is in force, as the control plane distributes it. */
export function createPolicyWorld(
  settings: MeshSettings,
  policies: Latest<PolicyContent | null>,
  registry: Latest<RegistryContent>,
  clock: Pick<Clock, "wallMs">,
): PolicyWorld {
  return {
    settings,
    nowMs: () => clock.wallMs(),
    workloads: () => registry.get().workloads,
    policies: () => policies.get()?.documents ?? [],
    authentication: () => policies.get()?.authentication ?? [],
    traffic: () => policies.get()?.traffic ?? [],
    services: () => new Set([...registry.get().resources.keys()].flatMap(hostOf)),
  };
}

/** Of a service's resource name, `namespace/host`; a workload's has more parts. */
function hostOf(resourceName: string): readonly string[] {
  const parts = resourceName.split("/");
  return parts.length === 2 ? [parts[1]!] : [];
}
