/** A sidecar's own ports in a pod: numbers that Istio's users know. No app may have one of them. */
export const POD_PORTS = {
  /** Loopback only. */
  admin: 15_000,
  /** What the app dials, redirected. */
  outbound: 15_001,
  /** Forward proxy for apps that know of one; loopback only. */
  forwardProxy: 15_002,
  /** What comes to the app's ports, redirected. */
  inbound: 15_006,
  /** HTTP CONNECT from other sidecars (HBONE). */
  hbone: 15_008,
  /** Prometheus metrics, and the app's probes. */
  metrics: 15_020,
  readiness: 15_021,
} as const;

/** Where Istio's sidecars have their metrics, and the annotation `prometheus.io/path` of its pods says so. */
export const ISTIO_METRICS_PATH = "/stats/prometheus";

/** Ours, or null: what the port is for. */
export function podPortUse(port: number): string | null {
  return Object.entries(POD_PORTS).find(([, number]) => number === port)?.[0] ?? null;
}
