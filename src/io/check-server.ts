import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Address, Listening } from "../core/ports.ts";

/** The head of a request that somebody asks about; its body, if there is one, is thrown away. */
export interface AskedHead {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly host: string;
  /** By lower-case name, several joined by a comma. */
  readonly headers: ReadonlyMap<string, string>;
}

export interface HeadAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface CheckServerOptions {
  readonly listen: Address;
  readonly answer: (head: AskedHead) => HeadAnswer;
}

/** A server that answers every request by its head, whatever its method and path. Errors: `unreachable`. */
export async function openCheckServer({ listen, answer }: CheckServerOptions): Promise<Listening> {
  const { createServer } = process.getBuiltinModule("node:http");
  const server = createServer({ maxHeaderSize: LIMITS.headBytesMax }, (request, response) => {
    request.resume();
    respond(response, request, answer);
  });
  server.headersTimeout = LIMITS.headTimeoutMs;
  server.maxConnections = LIMITS.connectionsMax;
  await begin(server, listen);
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : listen.port;
  return {
    address: { host: listen.host, port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function begin(server: Server, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.on("error", (cause) => {
      reject(new CardeaError("unreachable", `cannot listen on ${host}:${port}: ${cause.message}`, cause));
    });
    server.listen({ host, port }, resolve);
  });
}

function respond(response: ServerResponse, request: IncomingMessage, answer: CheckServerOptions["answer"]): void {
  try {
    const { status, headers, body } = answer(headOf(request));
    response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
    response.end(request.method === "HEAD" ? undefined : body);
  } catch {
    // Whoever asks takes this for a failure, and denies.
    response.writeHead(500, { "content-length": 0 });
    response.end();
  }
}

function headOf({ method = "", url = "", rawHeaders }: IncomingMessage): AskedHead {
  const headers = new Map<string, string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    const before = headers.get(name);
    headers.set(name, before === undefined ? rawHeaders[i + 1]! : `${before},${rawHeaders[i + 1]}`);
  }
  return { method, path: url, host: headers.get("host") ?? "", headers };
}
