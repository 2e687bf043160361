import type { X509Certificate } from "node:crypto";
import { constants } from "node:crypto";
import { type SecureContextOptions, type Server, type TLSSocket, createServer } from "node:tls";
import { CardeaError } from "../core/errors.ts";
import type { TlsListenerOptions } from "../core/grpc-tls.ts";
import { LIMITS } from "../core/limits.ts";
import type { Listening, TlsMaterial } from "../core/ports.ts";

/** See `ListenTls`. */
export async function listenTls(options: TlsListenerOptions): Promise<Listening> {
  const server = createServer({
    ...contextOf(options.material.get()),
    requestCert: true,
    // Whoever takes the socket verifies the chain: the library knows neither trust domains nor our clock.
    rejectUnauthorized: false,
    handshakeTimeout: options.handshakeTimeoutMs,
    ALPNProtocols: [options.alpn],
  });
  server.maxConnections = options.connectionsMax;
  server.on("secureConnection", (socket) => {
    // Errors of a connection end it; the stream's owner sees its close.
    socket.on("error", () => socket.destroy());
    options.onConnection(socket, peerChainOf(socket));
  });
  server.on("tlsClientError", (error, socket) => {
    options.onHandshakeFailed(error.message);
    socket.destroy();
  });
  await open(server, options);
  const unsubscribe = options.material.subscribe((material) => server.setSecureContext(contextOf(material)));
  return {
    address: boundAddress(server, options),
    close: () =>
      new Promise((resolve) => {
        unsubscribe();
        // Not server.close's callback: it waits for open connections, which are the stream owner's to drain.
        server.close();
        resolve();
      }),
  };
}

function contextOf(material: TlsMaterial): SecureContextOptions {
  return {
    cert: material.chainPem,
    key: material.keyPem,
    // No authorities: whoever takes the socket verifies the chain.
    ca: [],
    minVersion: "TLSv1.3",
    // No resumption: such a session shows the leaf alone, and no new proof of its key.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

function open(server: Server, { listen }: TlsListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    // Kept for good: a failing accept (too many open files) must not end the process; the next one may succeed.
    server.on("error", (error) => {
      reject(new CardeaError("unreachable", `cannot listen on ${listen.host}:${listen.port}: ${error.message}`, error));
    });
    server.listen({ host: listen.host, port: listen.port }, resolve);
  });
}

function boundAddress(server: Server, { listen }: TlsListenerOptions): Listening["address"] {
  const bound = server.address();
  return typeof bound === "object" && bound !== null ? { host: bound.address, port: bound.port } : listen;
}

function peerChainOf(socket: TLSSocket): readonly Buffer[] {
  const chain: Buffer[] = [];
  let next: X509Certificate | undefined = socket.getPeerX509Certificate();
  // One above the limit, so that whoever verifies sees that it is too long.
  while (next !== undefined && chain.length <= LIMITS.chainCertificatesMax) {
    chain.push(next.raw);
    next = next.issuerCertificate;
  }
  return chain;
}
