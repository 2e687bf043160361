import { constants, type X509Certificate } from "node:crypto";
import type net from "node:net";
import tls from "node:tls";
import { CardeaError, type ErrorCode } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type {
  Connection,
  SecureConnection,
  TlsClientOptions,
  TlsContext,
  TlsFacts,
  TlsMaterial,
  TlsServerOptions,
} from "../core/ports.ts";
import { type ConnectionSide, SecureSocketConnection, SocketConnection } from "./socket-connection.ts";

/**
 * Builds both sides' contexts once for each rotation (1 to 3 ms); every later handshake uses them, live connections
 * keep what they began with. Errors: `bad-input` when certificate and key cannot be read or do not belong together.
 */
export function createTlsContext(material: TlsMaterial): TlsContext {
  try {
    const options = { ...TLS_OPTIONS, ecdhCurve: groups(), cert: material.chainPem, key: material.keyPem };
    return { tlsContext: new RuntimeContext(options) };
  } catch (error) {
    throw new CardeaError("bad-input", `the certificate cannot be used: ${(error as Error).message}`, error);
  }
}

/** See `Network.serveTls`. */
export function serveTls(connection: Connection, head: Buffer, options: TlsServerOptions): Promise<SecureConnection> {
  const { raw, sharesReads } = detach(connection);
  const server = contextOf(options.context).serverFor(options);
  return new Promise((resolve, reject) => {
    if (raw.destroyed) {
      reject(handshakeError("the peer has gone"));
      return;
    }
    const peer = nameOf(raw);
    server.pending.set(peer, {
      resolve: (socket) => resolve(secured(socket, { raw, side: "downstream", sharesReads })),
      reject,
    });
    // Whatever else happens or fails to: once the socket is closed nobody waits for the handshake any longer.
    raw.once("close", () => server.fail(peer, handshakeError("the peer hung up")));
    if (head.length > 0) raw.unshift(head);
    // A documented way into the TLS server for a socket that it has not accepted itself.
    server.server.emit("connection", raw);
  });
}

/** See `Network.startTls`. */
export function startTls(connection: Connection, options: TlsClientOptions): Promise<SecureConnection> {
  const { raw, sharesReads } = detach(connection);
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      socket: raw,
      secureContext: contextOf(options.context).client,
      servername: options.sni ?? "",
      ALPNProtocols: [...options.alpn],
      // Both off because the name in a certificate of ours is a SPIFFE ID: proxy/identify.ts looks at every chain.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    const timer = setTimeout(
      () => fail("the handshake took too long", "upstream-connect-timeout"),
      options.handshakeTimeoutMs,
    );
    const onError = (error: NodeJS.ErrnoException) => fail(error.code ?? error.message);
    const onClose = () => fail("the peer hung up");
    function settle(): void {
      clearTimeout(timer);
      socket.removeListener("error", onError).removeListener("close", onClose);
    }
    function fail(why: string, code: ErrorCode = "tls-handshake-failed"): void {
      settle();
      socket.on("error", () => {}).destroy();
      raw.destroy();
      reject(handshakeError(why, code));
    }
    socket.once("error", onError).once("close", onClose);
    socket.once("secureConnect", () => {
      settle();
      resolve(secured(socket, { raw, side: "upstream", sharesReads }));
    });
  });
}

const NO_AUTHORITIES: string[] = [];

const POST_QUANTUM_GROUP = "X25519MLKEM768";

/** Null: nobody has asked yet. To find out takes a context, longer than a sidecar takes to listen. */
let isPostQuantum: boolean | null = null;

/** The key-exchange group that two sidecars of this runtime agree on: post-quantum where its OpenSSL can do it. */
export function preferredGroup(): string {
  isPostQuantum ??= supportsGroup(POST_QUANTUM_GROUP);
  return isPostQuantum ? POST_QUANTUM_GROUP : "X25519";
}

function groups(): string {
  const preferred = preferredGroup();
  return preferred === "X25519" ? "X25519:P-256" : `${preferred}:X25519:P-256`;
}

/** AES with 128-bit keys first, as Go and Envoy have it: a quarter cheaper by the byte than with 256, which is taken too. */
const CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

const TLS_OPTIONS = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  ciphers: CIPHERS,
  // No resumption, which would skip the proof of who the peer is: OpenSSL's tickets then only name sessions, and none is kept.
  secureOptions: constants.SSL_OP_NO_TICKET,
  // No authorities: the library's own opinion of a chain is asked for by nobody, and cost a fifth of a handshake.
  ca: NO_AUTHORITIES,
} as const;

