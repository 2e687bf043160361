/** Kinds of documents on traffic. */
export const TRAFFIC_KINDS = ["DestinationRule", "VirtualService", "HTTPRoute", "GRPCRoute", "Sidecar"] as const;
export type TrafficKind = (typeof TRAFFIC_KINDS)[number];

export function isTrafficKind(kind: string | null): kind is TrafficKind {
  return TRAFFIC_KINDS.some((each) => each === kind);
}
