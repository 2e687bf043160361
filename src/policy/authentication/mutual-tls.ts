/** What a port takes. STRICT: mutual TLS alone. PERMISSIVE: either. DISABLE: plaintext, and TLS of the app's own. */
export const MUTUAL_TLS_MODES = ["STRICT", "PERMISSIVE", "DISABLE"] as const;
export type MutualTlsMode = (typeof MUTUAL_TLS_MODES)[number];

/** What holds for one workload, every UNSET resolved. */
export interface MutualTls {
  readonly mode: MutualTlsMode;
  /** `namespace/name` of the PeerAuthentication that says so; null: none does, and STRICT is the default. */
  readonly by: string | null;
  /** Container ports of which something else is said than of all. */
  readonly ports: ReadonlyMap<number, PortMutualTls>;
}

export interface PortMutualTls {
  readonly mode: MutualTlsMode;
  readonly by: string | null;
}

/** Where no PeerAuthentication speaks of a workload. Istio's default is PERMISSIVE. */
export const STRICT_BY_DEFAULT: MutualTls = Object.freeze({ mode: "STRICT", by: null, ports: new Map() });

export function mutualTlsAt(mutualTls: MutualTls, port: number): PortMutualTls {
  return mutualTls.ports.get(port) ?? mutualTls;
}
