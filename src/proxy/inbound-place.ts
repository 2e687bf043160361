import type { Latest } from "../core/latest.ts";
import type { PortProtocol } from "../core/port-protocol.ts";
import type { Address } from "../core/ports.ts";
import type { InboundRules } from "./authorize.ts";
import { alpnChooserOf, declaredHttp } from "./detect.ts";
import type { PolicySet } from "./discovery/policy-sinks.ts";
import { appTarget } from "./target.ts";

/** One port of the workload: where its app is, what it speaks, and what policy is asked about. */
export interface InboundPlace {
  /** The container port: what policies name. */
  readonly port: number;
  /** The address that the caller has dialled; null: our end of its connection. */
  readonly localIp: string | null;
  readonly protocol: PortProtocol;
  readonly rules: InboundRules;
  readonly chooseAlpn: (offered: readonly string[]) => string | null;
}

export interface PlaceOptions {
  readonly port: number;
  readonly protocol: PortProtocol;
  readonly app: Address;
  /** From where the app is dialled; null: from where the kernel will. */
  readonly from?: string | null;
  readonly localIp?: string | null;
}

interface PlaceScope {
  readonly policy: Latest<PolicySet | null>;
  readonly enforcement: "ENFORCE" | "AUDIT" | null;
}

export function inboundPlace(options: PlaceOptions, { policy, enforcement }: PlaceScope): InboundPlace {
  const { port, protocol, app, from = null, localIp = null } = options;
  const target = appTarget(port, app, { speaks: declaredHttp(protocol), from });
  const grpcTarget = protocol === "AUTO" ? appTarget(port, app, { speaks: "h2", from }) : null;
  const rules = { policy, enforcement, target, grpcTarget };
  return { port, localIp, protocol, rules, chooseAlpn: alpnChooserOf(protocol) };
}
