import type { FlowPeer } from "../../observe/flow.ts";
import type { TrafficPolicy } from "../../traffic/service-traffic.ts";
import { HBONE_OFFER, HTTP_OFFER, TCP_OFFER } from "../detect.ts";
import type { Carriage, Endpoint } from "../discovery/registry-snapshot.ts";
import { endpointPeer } from "../flow-peers.ts";
import type { Route } from "../route.ts";
import { formatSni } from "../sni.ts";
import { plaintextTarget, type Target, tunnelTarget, workloadTarget } from "../target.ts";
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
  readonly tls: TrafficPolicy["tls"];
  readonly sinceMs: number;
  readonly settings: PoolSettings | null;
}

export function createMember(route: Route, endpoint: Endpoint, options: MemberOptions): Member {
  const { service } = route;
  const { sinceMs } = options;
  const target = targetOf(route, endpoint, options);
  const named = endpointPeer(endpoint, service);
  // Nobody proves who is there.
  const peer = target.peer === null ? { ...named, principal: null } : named;
  const health = { fivesInARow: 0, gatewayErrorsInARow: 0, localFailuresInARow: 0, ejections: 0, ejectedAtMs: null };
  return { target, peer: Object.freeze(peer), sinceMs, health };
}

function targetOf({ service, port }: Route, endpoint: Endpoint, { settings, carriage, tls }: MemberOptions): Target {
  if (tls === "DISABLE" || (tls === "AUTO" && endpoint.isPlaintext === true))
    return plaintextTarget(endpoint, settings);
  const sni = formatSni(port.port, service.fqdn);
  const { spiffeId, hbonePort } = endpoint;
  // What a port of TCP carries is nobody's business on the way; on others the far sidecar looks at the first bytes. A
  // rule that bounds connections means those of the callers, which a shared one would hide.
  if (port.protocol === "TCP" && hbonePort !== null && settings === null) {
    return tunnelTarget({ ...endpoint, hbonePort }, { spiffeId, sni, alpn: HBONE_OFFER });
  }
  const alpn = carriage === "HTTP" ? HTTP_OFFER : TCP_OFFER;
  return workloadTarget(endpoint, { spiffeId, sni, alpn }, settings);
}
