import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, request as ask } from "node:https";
import type { Socket } from "node:net";
import type { PemPair } from "./kube-certificates.ts";

/** What becomes of a request on its way. Left out: it passes. */
export type Fault =
  /** Answered by the proxy itself. */
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  /** Taken, and never answered; the connection stays. */
  | { readonly kind: "stall" }
  /** The answer begins, and after so many octets nothing more comes; the connection stays. */
  | { readonly kind: "stall-after"; readonly bytes: number }
  /** The connection is dropped after so many octets of the answer. */
  | { readonly kind: "cut-after"; readonly bytes: number }
  /** Passed on after this. */
  | { readonly kind: "delay"; readonly ms: number }
  /** The answer's Date is moved by this. */
  | { readonly kind: "clock"; readonly aheadMs: number };

export interface ProxiedRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** How often this very method and path came before. */
  readonly before: number;
  readonly headers: IncomingMessage["headers"];
  readonly httpVersion: string;
}

/** Between a client and an API server: HTTPS by HTTPS, and faults where a test wants them. */
export interface FaultProxy {
  /** `https://127.0.0.1:<port>`. */
  readonly url: string;
  readonly requests: readonly ProxiedRequest[];
  /** Asked for each request from now on. */
  plan(decide: Decide): void;
  /** From now on answers that are under way, watches above all, bring nothing more; their connections stay. */
  silence(): void;
  /** Drops every connection. */
  cut(): void;
  close(): Promise<void>;
}

export type Upstream =
  /** A real server. */
  | { readonly url: string; readonly caPem: string }
  /** A scripted one. */
  | ((request: IncomingMessage, response: ServerResponse) => void);

type Decide = (request: ProxiedRequest) => Fault | null;

function passAll(): null {
  return null;
}

/** By a certificate for 127.0.0.1, on a free port. */
export async function openFaultProxy(certificate: PemPair, upstream: Upstream): Promise<FaultProxy> {
  const requests: ProxiedRequest[] = [];
  const sockets = new Set<Socket>();
  const answers = new Set<{ isSilent: boolean }>();
  let decide: Decide = passAll;
  // HTTP/2 is offered, as by the API server, but not spoken: who takes it gets nowhere.
  const server = createServer(
    { cert: certificate.certPem, key: certificate.keyPem, ALPNProtocols: ["h2", "http/1.1"] },
    (request, response) => {
      const { method = "", url: path = "", headers, httpVersion } = request;
      const before = requests.filter((each) => each.method === method && each.path === path).length;
      const seen: ProxiedRequest = { method, path, before, headers, httpVersion };
      requests.push(seen);
      const state = { isSilent: false };
      answers.add(state);
      response.once("close", () => answers.delete(state));
      void meet(decide(seen), { request, response, upstream, state });
    },
  );
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `https://127.0.0.1:${port}`,
    requests,
    plan: (next) => void (decide = next),
    silence() {
      for (const state of answers) state.isSilent = true;
    },
    cut,
    close() {
      cut();
      return new Promise((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly upstream: Upstream;
  readonly state: { isSilent: boolean };
}

async function meet(fault: Fault | null, exchange: Exchange): Promise<void> {
  const { request, response } = exchange;
  if (fault?.kind === "answer" || fault?.kind === "stall") request.resume();
  if (fault?.kind === "stall") return;
  if (fault?.kind === "answer") {
    response.writeHead(fault.status, { "content-type": "application/json", ...fault.headers });
    response.end(fault.body ?? JSON.stringify({ kind: "Status", code: fault.status, message: "scripted" }));
    return;
  }
  if (fault?.kind === "delay") await later(fault.ms);
  if (typeof exchange.upstream === "function") exchange.upstream(request, limited(exchange, fault));
  else pass(exchange.upstream, exchange, fault);
}

function pass(upstream: Exclude<Upstream, () => void>, exchange: Exchange, fault: Fault | null): void {
  const { request, response, state } = exchange;
  if (typeof upstream === "function") return;
  const { method, url, headers } = request;
  const target = new URL(url ?? "/", upstream.url);
  const onward = ask(target, { method, headers: { ...headers, host: target.host }, ca: upstream.caPem }, (answer) => {
    const out = limited(exchange, fault);
    const date = fault?.kind === "clock" ? { date: new Date(Date.now() - fault.aheadMs).toUTCString() } : {};
    out.writeHead(answer.statusCode ?? 502, { ...answer.headers, ...date });
    out.flushHeaders();
    answer.on("data", (chunk: Buffer) => {
      if (!state.isSilent) out.write(chunk);
    });
    answer.once("end", () => {
      if (!state.isSilent) out.end();
    });
    answer.once("error", () => response.destroy());
  });
  onward.once("error", () => response.destroy());
  response.once("close", () => onward.destroy());
  request.pipe(onward);
}

/** The response, with an end after so many octets. */
function limited({ response }: Exchange, fault: Fault | null): ServerResponse {
  if (fault?.kind !== "stall-after" && fault?.kind !== "cut-after") return response;
  let left = fault.bytes;
  const write = response.write.bind(response);
  response.write = (chunk: unknown): boolean => {
    const bytes = Buffer.from(chunk as string | Buffer);
    const part = bytes.subarray(0, left);
    left -= part.length;
    if (part.length > 0) write(part);
    if (left === 0 && fault.kind === "cut-after") setImmediate(() => response.destroy());
    return true;
  };
  response.end = (chunk?: unknown): ServerResponse => {
    if (chunk !== undefined) response.write(chunk);
    return response;
  };
  return response;
}

function later(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(() => resolve(), ms);
  return promise;
}
