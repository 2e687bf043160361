import type { CardeaError } from "./errors.ts";
import type { LogFields } from "./log-fields.ts";

/** Time, injected. Wall time is for certificates and records; monotonic time for durations and time-outs. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  wallMs(): number;
  /** Milliseconds since an arbitrary point; never goes back. */
  monotonicMs(): number;
  /** Runs `fire` once after `delayMs`; a timer never keeps the process alive by itself. */
  setTimer(delayMs: number, fire: () => void): Timer;
}

export interface Timer {
  cancel(): void;
}

/** Randomness, injected. `bytes` is fit for keys and ids, `float` (0 ≤ x < 1) for jitter and balancing alone. */
export interface Random {
  bytes(count: number): Buffer;
  float(): number;
}

/** A transport address: an IP literal and a port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Called by a connection. One object per connection, swapped whole when another stage takes over. */
export interface ConnectionHandlers {
  /** Bytes as they came; the callee owns the buffer, unless `takesLent`. */
  onData(chunk: Buffer): void;
  /** `onData` keeps nothing of the buffer: it may be one that the next read, of whatever connection, goes into. */
  readonly takesLent?: boolean;
  /** The peer has half-closed: no more data will come, ours may still go. */
  onEnd(): void;
  /** The write backlog is empty again after `write` returned false. */
  onDrain(): void;
  /** The connection is gone; called exactly once, last. Undefined error: it ended in good order. */
  onClose(error: CardeaError | undefined): void;
}

/** A byte stream to a peer: TCP, TLS over it, or a simulated one. Never half-open by accident: see `end`. */
export interface Connection {
  /** Our end. */
  readonly local: Address;
  /** The peer's end. */
  readonly remote: Address;
  /** Bytes received from the peer and written for it so far. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** Of `bytesSent`, those that wait here because the peer does not take them yet. */
  readonly unsentBytes: number;
  /** Takes the connection over. Data that came before the first call is held back, not lost. */
  setHandlers(handlers: ConnectionHandlers): void;
  /** Queues bytes (the connection owns the buffer from now on); false when the caller should wait for onDrain. */
  write(chunk: Buffer): boolean;
  /** Half-close: what was written is sent, then FIN (TLS close_notify). Reading goes on. */
  end(): void;
  /** Drops the connection at once, unsent data included. With `reset`, by RST where the platform can. */
  destroy(options?: { reset?: boolean }): void;
  pause(): void;
  resume(): void;
}

/** What the handshake established, as read from the TLS library; nothing here has been verified yet. */
export interface TlsFacts {
  /** The negotiated application protocol (RFC 7301), or null. */
  readonly alpn: string | null;
  /** The client's server_name (RFC 6066 section 3), or null. A claim, not an identity. */
  readonly sni: string | null;
  /** The peer's certificates as DER, leaf first; empty when it sent none. */
  readonly peerChain: readonly Buffer[];
  readonly version: string;
  readonly cipher: string;
  /** Key-exchange group, e.g. "X25519MLKEM768", or null when the library does not tell. */
  readonly group: string | null;
}

export interface SecureConnection extends Connection {
  readonly tls: TlsFacts;
}

/** Certificates and key in the TLS library's own form; built once per rotation by `Network.createTlsContext`. */
export interface TlsContext {
  readonly tlsContext: unknown;
}

/** How we prove who we are. Whom to believe is not for the TLS library: pki/verify.ts looks at every peer's chain. */
export interface TlsMaterial {
  /** Our chain as PEM, leaf first, without the root. Empty, as the key is then: a client presents none. */
  readonly chainPem: string;
  /** PKCS#8 PEM. Stays in this process. */
  readonly keyPem: string;
}

export interface Listening {
  readonly address: Address;
  /** Stops accepting; open connections go on. Resolves when the port is free again. */
  close(): Promise<void>;
}

/** Where connections come from and go to. io/sockets.ts has the real one, test/support a simulated one. */
export interface Network {
  /** Errors: `unreachable` when the port is taken or may not be opened. */
  listen(at: Address, onConnection: (connection: Connection) => void): Promise<Listening>;
  /** Errors: `upstream-connect-failed`, `upstream-connect-timeout`. */
  dial(to: Address, options: DialOptions): Promise<Connection>;
  createTlsContext(material: TlsMaterial): TlsContext;
  /**
   * TLS server side over an accepted connection whose first bytes were already read into `head`.
   * Asks for a client certificate, resumes no session, TLS 1.3 only.
   * Errors: `tls-handshake-failed`, `request-timeout`.
   */
  serveTls(connection: Connection, head: Buffer, options: TlsServerOptions): Promise<SecureConnection>;
  /** TLS client side over a dialled connection. Errors: `tls-handshake-failed` (side upstream), time-outs. */
  startTls(connection: Connection, options: TlsClientOptions): Promise<SecureConnection>;
}

export interface DialOptions {
  readonly timeoutMs: number;
  /** No TLS will be laid over the connection: it can be read in a cheaper way. */
  readonly isPlain?: boolean;
  /** Source IP to dial from, where that matters (127.0.0.6 in Kubernetes). */
  readonly localHost?: string;
  readonly signal?: AbortSignal;
}

export interface TlsServerOptions {
  readonly context: TlsContext;
  readonly handshakeTimeoutMs: number;
  /**
   * Picks one of the client's protocols, or null for a fatal no_application_protocol alert (RFC 7301 section 3.2). Not
   * asked when the client offers none. Pass the same function each time: an adapter keeps a server for each.
   */
  readonly chooseAlpn: (offered: readonly string[]) => string | null;
}

export interface TlsClientOptions {
  readonly context: TlsContext;
  readonly handshakeTimeoutMs: number;
  readonly alpn: readonly string[];
  readonly sni: string | null;
}

/**
 * The destination a captured connection was meant for before the kernel redirected it (SO_ORIGINAL_DST),
 * or null when it was dialled directly. Kubernetes brings the adapter; local mode always answers null.
 */
export interface OriginalDestination {
  of(connection: Connection): Address | null;
}

/** Takes finished lines; bounded, and counts what it had to drop. Never blocks the caller. */
export interface LineSink {
  write(line: string): void;
  /** A line that is bytes already, the first `length` of them; they are copied. */
  writeBytes(bytes: Uint8Array, length: number): void;
  readonly dropped: number;
  close(): Promise<void>;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

/** The program's own log (not the flow log): one JSON object a line, fields from a fixed list. */
export interface Logger {
  log(level: LogLevel, event: string, fields?: LogFields): void;
  /** Guard for building costly fields. */
  isEnabled(level: LogLevel): boolean;
}
