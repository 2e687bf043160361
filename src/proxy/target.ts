import type { SpiffeId } from "../core/spiffe-id.ts";
import type { Address } from "../core/ports.ts";
import { formatAuthority } from "../wire/authority.ts";
import type { HttpProtocol } from "./streams.ts";
import type { PoolSettings } from "./traffic/pool-settings.ts";

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
  /** Whom mutual TLS must prove to be there; null: nobody has to, as for our own app and where plaintext alone is taken. */
  readonly peer: TargetPeer | null;
  /** Another workload, which may go without a word. */
  readonly isRemote: boolean;
  /** IP literal from which it is dialled; null: from where the kernel will. */
  readonly from: string | null;
  /** What is spoken there unasked, where it is spoken to in HTTP; null: the handshake with the peer decides. */
  readonly speaks: HttpProtocol | null;
  /** What a traffic rule says of the connections; null: nothing. */
  readonly settings: PoolSettings | null;
  /** The authority to ask for by CONNECT, where the dialled port is a workload's HBONE port. */
  readonly tunnelTo: string | null;
}

export interface TargetPeer {
  readonly spiffeId: SpiffeId;
  /** Names the service: a claim, for the other side's telemetry. */
  readonly sni: string;
  /** The protocols that may be spoken, the dearest first. */
  readonly alpn: readonly string[];
}

interface AppOptions {
  /** As its port was declared, since there is no handshake to ask it in. */
  readonly speaks: HttpProtocol;
  readonly from: string | null;
}

/** The app behind this sidecar. */
export function appTarget(port: number, app: Address, { speaks, from }: AppOptions): Target {
  return Object.freeze({
    key: `app ${app.host} ${port} ${speaks}`,
    port,
    host: app.host,
    dialPort: app.port,
    peer: null,
    isRemote: false,
    from,
    speaks,
    settings: null,
    tunnelTo: null,
  });
}

/** A workload of the mesh, behind its own sidecar. */
export function workloadTarget(
  endpoint: { readonly address: string; readonly port: number; readonly containerPort: number },
  peer: TargetPeer,
  settings: PoolSettings | null = null,
): Target {
  const { address, port, containerPort } = endpoint;
  const key = `${peer.spiffeId} ${address} ${port} ${peer.sni} ${peer.alpn.join()}${settings === null ? "" : ` ${settings.id}`}`;
  return Object.freeze({
    key,
    port: containerPort,
    host: address,
    dialPort: port,
    peer: Object.freeze(peer),
    isRemote: true,
    from: null,
    speaks: null,
    settings,
    tunnelTo: null,
  });
}

/** The same workload's port through its HBONE port. The authority has the port as policies mean it. */
export function tunnelTarget(
  endpoint: { readonly address: string; readonly hbonePort: number; readonly containerPort: number },
  peer: TargetPeer,
): Target {
  const { address, hbonePort, containerPort } = endpoint;
  const tunnelTo = formatAuthority(address, containerPort);
  const key = `${peer.spiffeId} ${address} ${hbonePort} ${peer.sni} hbone ${tunnelTo}`;
  return Object.freeze({
    key,
    port: containerPort,
    host: address,
    dialPort: hbonePort,
    peer: Object.freeze(peer),
    isRemote: true,
    from: null,
    speaks: null,
    settings: null,
    tunnelTo,
  });
}

/**
 * A workload's port that takes plaintext alone: who is there nobody proves. Its sidecar takes HTTP/2 with prior knowledge,
 * whatever its app speaks.
 */
export function plaintextTarget(
  endpoint: { readonly address: string; readonly port: number; readonly containerPort: number },
  settings: PoolSettings | null = null,
): Target {
  const { address, port, containerPort } = endpoint;
  return Object.freeze({
    key: `plaintext ${address} ${port}${settings === null ? "" : ` ${settings.id}`}`,
    port: containerPort,
    host: address,
    dialPort: port,
    peer: null,
    isRemote: true,
    from: null,
    speaks: "h2",
    settings,
    tunnelTo: null,
  });
}
