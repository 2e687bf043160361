import net from "node:net";
import { CardeaError, type ErrorCode } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Address, Connection, DialOptions, Listening, Network } from "../core/ports.ts";
import { SocketReader } from "./socket-reader.ts";
import { SocketConnection } from "./socket-connection.ts";
import { createTlsContext, serveTls, startTls } from "./tls.ts";

export interface SocketNetworkOptions {
  /** Whether all sockets are read into one buffer, which takes what is not public in the runtime. Default: true. */
  readonly sharesReads?: boolean;
}

/** The operating system's TCP and the runtime's TLS. */
export function createSocketNetwork({ sharesReads = true }: SocketNetworkOptions = {}): Network {
  return {
    listen: (at, onConnection) => listen(at, onConnection, sharesReads),
    dial: (to, options) => dial(to, options, sharesReads),
    createTlsContext,
    serveTls,
    startTls,
  };
}

function listen(at: Address, onConnection: (connection: Connection) => void, sharesReads: boolean): Promise<Listening> {
  const server = net.createServer(SOCKET_OPTIONS, (socket) =>
    onConnection(new SocketConnection(socket, "downstream", { sharesReads })),
  );
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(at, error)));
    server.listen({ host: at.host, port: at.port, backlog: LIMITS.listenBacklog }, () => {
      server.removeAllListeners("error");
      // Accepting can fail later, too (no file descriptors left). The kernel keeps the caller in its backlog and the
      // runtime tries again, so there is nothing to do but to live on.
      server.on("error", () => {});
      resolve({ address: boundAddress(server), close: () => closeServer(server) });
    });
  });
}

function dial(to: Address, options: DialOptions, sharesReads: boolean): Promise<Connection> {
  return new Promise((resolve, reject) => {
    if (options.signal?.aborted === true) {
      reject(dialError(to, "upstream-connect-failed", "given up"));
      return;
    }
    const { localHost } = options;
    const from = localHost === undefined ? {} : { localAddress: localHost };
    const reads = options.isPlain === true ? new SocketReader() : null;
    const onread = reads === null ? {} : { onread: reads.onread };
    const socket = net.connect({ host: to.host, port: to.port, ...from, ...onread, ...SOCKET_OPTIONS });
    const timer = setTimeout(() => fail("upstream-connect-timeout", "no answer"), options.timeoutMs).unref();
    const onAbort = () => fail("upstream-connect-failed", "given up");
    const onError = (error: NodeJS.ErrnoException) => fail("upstream-connect-failed", error.code ?? error.message);
    function settle(): void {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", onAbort);
      socket.removeListener("error", onError);
    }
    function fail(code: ErrorCode, why: string): void {
      settle();
      socket.on("error", () => {}).destroy();
      reject(dialError(to, code, why));
    }
    options.signal?.addEventListener("abort", onAbort, { once: true });
    socket.once("error", onError);
    socket.once("connect", () => {
      settle();
      resolve(new SocketConnection(socket, "upstream", { reads, sharesReads }));
    });
  });
}

/** Small writes are gathered by ourselves, so Nagle's algorithm could only delay; probes find peers that vanished. */
const SOCKET_OPTIONS = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: LIMITS.tcpKeepAliveMs,
} as const;

/** `net.Server.close` would wait for the open connections as well; the port itself is free a turn later. */
function closeServer(server: net.Server): Promise<void> {
  return new Promise((resolve) => {
    server.close();
    setImmediate(resolve);
  });
}

function boundAddress(server: net.Server): Address {
  const address = server.address();
  if (address === null || typeof address === "string") throw new CardeaError("internal", "a listener has no port");
  return { host: address.address, port: address.port };
}

function listenError(at: Address, error: NodeJS.ErrnoException): CardeaError {
  const why = error.code === "EADDRINUSE" ? "the port is taken" : (error.code ?? error.message);
  return new CardeaError("unreachable", `cannot listen on ${at.host}:${at.port}: ${why}`, error);
}

function dialError(to: Address, code: ErrorCode, why: string): CardeaError {
  return new CardeaError(code, `cannot connect to ${to.host}:${to.port}: ${why}`);
}
