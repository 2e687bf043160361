import http, { type ClientRequest, type IncomingMessage } from "node:http";
import http2, {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionRequestOptions,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
} from "node:http2";
import type { Duplex } from "node:stream";
import { CardeaError } from "../../src/core/errors.ts";
import type { Address } from "../../src/core/ports.ts";
import type { SimNetwork } from "../support/sim-network.ts";
import { ConnectionDuplex } from "../support/sim-duplex.ts";
import { type Plan, pathOf, type World } from "./plan.ts";
import { AnswerSeen, answerName, requestName } from "./seen.ts";
import { readSlowly, writeBody } from "./writing.ts";

/** A caller by Node's own clients. */
export interface Caller {
  /** Sends a request as its plan says; what it gets stands in `seen`, and when it is over `onOver` is called once. */
  send(plan: Plan, index: number, onOver: () => void): AnswerSeen;
  /** Over which it speaks HTTP/2, or null. */
  readonly session: ClientHttp2Session | null;
  close(): void;
}

export function openCaller(network: SimNetwork, to: Address, world: World): Promise<Caller> {
  return world.caller === "h2" ? openHttp2(network, to, world) : Promise.resolve(openHttp1(network, to, world));
}

function openHttp1(network: SimNetwork, to: Address, world: World): Caller {
  const agent = new http.Agent({ keepAlive: true, maxSockets: world.settings.callerConnections });
  // An agent that has no more than so many sockets does not get over one that could not be made.
  const open = async (): Promise<Duplex> =>
    new ConnectionDuplex(await network.open(to).catch(() => REFUSED_CONNECTION), false);
  // The one way to have an agent's connections made elsewhere. It takes a Duplex as well.
  (agent as unknown as { createConnection: unknown }).createConnection = (
    _options: unknown,
    onCreated: (error: Error | null, socket?: Duplex) => void,
  ): void => void open().then((socket) => onCreated(null, socket), onCreated);
  return {
    send: (plan, index, onOver) => sendHttp1(agent, { plan, index, onOver }),
    session: null,
    close: () => agent.destroy(),
  };
}

/** Of a port at which nobody listens. */
const REFUSED_CONNECTION: ConstructorParameters<typeof ConnectionDuplex>[0] = {
  local: { host: "127.0.0.1", port: 1 },
  remote: { host: "127.0.0.1", port: 1 },
  bytesReceived: 0,
  bytesSent: 0,
  unsentBytes: 0,
  setHandlers: (handlers) =>
    void setImmediate(() => handlers.onClose(new CardeaError("unreachable", "nobody listens"))),
  write: () => true,
  end: () => {},
  destroy: () => {},
  pause: () => {},
  resume: () => {},
};

interface Sending {
  readonly plan: Plan;
  readonly index: number;
  readonly onOver: () => void;
}

function sendHttp1(agent: http.Agent, { plan, index, onOver }: Sending): AnswerSeen {
  const seen = new AnswerSeen(answerName(index));
  const { method, request: body, cut } = plan;
  const headers = fieldsOf(plan);
  // Node gives an empty body a length, and drops its trailers.
  if (body?.framing === "unknown") headers["transfer-encoding"] = "chunked";
  const request = http.request({ agent, method, path: pathOf(plan, index), host: "orders", headers });
  const giveUp = (): void => {
    seen.finish("broken");
    request.destroy(new Error("cut off"));
  };
  let response: IncomingMessage | null = null;
  const over = (): void => {
    seen.finish("broken");
    onOver();
  };
  request
    .on("error", () => {})
    .once("close", () => {
      // An answer that is whole may still have to be read.
      if (response?.complete === true && !response.readableEnded && !response.destroyed) response.once("close", over);
      else over();
    });
  request.on("information", ({ statusCode }) => void (seen.hints += statusCode === 103 ? 1 : 0));
  request.on("response", (answered: IncomingMessage) => {
    response = answered;
    seen.status = response.statusCode!;
    takeHead(seen, response.headers);
    takeAnswer(response, { plan, seen, giveUp });
    answered.on("end", () => {
      if (!answered.complete) return;
      seen.sum = answered.trailers["x-sum"] ?? null;
      seen.finish("whole");
      // Nobody asks any more for a body whose sending was not granted.
      if (isHeldBack && !isGranted) request.destroy();
    });
  });
  const isHeldBack = plan.expectsContinue;
  let isGranted = false;
  if (body === null) request.end();
  else {
    const write = (): void => {
      writeRequest(request, {
        plan,
        index,
        giveUp,
        trailers: () => request.addTrailers({ "x-sum": String(body.bytes) }),
      });
    };
    if (!isHeldBack) write();
    else {
      request.flushHeaders();
      request.on("continue", () => {
        isGranted = true;
        write();
      });
    }
  }
  if (cut?.by === "caller" && body === null && cut.within === "request") request.on("finish", giveUp);
  return seen;
}

