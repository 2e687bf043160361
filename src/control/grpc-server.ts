import type { Duplex } from "node:stream";
import {
  type ConnectionInjector,
  type Metadata,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  type ServiceDefinition,
  type UntypedServiceImplementation,
  experimental,
} from "@grpc/grpc-js";
import { toCardeaError } from "../core/errors.ts";
import type { ListenTls } from "../core/grpc-tls.ts";
import type { Latest } from "../core/latest.ts";
import { LIMITS } from "../core/limits.ts";
import type { Address, Clock, Logger, Timer, TlsMaterial } from "../core/ports.ts";
import type { SpiffeId } from "../core/spiffe-id.ts";
import type { TrustBundles } from "../pki/bundle.ts";
import { verifyPeerChain } from "../pki/verify.ts";

export interface GrpcService {
  readonly definition: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
}

export interface GrpcServerOptions {
  readonly listen: Address;
  readonly listenTls: ListenTls;
  /** Our serving certificate; a new value serves new connections. */
  readonly material: Latest<TlsMaterial>;
  /** Whose clients are let in. */
  readonly bundles: Latest<TrustBundles>;
  readonly services: readonly GrpcService[];
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface GrpcServer {
  readonly address: Address;
  /** No new connections; open ones get GOAWAY and end after `graceMs` at the latest. Resolves when all have ended. */
  close(graceMs: number): Promise<void>;
}

/** Who stands behind a connection, until when. */
interface Caller {
  readonly spiffeId: SpiffeId | null;
  readonly endsAtMs: number;
}

const callers = new WeakMap<Metadata, SpiffeId | null>();

/**
 * The verified identity of a call's sender, or null when it showed no certificate. A call that came by another way
 * than `openGrpcServer` has none, whatever its metadata says.
 */
export function callerOf(call: { readonly metadata: Metadata }): SpiffeId | null {
  return callers.get(call.metadata) ?? null;
}

/**
 * A gRPC server over TLS 1.3 that asks for a client certificate and does without: who joins has none yet. A chain that
 * is shown must be good by our own verification, or the connection ends. Each connection has its own interceptor, which
 * ties its calls to its certificate, and ends no later than that. Errors: `unreachable` when the port is taken.
 */
export async function openGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const server = new Server(SERVER_OPTIONS);
  for (const { definition, handlers } of options.services) server.addService(definition, handlers);
  const connections = new Set<OpenConnection>();
  const listening = await options.listenTls({
    listen: options.listen,
    material: options.material,
    handshakeTimeoutMs: LIMITS.handshakeTimeoutMs,
    connectionsMax: LIMITS.connectionsMax,
    alpn: "h2",
    onConnection: (socket, peerChain) => admit(socket, peerChain, { server, connections, options }),
    onHandshakeFailed: (reason) => options.logger.log("debug", "control-handshake-failed", { reason }),
  });
  return {
    address: listening.address,
    async close(graceMs) {
      await listening.close();
      for (const connection of connections) connection.injector.drain(graceMs);
      await Promise.all(Array.from(connections, (connection) => connection.ended));
    },
  };
}

const SERVER_OPTIONS = {
  "grpc.max_receive_message_length": LIMITS.discoveryMessageBytesMax,
  "grpc.max_concurrent_streams": 100,
  // A sidecar that vanished without a FIN is noticed within a minute.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 20_000,
} as const;

/** Without a certificate there is one thing to do, asking for one: such a connection ends after this. */
const STRANGER_LIFE_MS = 30_000;
const DRAIN_MS = 5_000;
/** And the longest of any connection: what a timer can wait has an end, too. */
const CONNECTION_LIFE_MS = 86_400_000;

interface OpenConnection {
  readonly injector: ConnectionInjector;
  readonly endTimer: Timer;
  /** Resolves once the socket is gone. */
  readonly ended: Promise<void>;
}

interface Admission {
  readonly server: Server;
  readonly connections: Set<OpenConnection>;
  readonly options: GrpcServerOptions;
}

function admit(socket: Duplex, peerChain: readonly Buffer[], { server, connections, options }: Admission): void {
  const caller = identifyCaller(peerChain, options);
  if (caller === null) {
    socket.destroy();
    return;
  }
  const credentials = experimental.createServerCredentialsWithInterceptors(ServerCredentials.createInsecure(), [
    tagCalls(caller, options.clock),
  ]);
  const injector = server.createConnectionInjector(credentials);
  const lifeMs = Math.min(CONNECTION_LIFE_MS, Math.max(0, caller.endsAtMs - options.clock.wallMs()));
  const endTimer = options.clock.setTimer(lifeMs, () => injector.drain(DRAIN_MS));
  const { promise: ended, resolve: setEnded } = Promise.withResolvers<void>();
  const connection = { injector, endTimer, ended };
  connections.add(connection);
  socket.once("close", () => {
    connections.delete(connection);
    endTimer.cancel();
    injector.destroy();
    setEnded();
  });
  injector.injectConnection(socket);
}

/** Null: a certificate was shown and is not good. */
function identifyCaller(peerChain: readonly Buffer[], { bundles, clock, logger }: GrpcServerOptions): Caller | null {
  if (peerChain.length === 0) return { spiffeId: null, endsAtMs: clock.wallMs() + STRANGER_LIFE_MS };
  try {
    const peer = verifyPeerChain(peerChain, bundles.get(), clock.wallMs());
    return { spiffeId: peer.spiffeId, endsAtMs: peer.notAfterMs };
  } catch (error) {
    const { code, message } = toCardeaError(error);
    logger.log("warn", "control-caller-refused", { code, message });
    return null;
  }
}

/** Past the certificate's end the connection only drains: calls that still come on it have no identity. */
function tagCalls(caller: Caller, clock: Clock): ServerInterceptor {
  return (_method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, pass) => {
          callers.set(metadata, clock.wallMs() <= caller.endsAtMs ? caller.spiffeId : null);
          pass(metadata);
        });
        next(listener.build());
      },
    });
}
