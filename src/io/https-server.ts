import type { IncomingMessage, ServerResponse } from "node:http";
import { constants } from "node:crypto";
import { createServer, type Server, type ServerOptions } from "node:https";
import { CardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import { LIMITS } from "../core/limits.ts";
import type { Address, Clock, Listening, TlsMaterial } from "../core/ports.ts";
import { type ByteBudget, createByteBudget } from "./byte-budget.ts";

/** One path that takes JSON by POST. */
export interface PostRoute {
  readonly path: string;
  /** Never rejects for what a body holds. */
  answer(body: Buffer): Promise<PostAnswer>;
}

export interface PostAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export interface HttpsServerOptions {
  readonly listen: Address;
  /** A new value serves new connections. */
  readonly material: Latest<TlsMaterial>;
  readonly routes: readonly PostRoute[];
  readonly bodyBytesMax: number;
  /** Of all bodies that are read or answered at a time; who comes on top waits, unread, up to `waitMsMax`. */
  readonly heldBytesMax: number;
  readonly waitMsMax: number;
  readonly clock: Clock;
}

const HEAD_BYTES_MAX = 16_384;

/**
 * HTTPS for the Kubernetes API server: POST of JSON, bounded in bodies, in their sum, in connections and in time. TLS 1.3
 * only. Callers are not asked for a certificate, since an API server has none by default: answers must be fit for anybody
 * who reaches the port. Errors: `unreachable` when the port is taken.
 */
export async function openHttpsServer(options: HttpsServerOptions): Promise<Listening> {
  const budget = createByteBudget({ bytes: options.heldBytesMax, waitMsMax: options.waitMsMax, clock: options.clock });
  const server = createServer(serverOptions(options.material.get()), (request, response) => {
    void answer(request, response, { options, budget });
  });
  server.maxConnections = LIMITS.connectionsMax;
  server.headersTimeout = LIMITS.headTimeoutMs;
  server.requestTimeout = LIMITS.headTimeoutMs + options.waitMsMax;
  server.keepAliveTimeout = LIMITS.keepAliveIdleMs;
  await listen(server, options.listen);
  const unsubscribe = options.material.subscribe((material) => server.setSecureContext(serverOptions(material)));
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : options.listen.port;
  return {
    address: { host: options.listen.host, port },
    close() {
      unsubscribe();
      return close(server);
    },
  };
}

function serverOptions(material: TlsMaterial): ServerOptions {
  return {
    cert: material.chainPem,
    key: material.keyPem,
    minVersion: "TLSv1.3",
    secureOptions: constants.SSL_OP_NO_TICKET,
    handshakeTimeout: LIMITS.handshakeTimeoutMs,
    maxHeaderSize: HEAD_BYTES_MAX,
    // All that API servers offer to a webhook that is a Service: over HTTP/2 one replica would get all requests.
    ALPNProtocols: ["http/1.1"],
  };
}

function listen(server: Server, at: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    // It stays for good: later errors (no file descriptors left to accept with) must not end the process.
    server.on("error", (cause) => {
      reject(new CardeaError("unreachable", `cannot listen on ${at.host}:${at.port}: ${cause.message}`, cause));
    });
    server.listen({ host: at.host, port: at.port, backlog: LIMITS.listenBacklog }, resolve);
  });
}

/** What is being answered is answered; connections that wait for a next request end at once. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}

interface Context {
  readonly options: HttpsServerOptions;
  readonly budget: ByteBudget;
}

async function answer(request: IncomingMessage, response: ServerResponse, context: Context): Promise<void> {
  try {
    await decideAndSend(request, response, context);
  } catch {
    // The caller went away, or a route failed half way: an unfinished answer must not look whole.
    if (response.headersSent || response.destroyed) response.destroy();
    else send(response, refusal(500, "internal error"));
  }
}

async function decideAndSend(request: IncomingMessage, response: ServerResponse, context: Context): Promise<void> {
  const { options, budget } = context;
  const route = options.routes.find(({ path }) => path === pathOf(request));
  const refused = refuseHead(request, route, options.bodyBytesMax);
  if (refused !== null || route === undefined) {
    send(response, refused ?? NOT_FOUND);
    return;
  }
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort();
  });
  // Unread, the body stays with the sender: TCP holds it back.
  const release = await budget.take(declaredBytes(request) ?? options.bodyBytesMax, gone.signal);
  if (release === null) {
    if (!gone.signal.aborted) send(response, { ...refusal(503, "too many reviews at once; try again"), retryAfter: 1 });
    return;
  }
  try {
    const body = await readBody(request, options.bodyBytesMax);
    send(response, body === null ? tooLarge(options.bodyBytesMax) : await route.answer(body));
  } finally {
    release();
  }
}

/** The API server adds `?timeout=10s`. */
function pathOf({ url = "" }: IncomingMessage): string {
  const end = url.indexOf("?");
  return end < 0 ? url : url.slice(0, end);
}

const NOT_FOUND = refusal(404, "no such path");

function refuseHead(request: IncomingMessage, route: PostRoute | undefined, bytesMax: number): Sent | null {
  if (route === undefined) return NOT_FOUND;
  if (request.method !== "POST") return { ...refusal(405, "POST is the one method here"), allow: "POST" };
  const type = (request.headers["content-type"] ?? "").split(";", 1)[0]!.trim().toLowerCase();
  if (type !== "application/json") return refusal(415, "expected content-type application/json");
  const coding = request.headers["content-encoding"];
  if (coding !== undefined && coding !== "identity") return refusal(415, "expected no content-encoding");
  return (declaredBytes(request) ?? 0) > bytesMax ? tooLarge(bytesMax) : null;
}

function declaredBytes(request: IncomingMessage): number | null {
  const length = request.headers["content-length"];
  return length === undefined ? null : Number(length);
}

/** Null: it is longer than that. Rejects when the caller goes away. */
async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

interface Sent extends PostAnswer {
  readonly allow?: string;
  readonly retryAfter?: number;
}

function tooLarge(bytesMax: number): Sent {
  return refusal(413, `the body is larger than ${bytesMax} bytes`);
}

function refusal(status: number, why: string): Sent {
  return { status, contentType: "text/plain; charset=utf-8", body: `${why}\n` };
}

function send(response: ServerResponse, what: Sent): void {
  response.statusCode = what.status;
  response.setHeader("content-type", what.contentType);
  response.setHeader("cache-control", "no-store");
  response.setHeader("x-content-type-options", "nosniff");
  if (what.allow !== undefined) response.setHeader("allow", what.allow);
  if (what.retryAfter !== undefined) response.setHeader("retry-after", String(what.retryAfter));
  // After a refusal there may be an unread body on the connection.
  if (what.status >= 400) response.setHeader("connection", "close");
  response.end(what.body);
}