function supportsGroup(group: string): boolean {
  try {
    // Without these the runtime reads all that the world trusts, for 10 ms.
    tls.createSecureContext({ ecdhCurve: group, ca: NO_AUTHORITIES });
    return true;
  } catch {
    return false;
  }
}

class RuntimeContext {
  readonly client: tls.SecureContext;
  readonly #options: tls.SecureContextOptions;
  /** One for each pair of options that it is asked for; a sidecar asks for two or three. */
  readonly #servers: HandshakeServer[] = [];

  constructor(options: tls.SecureContextOptions) {
    this.#options = options;
    this.client = tls.createSecureContext(options);
  }

  serverFor({ chooseAlpn, handshakeTimeoutMs }: TlsServerOptions): HandshakeServer {
    const kept = this.#servers.find((each) => each.chooseAlpn === chooseAlpn && each.timeoutMs === handshakeTimeoutMs);
    if (kept !== undefined) return kept;
    const server = new HandshakeServer(this.#options, chooseAlpn, handshakeTimeoutMs);
    this.#servers.push(server);
    return server;
  }
}

interface PendingHandshake {
  resolve(socket: tls.TLSSocket): void;
  reject(error: CardeaError): void;
}

/** A TLS server that never listens: sockets are handed to it, and it reports by events which of them are secure. */
class HandshakeServer {
  readonly server: tls.Server;
  readonly chooseAlpn: TlsServerOptions["chooseAlpn"];
  readonly timeoutMs: number;
  /** By the peer's address and port, which is the only public name that both sockets of a connection share. */
  readonly pending = new Map<string, PendingHandshake>();

  constructor(options: tls.SecureContextOptions, chooseAlpn: TlsServerOptions["chooseAlpn"], timeoutMs: number) {
    this.chooseAlpn = chooseAlpn;
    this.timeoutMs = timeoutMs;
    this.server = new tls.Server({
      ...options,
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: timeoutMs,
      ALPNCallback: ({ protocols }) => chooseAlpn(protocols) ?? undefined,
    });
    this.server.on("secureConnection", (socket) => this.#take(nameOf(socket))?.resolve(socket));
    this.server.on("tlsClientError", (error, socket) => {
      this.fail(nameOf(socket), handshakeError((error as NodeJS.ErrnoException).code ?? error.message));
      socket.destroy();
    });
  }

  fail(peer: string, error: CardeaError): void {
    this.#take(peer)?.reject(error);
  }

  #take(peer: string): PendingHandshake | undefined {
    const handshake = this.pending.get(peer);
    this.pending.delete(peer);
    return handshake;
  }
}

function nameOf(socket: net.Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
}

interface Transport {
  readonly raw: net.Socket;
  readonly side: ConnectionSide;
  readonly sharesReads: boolean;
}

function secured(socket: tls.TLSSocket, { raw, side, sharesReads }: Transport): SecureConnection {
  return new SecureSocketConnection(socket, raw, { side, tls: readFacts(socket), sharesReads });
}

function readFacts(socket: tls.TLSSocket): TlsFacts {
  // The runtime answers false for "none"; a server is not told the group.
  const { alpnProtocol, servername } = socket as { alpnProtocol: unknown; servername?: unknown };
  const keyInfo = socket.getEphemeralKeyInfo() as { name?: string } | null;
  return {
    alpn: typeof alpnProtocol === "string" ? alpnProtocol : null,
    sni: typeof servername === "string" && servername !== "" ? servername : null,
    peerChain: chainOf(socket.getPeerX509Certificate()),
    version: socket.getProtocol() ?? "unknown",
    cipher: socket.getCipher().standardName,
    group: keyInfo?.name ?? null,
  };
}

function chainOf(leaf: X509Certificate | undefined): readonly Buffer[] {
  const chain: Buffer[] = [];
  for (
    let next = leaf;
    next !== undefined && chain.length <= LIMITS.chainCertificatesMax;
    next = next.issuerCertificate
  ) {
    chain.push(next.raw);
  }
  return chain;
}

function contextOf(context: TlsContext): RuntimeContext {
  if (context.tlsContext instanceof RuntimeContext) return context.tlsContext;
  throw new CardeaError("internal", "a TLS context of another network");
}

function detach(connection: Connection): Omit<Transport, "side"> {
  if (connection instanceof SocketConnection) return { raw: connection.detach(), sharesReads: connection.sharesReads };
  throw new CardeaError("internal", "a connection of another network");
}

function handshakeError(why: string, code: ErrorCode = "tls-handshake-failed"): CardeaError {
  return new CardeaError(code, `the TLS handshake failed: ${why}`);
}
