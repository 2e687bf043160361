import type { SpiffeId } from "../core/spiffe-id.ts";

/**
 * Where a permit allows to go: one frozen object that is both what was authorized (`port`) and what is dialled
 * (`host`, `dialPort`, and who must answer there), so that the two cannot come apart.
 */
export interface Target {
  /** Names the connections that may be shared: all that is below, as text. */
  readonly key: string;
  /** The port as policies mean it: the container's. */
  readonly port: number;
  /** IP literal. */
  readonly host: string;
  readonly dialPort: number;
  /** Whom mutual TLS must prove to be there; null for the plain connection to our own app. */
  readonly peer: TargetPeer | null;
}

export interface TargetPeer {
  readonly spiffeId: SpiffeId;
  /** Names the service: a claim, for the other side's telemetry. */
  readonly sni: string;
  /** The protocols that may be spoken, the dearest first. */
  readonly alpn: readonly string[];
}

/** The app behind this sidecar. */
export function appTarget(port: number, app: { readonly host: string; readonly port: number }): Target {
  return Object.freeze({ key: `app ${port}`, port, host: app.host, dialPort: app.port, peer: null });
}

/** A workload of the mesh, behind its own sidecar. */
export function workloadTarget(
  endpoint: { readonly address: string; readonly port: number; readonly containerPort: number },
  peer: TargetPeer,
): Target {
  const { address, port, containerPort } = endpoint;
  const key = `${peer.spiffeId} ${address} ${port} ${peer.sni} ${peer.alpn.join()}`;
  return Object.freeze({ key, port: containerPort, host: address, dialPort: port, peer: Object.freeze(peer) });
}
