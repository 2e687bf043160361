import type { Duplex } from "node:stream";
import type { Latest } from "./latest.ts";
import type { Address, Listening, TlsMaterial } from "./ports.ts";

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

/**
 * The control plane's TLS. The gRPC library wants the platform's own sockets, so this port hands them over whole, instead
 * of the `Connection` of the data path; io/tls-listener.ts has the real one. TLS 1.3 only, without resumption.
 * Errors: `unreachable` when the port is taken or may not be opened.
 */
export type ListenTls = (options: TlsListenerOptions) => Promise<Listening>;
