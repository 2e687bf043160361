import http, { type IncomingMessage, type ServerResponse } from "node:http";
import http2, { type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { Writable } from "node:stream";
import type { Connection } from "../../src/core/ports.ts";
import { ConnectionDuplex } from "../support/sim-duplex.ts";
import { answerBytesOf, type Plan, type World } from "./plan.ts";
import { answerName, RequestSeen } from "./seen.ts";
import { serveWebSockets } from "./tunnel-app.ts";
import { TunnelSeen } from "./tunnel-end.ts";
import { readSlowly, writeBody } from "./writing.ts";

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

/** An app by Node's own servers, which does with each request what its plan says. */
export interface App {
  /** Every request that reached it, in order. */
  readonly seen: readonly RequestSeen[];
  /** Every tunnel. */
  readonly tunnels: readonly TunnelSeen[];
  accept(connection: Connection): void;
  close(): void;
}

export function openApp(world: World): App {
  const seen: RequestSeen[] = [];
  const sockets = new Set<ConnectionDuplex>();
  const handle = (request: Request, response: Response): void => {
    const index = Number(request.url!.split("/").at(-1));
    const plan = world.exchanges[index]!;
    const came = new RequestSeen(index, request.method!);
    const nth = seen.filter((before) => before.index === index).length;
    seen.push(came);
    const serving = { request, response, plan, index, came };
    if (nth < plan.failures.length) failRequest(serving, nth);
    else serve(serving);
  };
  const tunnels: TunnelSeen[] = [];
  const { appWindow: initialWindowSize, appStreamsMax: maxConcurrentStreams } = world.settings;
  const server =
    world.app === "h2"
      ? http2.createServer(
          { settings: { initialWindowSize, maxConcurrentStreams, enableConnectProtocol: true } },
          handle,
        )
      : http.createServer(handle);
  server.on("sessionError", () => {}).on("clientError", (_error, socket: ConnectionDuplex) => socket.destroy());
  const onTunnel = (index: number): TunnelSeen => {
    const came = new TunnelSeen(index, "app");
    tunnels.push(came);
    return came;
  };
  serveWebSockets(server, world.tunnels, onTunnel);
  return {
    seen,
    tunnels,
    accept(connection) {
      const socket = new ConnectionDuplex(connection, true);
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
      server.emit("connection", socket);
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Not as planned, this time: a small answer once all has come, or at once; or none. */
function failRequest({ request, response, plan, index, came }: Serving, nth: number): void {
  const failure = plan.failures[nth]!;
  if ("stream" in request) request.stream.on("error", () => {});
  request.on("error", () => {}).on("close", () => came.finish("broken"));
  response.on("error", () => {}).on("close", () => came.finish("broken"));
  const fail = (): void => {
    if (failure === "cut") cutOff(request);
    else if (!("stream" in request) || !request.stream.destroyed) {
      const headers = { "x-index": String(index), "x-failure": String(nth), "content-length": "4" };
      (response as ServerResponse).writeHead(failure, headers).end("fail");
    }
  };
  const isWaiting = plan.answer.when === "after-request";
  request.on("data", (piece: Buffer) => came.body.feed(piece));
  request.on("end", () => {
    if (isReset(request)) return;
    came.sum = (request.trailers["x-sum"] as string | undefined) ?? null;
    if (isWaiting) came.finish("whole");
    if (isWaiting) fail();
  });
  if (isWaiting) return;
  onceInTurn(response, () => {
    fail();
    // What may still come of the request is of no use to anybody; Node does not always say that it is over.
    came.finish("broken");
  });
}

interface Serving {
  readonly request: Request;
  readonly response: Response;
  readonly plan: Plan;
  readonly index: number;
  readonly came: RequestSeen;
}

function serve(serving: Serving): void {
  const { request, response, plan, came } = serving;
  const { cut } = plan;
  const cutsRequest = cut?.by === "app" && cut.within === "request";
  const cutIfDue = (): void => {
    if (cutsRequest && came.body.count >= cut.afterBytes) cutOff(request);
  };
  if ("stream" in request) request.stream.on("error", () => {});
  request.on("error", () => {}).on("close", () => came.finish("broken"));
  // Node says nothing any more of a request whose answer was over before it.
  response.on("error", () => {}).on("close", () => came.finish("broken"));
  request.on("end", () => {
    // Node ends what it hands out of a stream that was given up after its answer just as it ends a whole one.
    const isUnknown = "stream" in request && response.writableEnded && plan.answer.when === "at-once";
    if (isReset(request) || (isUnknown && came.body.count < (plan.request?.bytes ?? 0))) return;
    if (isUnknown && plan.request?.hasTrailers === true && request.trailers["x-sum"] === undefined) return;
    came.sum = (request.trailers["x-sum"] as string | undefined) ?? null;
    came.finish("whole");
    if (cutsRequest) cutOff(request);
    else if (plan.answer.when === "after-request") answer(serving);
  });
  readSlowly(request, plan.request?.readerTurns ?? 0, (piece) => {
    came.body.feed(piece);
    cutIfDue();
  });
  cutIfDue();
  if (plan.answer.when === "at-once" && !cutsRequest) onceInTurn(response, () => answer(serving));
}

/** Node's server writes hints behind the head of an answer that has to wait for the one before it. */
function onceInTurn(response: Response, then: () => void): void {
  if ("stream" in response || response.socket !== null) then();
  else response.once("socket", () => void setImmediate(then));
}

function answer({ request, response, plan, index }: Serving): void {
  const { status, hints, body } = plan.answer;
  if ("stream" in request && request.stream.destroyed) return;
  for (let i = 0; i < hints; i++) response.writeEarlyHints({ link: "</a>; rel=preload" });
  const bytes = answerBytesOf(plan);
  const isBodiless = status === 204 || status === 304;
  const headers: Record<string, string> = { "x-index": String(index) };
  if (body.framing === "length" && !isBodiless) headers["content-length"] = String(body.bytes);
  const cut = plan.cut?.by === "app" && plan.cut.within === "answer" ? plan.cut.afterBytes : null;
  // Both have the method; their overloads differ too much for a union.
  (response as ServerResponse).writeHead(status, headers);
  if (cut !== null) (response as ServerResponse).flushHeaders();
  const sent = { ...body, bytes };
  writeBody(response as Writable, {
    name: answerName(index),
    body: sent,
    stopAfter: cut === null ? null : Math.min(cut, bytes),
    onDone() {
      if (cut !== null) cutOff(request);
      else {
        if (body.hasTrailers && bytes > 0) response.addTrailers({ "x-sum": String(bytes) });
        response.end();
      }
    },
  });
}

/** The stream alone over HTTP/2, the connection over HTTP/1.1. */
function cutOff(request: Request): void {
  if ("stream" in request) request.stream.destroy(new Error("cut off"));
  else request.socket.destroy(new Error("cut off"));
}

function isReset(request: Request): boolean {
  return "stream" in request ? (request.stream.rstCode ?? 0) !== 0 || request.stream.aborted : !request.complete;
}
