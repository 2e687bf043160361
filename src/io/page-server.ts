import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import { createServer as createPlainServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Address, Listening } from "../core/ports.ts";

/** A request without a body, as far as pages look at it. */
export interface PageRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** By lower-case name; of repeated ones what Node makes of them. */
  header(name: string): string | undefined;
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal;
}

export interface PageAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Text, or pieces that are sent as they come, with backpressure. Pieces are not asked for by HEAD. */
  readonly body: string | AsyncIterable<string>;
}

export interface PageServerOptions {
  readonly at: Address;
  /** Null: plain HTTP. */
  readonly tls: { readonly chainPem: string; readonly keyPem: string } | null;
  readonly connectionsMax: number;
  answer(request: PageRequest): Promise<PageAnswer>;
}

const HEAD_BYTES_MAX = 16_384;

/**
 * HTTP for a browser: small, and nothing is taken in. Errors: `unreachable` when the port is taken, `bad-input` when the
 * certificate is none.
 */
export async function openPageServer(options: PageServerOptions): Promise<Listening> {
  const server = createServer(options.tls, (request, response) => void serve(options, request, response));
  server.maxConnections = options.connectionsMax;
  server.headersTimeout = LIMITS.headTimeoutMs;
  server.requestTimeout = LIMITS.headTimeoutMs;
  server.keepAliveTimeout = LIMITS.keepAliveIdleMs;
  await listen(server, options.at);
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : options.at.port;
  return { address: { host: options.at.host, port }, close: () => close(server) };
}

function createServer(tls: PageServerOptions["tls"], onRequest: RequestListener): Server {
  const bounds = { maxHeaderSize: HEAD_BYTES_MAX };
  if (tls === null) return createPlainServer(bounds, onRequest);
  try {
    const material = { cert: tls.chainPem, key: tls.keyPem, minVersion: "TLSv1.3" } as const;
    return createTlsServer({ ...bounds, ...material, handshakeTimeout: LIMITS.handshakeTimeoutMs }, onRequest);
  } catch (cause) {
    throw new CardeaError("bad-input", `the map's certificate cannot be used: ${(cause as Error).message}`, cause);
  }
}

function listen(server: Server, at: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    // It stays for good: later errors (no file descriptors left to accept with) must not end the process.
    server.on("error", (cause) => {
      reject(new CardeaError("unreachable", `cannot listen on ${at.host}:${at.port}: ${cause.message}`, cause));
    });
    server.listen({ host: at.host, port: at.port }, resolve);
  });
}

/** Pages keep connections open for ever, so closing does not wait for them. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function serve(options: PageServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    await send(response, await answer(options, request, gone.signal), request.method === "HEAD");
  } catch {
    // The caller went away, or a page failed half way: an unfinished answer must not look whole.
    if (response.headersSent || response.destroyed) response.destroy();
    else await send(response, refusal(500, "internal error"), false).catch(() => response.destroy());
  }
}

async function answer(options: PageServerOptions, request: IncomingMessage, signal: AbortSignal): Promise<PageAnswer> {
  if (hasBody(request)) return refusal(413, "requests to this port have no body");
  const { url: target = "", method = "", headers } = request;
  const url = target.startsWith("/") ? URL.parse(`http://localhost${target}`) : null;
  if (url === null) return refusal(400, "bad request target");
  const header = (name: string): string | undefined => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  };
  return options.answer({ method, path: url.pathname, query: url.searchParams, header, signal });
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

function refusal(status: number, why: string): PageAnswer {
  return { status, headers: { "content-type": "text/plain; charset=utf-8" }, body: `${why}\n` };
}

async function send(response: ServerResponse, what: PageAnswer, isHead: boolean): Promise<void> {
  response.statusCode = what.status;
  for (const [name, value] of Object.entries(what.headers)) response.setHeader(name, value);
  // After a refusal there may be an unread body on the connection.
  if (what.status >= 400) response.setHeader("connection", "close");
  if (isHead) response.end();
  else if (typeof what.body === "string") response.end(what.body);
  else await sendPieces(response, what.body);
}

async function sendPieces(response: ServerResponse, pieces: AsyncIterable<string>): Promise<void> {
  response.flushHeaders();
  for await (const piece of pieces) {
    if (response.destroyed) return;
    if (!response.write(piece)) await drained(response);
  }
  response.end();
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      response.off("drain", go).off("close", go);
      resolve();
    };
    response.on("drain", go).on("close", go);
  });
}
