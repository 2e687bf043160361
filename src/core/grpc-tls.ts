import type { Duplex } from "node:stream";
import type { Latest } from "./latest.ts";
import type { Address, Listening, TlsContext, TlsMaterial } from "./ports.ts";

/**
 * TLS for the calls between sidecars and control plane. The gRPC library wants the platform's own sockets, so these
 * two ports hand them over whole, instead of the `Connection` of the data path. io/tls-listener.ts and
 * io/tls-client-context.ts have the real ones.
 */

/** What a caller of the control plane presents; nothing but the roots when it still has no certificate. */
export interface ClientTlsMaterial {
  readonly rootsPem: string;
  readonly own: { readonly chainPem: string; readonly keyPem: string } | null;
}

/** TLS 1.3 only. Errors: `internal` when key and chain do not belong together. */
export type CreateClientTlsContext = (material: ClientTlsMaterial) => TlsContext;

export interface TlsListenerOptions {
  readonly listen: Address;
  /** What we present. A new value serves new connections; open ones go on. */
  readonly material: Latest<TlsMaterial>;
  readonly handshakeTimeoutMs: number;
  readonly connectionsMax: number;
  readonly alpn: string;
  /**
   * After each handshake. `peerChain` is what the client sent, DER, leaf first: not verified, and empty when it sent
   * nothing, since it is asked for a certificate, but none is demanded. The callee owns the socket.
   */
  onConnection(socket: Duplex, peerChain: readonly Buffer[]): void;
  /** A handshake that failed; the socket is gone. */
  onHandshakeFailed(reason: string): void;
}

/** TLS 1.3 only, without session tickets. Errors: `unreachable` when the port is taken or may not be opened. */
export type ListenTls = (options: TlsListenerOptions) => Promise<Listening>;
