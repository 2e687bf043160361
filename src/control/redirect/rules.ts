import { type Cidr, parseCidr } from "../../core/cidr.ts";
import type { PortRange } from "../../core/port-range.ts";
import { DIRECT_PORTS, type RedirectSettings } from "./settings.ts";

/** One rule for TCP that begins: what all its parts fit, goes where `verdict` says; whatever fits no rule is left alone. */
export interface RedirectRule {
  readonly from?: Cidr;
  readonly to?: Cidr;
  readonly port?: PortRange;
  /** It leaves by the loopback device. */
  readonly isLocal?: true;
  readonly uid?: number;
  readonly gid?: number;
  /** `arrive`: go on with the rules for what comes in. */
  readonly verdict: "leave" | "arrive" | "to-inbound" | "to-outbound";
}

/** The rules in the order in which they are asked, whatever program loads them. */
export interface RedirectRules {
  readonly inbound: readonly RedirectRule[];
  readonly outbound: readonly RedirectRule[];
}

/** From where the sidecar dials its own app, so that this is told apart from what it sends to other workloads. */
export const APP_SIDE_SOURCES: readonly Cidr[] = [parseCidr("127.0.0.6/32"), parseCidr("::6/128")];
const LOOPBACK: readonly Cidr[] = [parseCidr("127.0.0.0/8"), parseCidr("::1/128")];
const DNS_PORT = onePort(53);

export function redirectRules(settings: RedirectSettings): RedirectRules {
  return { inbound: inboundRules(settings), outbound: outboundRules(settings) };
}

function inboundRules({ inboundPorts, excludedInboundPorts }: RedirectSettings): RedirectRule[] {
  return [
    ...DIRECT_PORTS.map((port): RedirectRule => ({ port: onePort(port), verdict: "leave" })),
    ...excludedInboundPorts.map((port): RedirectRule => ({ port, verdict: "leave" })),
    ...(inboundPorts === "all"
      ? [{ verdict: "to-inbound" } as const]
      : inboundPorts.map((port): RedirectRule => ({ port, verdict: "to-inbound" }))),
  ];
}

function outboundRules(settings: RedirectSettings): RedirectRule[] {
  const { uid, gid, excludedOutboundPorts, excludedOutboundCidrs, outboundPorts, outboundCidrs } = settings;
  return [
    // The sidecar to its app, which it dials at the pod's own address.
    ...APP_SIDE_SOURCES.map((from): RedirectRule => ({ from, isLocal: true, verdict: "leave" })),
    ...LOOPBACK.map((to): RedirectRule => ({ to, verdict: "leave" })),
    // The sidecar to another workload that turns out to be its own pod: there the inbound side expects mutual TLS.
    { uid, isLocal: true, verdict: "arrive" },
    { uid, verdict: "leave" },
    ...(gid === null ? [] : [{ gid, verdict: "leave" } as const]),
    // The app to its own pod. No other sidecar is on that way, and there is nobody to protect the app from but itself.
    { isLocal: true, verdict: "leave" },
    { port: DNS_PORT, verdict: "leave" },
    ...excludedOutboundPorts.map((port): RedirectRule => ({ port, verdict: "leave" })),
    ...excludedOutboundCidrs.map((to): RedirectRule => ({ to, verdict: "leave" })),
    ...outboundPorts.map((port): RedirectRule => ({ port, verdict: "to-outbound" })),
    ...(outboundCidrs === "all"
      ? [{ verdict: "to-outbound" } as const]
      : outboundCidrs.map((to): RedirectRule => ({ to, verdict: "to-outbound" }))),
  ];
}

function onePort(port: number): PortRange {
  return { from: port, to: port };
}
