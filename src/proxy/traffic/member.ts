import type { FlowPeer } from "../../observe/flow.ts";
import { HTTP_OFFER, TCP_OFFER } from "../detect.ts";
import type { Carriage, Endpoint } from "../discovery/registry-snapshot.ts";
import { endpointPeer } from "../flow-peers.ts";
import type { Route } from "../route.ts";
import { formatSni } from "../sni.ts";
import { type Target, workloadTarget } from "../target.ts";
import type { PoolSettings } from "./pool-settings.ts";

/** One workload of a backend, made once for as long as the registry does not change it. */
export interface Member {
  readonly target: Target;
  readonly peer: FlowPeer;
  /** Since when it is known; -Infinity for those that were there from the start. */
  readonly sinceMs: number;
  readonly health: MemberHealth;
}

/** What outlier detection has seen of a member; zero and null throughout where there is none. */
export interface MemberHealth {
  fivesInARow: number;
  gatewayErrorsInARow: number;
  localFailuresInARow: number;
  /** Ejections that make the next one longer; forgotten one by one while it serves. */
  ejections: number;
  /** Null: it serves. */
  ejectedAtMs: number | null;
}

interface MemberOptions {
  readonly carriage: Carriage;
  readonly sinceMs: number;
  readonly settings: PoolSettings | null;
}

export function createMember(
  { service, port }: Route,
  endpoint: Endpoint,
  { sinceMs, settings, carriage }: MemberOptions,
): Member {
  const sni = formatSni(port.port, service.fqdn);
  const alpn = carriage === "HTTP" ? HTTP_OFFER : TCP_OFFER;
  const target = workloadTarget(endpoint, { spiffeId: endpoint.spiffeId, sni, alpn }, settings);
  const health = { fivesInARow: 0, gatewayErrorsInARow: 0, localFailuresInARow: 0, ejections: 0, ejectedAtMs: null };
  return { target, peer: Object.freeze(endpointPeer(endpoint, service)), sinceMs, health };
}
