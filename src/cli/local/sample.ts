import type { Address } from "../../core/ports.ts";
import type { LocalPlan, ServicePlan } from "./plan.ts";

/** The sample mesh's services, by name and namespace; the traffic and the breach are made for them. */
const SAMPLE = [
  ["web", "shop"],
  ["orders", "shop"],
  ["payments", "payments"],
  ["ledger", "ledger"],
] as const;

/** Where web's app listens when this is the sample mesh, or a copy of it; null for any other mesh. */
export function findSampleWeb(plan: LocalPlan): Address | null {
  const found = SAMPLE.map(([name, namespace]) =>
    plan.services.find(({ service }) => isCalled(service, name, namespace)),
  );
  return found.every((service) => service !== undefined) ? (found[0]?.config.inbound[0]?.app ?? null) : null;
}

function isCalled(service: ServicePlan["service"], name: string, namespace: string): boolean {
  return service.name === name && service.namespace === namespace;
}
