import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Address, Listening } from "../core/ports.ts";

/** One path of an admin, metrics or readiness port. Answers must hold no secrets: the port has no login. */
export interface AdminRoute {
  readonly path: string;
  /** GET (with HEAD) unless said. */
  readonly method?: "GET" | "POST";
  answer(query: URLSearchParams, asked?: AdminAsked): AdminAnswer | Promise<AdminAnswer>;
}

/** What else of a request an answer may depend on. */
export interface AdminAsked {
  readonly accept: string | undefined;
}

export interface AdminAnswer {
  readonly status: number;
  readonly contentType: string;
  /** Text, or pieces of text that are sent as they come, with backpressure. */
  readonly body: string | AsyncIterable<string>;
}

export interface HttpAdminOptions {
  readonly at: Address;
  readonly routes: readonly AdminRoute[];
  /**
   * `loopback`: only a Host of localhost or a loopback address is answered, so that a web page cannot reach
   * the port by DNS rebinding. `any`: for metrics and readiness, which Prometheus and the kubelet ask by pod IP.
   */
  readonly hosts: "loopback" | "any";
}

const HEAD_BYTES_MAX = 8_192;
const TEXT = "text/plain; charset=utf-8";

/**
 * Opens a small HTTP server for people and scrapers; never on the data path. Requests have no bodies.
 * Errors: `unreachable` when the port is taken or may not be opened.
 */
export async function openHttpAdmin(options: HttpAdminOptions): Promise<Listening> {
  // An import statement reads every export of the module, and node:http's WebSocket brings Node's whole fetch along: 3 MB.
  // Not before it is wanted: a sidecar listens to its callers first, and this takes longer than that.
  const { createServer } = process.getBuiltinModule("node:http");
  const server = createServer({ maxHeaderSize: HEAD_BYTES_MAX }, (request, response) => {
    void answer(options, request, response);
  });
  server.maxConnections = LIMITS.adminConnectionsMax;
  server.headersTimeout = LIMITS.headTimeoutMs;
  server.requestTimeout = LIMITS.headTimeoutMs;
  await listen(server, options.at);
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : options.at.port;
  return { address: { host: options.at.host, port }, close: () => close(server) };
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

/** Scrapers keep connections open for ever, so closing does not wait for them. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function answer(options: HttpAdminOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    await send(response, await decideAnswer(options, request), request.method === "HEAD");
  } catch {
    // The caller went away, or a route failed half way: an unfinished answer must not look whole.
    if (response.headersSent) response.destroy();
    else await send(response, refusal(500, "internal error"), false).catch(() => response.destroy());
  }
}

async function decideAnswer(options: HttpAdminOptions, request: IncomingMessage): Promise<AdminAnswer> {
  if (options.hosts === "loopback" && !isLoopbackHost(request.headers.host)) {
    return refusal(403, "this port answers to localhost only");
  }
  if (hasBody(request)) return refusal(413, "requests to this port have no body");
  const url = parseTarget(request.url ?? "");
  if (url === null) return refusal(400, "bad request target");
  const matching = options.routes.filter((route) => route.path === url.pathname);
  if (matching.length === 0) return refusal(404, "no such page");
  const method = request.method === "HEAD" ? "GET" : request.method;
  const route = matching.find((candidate) => (candidate.method ?? "GET") === method);
  if (route === undefined) return refusal(405, "method not allowed");
  // A browser names the page that sends a form; no page of another origin may change anything here.
  if (method === "POST" && request.headers.origin !== undefined) return refusal(403, "not from a web page");
  return await route.answer(url.searchParams, { accept: request.headers.accept });
}

/** localhost, 127.0.0.0/8 or ::1, with or without a port (RFC 9110 section 7.2). */
function isLoopbackHost(host: string | undefined): boolean {
  const name = (host ?? "").toLowerCase().replace(/:\d+$/, "");
  return name === "localhost" || name === "[::1]" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name);
}

function hasBody(request: IncomingMessage): boolean {
  return request.headers["transfer-encoding"] !== undefined || (request.headers["content-length"] ?? "0") !== "0";
}

function parseTarget(target: string): URL | null {
  return target.startsWith("/") ? URL.parse(`http://localhost${target}`) : null;
}

function refusal(status: number, why: string): AdminAnswer {
  return { status, contentType: TEXT, body: `${why}\n` };
}

async function send(response: ServerResponse, what: AdminAnswer, isHead: boolean): Promise<void> {
  response.statusCode = what.status;
  response.setHeader("content-type", what.contentType);
  response.setHeader("cache-control", "no-store");
  response.setHeader("x-content-type-options", "nosniff");
  // After a refusal there may be an unread body on the connection.
  if (what.status >= 400) response.setHeader("connection", "close");
  if (isHead) {
    response.end();
  } else if (typeof what.body === "string") {
    response.end(what.body);
  } else {
    await sendPieces(response, what.body);
  }
}

async function sendPieces(response: ServerResponse, pieces: AsyncIterable<string>): Promise<void> {
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
