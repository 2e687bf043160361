import type { SpiffeId } from "../core/spiffe-id.ts";
import type { RegistrySnapshot } from "./discovery/registry-snapshot.ts";

/** `outbound_.<service port>_._.<host>`, as Istio names a service's port in a handshake. */
export function formatSni(servicePort: number, fqdn: string): string {
  return `outbound_.${servicePort}_._.${fqdn}`;
}

interface OwnPlace {
  readonly registry: RegistrySnapshot;
  readonly principal: SpiffeId;
  /** Container port. */
  readonly port: number;
}

/**
 * The service that a caller says it means, for telemetry: only when that service does select this workload and port.
 * Null when it names none of ours.
 */
export function claimedService(sni: string | null, { registry, principal, port }: OwnPlace): string | null {
  const match = sni === null ? null : /^outbound_\.(\d{1,5})_\._\.(.+)$/.exec(sni);
  if (match === null) return null;
  const service = registry.lookup(match[2]!, "");
  const endpoints = service?.ports.get(Number(match[1]))?.endpoints ?? [];
  const isOurs = endpoints.some((endpoint) => endpoint.spiffeId === principal && endpoint.containerPort === port);
  return isOurs ? service!.fqdn : null;
}
