import { parseTrustDomain, type TrustDomain } from "../core/spiffe-id.ts";
import type { ExtensionProvider } from "./extension-provider.ts";

/** What a decision needs to know of the mesh. config/mesh.ts reads it from the Mesh document. */
export interface MeshSettings {
  readonly trustDomain: TrustDomain;
  /** Other names of the same trust domain, e.g. while it is being renamed. */
  readonly trustDomainAliases: readonly TrustDomain[];
  /** Policies of this namespace hold in the whole mesh. */
  readonly rootNamespace: string;
  /** AUDIT: denials are recorded as `would-deny` and nothing is blocked. Decisions themselves do not change. */
  readonly enforcement: "ENFORCE" | "AUDIT";
  /** Holds where no ALLOW policy selects the workload. Istio's is ALLOW; ours is DENY. */
  readonly defaultAction: "DENY" | "ALLOW";
  readonly pathNormalization: PathNormalization;
  /**
   * Proxies before a caller's sidecar, that one or a gateway included, that each add whom they were called by to
   * X-Forwarded-For: `remoteIp` is the address so many from its right. 0: the connection's, whatever the field says. As
   * Istio's `gatewayTopology.numTrustedProxies`.
   */
  readonly numTrustedProxies: number;
  /** The servers that CUSTOM policies may name. */
  readonly extensionProviders: readonly ExtensionProvider[];
}

/** As Istio's `meshConfig.pathNormalization.normalization`. */
export type PathNormalization = "NONE" | "BASE" | "MERGE_SLASHES" | "DECODE_AND_MERGE_SLASHES";

export const DEFAULT_MESH_SETTINGS: MeshSettings = Object.freeze({
  trustDomain: parseTrustDomain("cluster.local"),
  trustDomainAliases: Object.freeze([]),
  rootNamespace: "cardea-system",
  enforcement: "ENFORCE",
  defaultAction: "DENY",
  pathNormalization: "BASE",
  numTrustedProxies: 0,
  extensionProviders: Object.freeze([]),
});