async function openHttp2(network: SimNetwork, to: Address, world: World): Promise<Caller> {
  const socket = new ConnectionDuplex(await network.open(to), false);
  const settings = { initialWindowSize: world.settings.callerWindow };
  const session = http2.connect("http://orders", { createConnection: () => socket, settings });
  session.on("error", () => {});
  return {
    send: (plan, index, onOver) => sendHttp2(session, { plan, index, onOver }),
    session,
    close: () => session.destroy(),
  };
}

function sendHttp2(session: ClientHttp2Session, { plan, index, onOver }: Sending): AnswerSeen {
  const seen = new AnswerSeen(answerName(index));
  const { method, request: body, cut } = plan;
  const hasTrailers = body?.hasTrailers === true;
  const stream = requestOrNull(
    session,
    { ":method": method, ":path": pathOf(plan, index), ...fieldsOf(plan) },
    { endStream: body === null, waitForTrailers: hasTrailers },
  );
  if (stream === null) {
    seen.finish("broken");
    onOver();
    return seen;
  }
  const giveUp = (): void => {
    seen.finish("broken");
    // Not close(), with which Node may first end what it sends as if that were all.
    stream.destroy(new Error("cut off"));
  };
  stream
    .on("error", () => {})
    .once("close", () => {
      seen.finish("broken");
      onOver();
    });
  stream.on("headers", (head: IncomingHttpHeaders & IncomingHttpStatusHeader) => {
    if (head[":status"] === 103) seen.hints++;
  });
  stream.on("trailers", (trailers: IncomingHttpHeaders) => void (seen.sum = String(trailers["x-sum"])));
  stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": String(body!.bytes) }));
  let isGranted = !plan.expectsContinue;
  stream.on("response", (headers) => {
    seen.status = headers[":status"]!;
    takeHead(seen, headers);
    takeAnswer(stream, { plan, seen, giveUp });
    stream.on("end", () => {
      // RST_STREAM with NO_ERROR behind a whole answer: the rest of the request is not wanted. RFC 9113 section 8.1.
      if (stream.rstCode !== 0) return;
      seen.finish("whole");
      if (!isGranted) giveUp();
    });
  });
  if (body !== null) {
    const write = (): void => writeRequest(stream, { plan, index, giveUp, trailers: () => {} });
    if (isGranted) write();
    else
      stream.on("continue", () => {
        isGranted = true;
        // Where the answer came at the same moment, Node tells of the leave when the stream is over.
        if (!stream.closed) write();
      });
  } else if (cut?.by === "caller" && cut.within === "request") setImmediate(giveUp);
  return seen;
}

/** Null where the other side has said that it takes no more. */
export function requestOrNull(
  session: ClientHttp2Session,
  head: OutgoingHttpHeaders,
  options: ClientSessionRequestOptions,
): ClientHttp2Stream | null {
  if (session.closed || session.destroyed) return null;
  try {
    return session.request(head, options);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ERR_HTTP2_GOAWAY_SESSION") return null;
    throw thrown;
  }
}

function takeHead(seen: AnswerSeen, headers: IncomingHttpHeaders): void {
  seen.isOfSidecar = headers["x-index"] === undefined;
  const failure = headers["x-failure"];
  if (failure !== undefined) seen.failure = Number(failure);
}

interface Taking {
  readonly plan: Plan;
  readonly seen: AnswerSeen;
  readonly giveUp: () => void;
}

function takeAnswer(from: IncomingMessage | ClientHttp2Stream, { plan, seen, giveUp }: Taking): void {
  const { cut, answer } = plan;
  const cutIfDue = (): void => {
    if (cut?.by === "caller" && cut.within === "answer" && seen.body.count >= cut.afterBytes) giveUp();
  };
  from.on("error", () => {});
  readSlowly(from, answer.body.readerTurns, (piece) => {
    // A refusal's text is the sidecar's own.
    if (!seen.isOfSidecar && seen.failure === null) seen.body.feed(piece);
    cutIfDue();
  });
  cutIfDue();
}

interface RequestWriting {
  readonly plan: Plan;
  readonly index: number;
  readonly giveUp: () => void;
  readonly trailers: () => void;
}

function writeRequest(
  into: ClientRequest | ClientHttp2Stream,
  { plan, index, giveUp, trailers }: RequestWriting,
): void {
  const body = plan.request!;
  const stop = plan.cut?.by === "caller" && plan.cut.within === "request" ? plan.cut.afterBytes : null;
  writeBody(into, {
    name: requestName(index),
    body,
    stopAfter: stop === null ? null : Math.min(stop, body.bytes),
    onDone() {
      if (stop !== null) {
        giveUp();
        return;
      }
      if (body.hasTrailers) trailers();
      into.end();
    },
  });
}

function fieldsOf({ request, expectsContinue }: Plan): Record<string, string> {
  const fields: Record<string, string> = { te: "trailers" };
  if (request?.framing === "length") fields["content-length"] = String(request.bytes);
  if (expectsContinue) fields["expect"] = "100-continue";
  return fields;
}
