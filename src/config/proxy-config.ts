import type { Address, LogLevel } from "../core/ports.ts";

/** Bootstrap of one sidecar: a JSON file, written by `cardea up` or `cardea run`, read once by `cardea proxy`. */
export interface ProxyConfig {
  /** The workload's name; in local mode the service's name, too. */
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly trustDomain: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly control: {
    readonly address: Address;
    /** The identity that the control plane must prove. */
    readonly spiffeId: string;
    /** The pinned root, PEM; the first connection trusts nothing else. */
    readonly rootFile: string;
  };
  /** File that holds the one-time join token, or null where another attestation serves. */
  readonly joinTokenFile: string | null;
  /** Forward proxy, Host routing and CONNECT for the app. */
  readonly outbound: Address;
  /** Fixed local ports, one an upstream. */
  readonly upstreams: readonly UpstreamConfig[];
  readonly inbound: readonly InboundConfig[];
  readonly admin: Address;
  readonly metrics: Address;
  readonly readiness: Address;
  /** Where flow records go; null: stdout. */
  readonly flowFile: string | null;
  /** The mesh's own ports on this host: a request aimed at one of them is refused as a loop. */
  readonly ownPorts: readonly number[];
  readonly logLevel: LogLevel;
  readonly egress: "REGISTRY_ONLY";
  readonly drainTimeoutMs: number;
  readonly certTtlSec: number;
  /** Null: the mesh's. */
  readonly enforcement: "ENFORCE" | "AUDIT" | null;
}

export interface UpstreamConfig {
  readonly name: string;
  /** Host name as the registry knows it. */
  readonly service: string;
  readonly servicePort: number;
  readonly listen: Address;
}

export interface InboundConfig {
  /** Where other sidecars dial. */
  readonly listen: Address;
  /** The container port: what policies name. */
  readonly port: number;
  readonly protocol: "HTTP" | "TCP";
  /** Where the app listens. */
  readonly app: Address;
}
