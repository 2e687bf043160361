import http from "node:http";
import http2, { type ClientHttp2Session } from "node:http2";
import type { Duplex } from "node:stream";
import { ConnectionDuplex } from "../support/sim-duplex.ts";
import type { SimMesh } from "../support/sim-mesh.ts";
import { requestOrNull } from "./caller.ts";
import type { World } from "./plan.ts";
import { playUnanswered, TunnelSeen } from "./tunnel-end.ts";
import { type TunnelPlan, tunnelPathOf } from "./tunnel-plan.ts";

/** Opens tunnels, by Node's own clients. */
export interface TunnelCaller {
  /** What it gets stands in what is returned, and when the tunnel is over `onOver` is called. */
  open(plan: TunnelPlan, index: number, onOver: () => void): TunnelSeen;
  close(): void;
}

interface Opening {
  readonly plan: TunnelPlan;
  readonly index: number;
  readonly seen: TunnelSeen;
  /** When the stream has closed, or was never opened. */
  readonly onOver: () => void;
}

/** WebSockets of an HTTP/2 caller go over the session of its requests. */
export async function openTunnelCaller(
  mesh: SimMesh,
  world: World,
  ordersSession: ClientHttp2Session | null,
): Promise<TunnelCaller> {
  const isHttp2 = world.caller === "h2";
  const connects = world.tunnels.some(({ kind }) => kind === "connect");
  const proxySession = isHttp2 && connects ? openSession(await openConnection(mesh, "proxy")) : null;
  const openers = {
    port: (opening: Opening) => void openConnection(mesh, "toLedger").then((stream) => begin(stream, opening)),
    connect: (opening: Opening) => {
      if (proxySession !== null) connectHttp2(proxySession, opening);
      else void openConnection(mesh, "proxy").then((stream) => connectHttp1(stream, opening));
    },
    websocket: (opening: Opening) => {
      if (ordersSession !== null) switchHttp2(ordersSession, opening);
      else void openConnection(mesh, "toOrders").then((stream) => switchHttp1(stream, opening));
    },
  };
  return {
    open(plan, index, onOver) {
      const seen = new TunnelSeen(index, "caller");
      openers[plan.kind]({ plan, index, seen, onOver });
      return seen;
    },
    close: () => proxySession?.destroy(),
  };
}

/** Null where nobody listens any more. */
async function openConnection(mesh: SimMesh, to: "proxy" | "toOrders" | "toLedger"): Promise<Duplex | null> {
  try {
    return new ConnectionDuplex(await mesh.network.open(mesh[to]), true);
  } catch {
    return null;
  }
}

function openSession(socket: Duplex | null): ClientHttp2Session | null {
  if (socket === null) return null;
  const session = http2.connect("http://proxy", { createConnection: () => socket });
  return session.on("error", () => {});
}

function fail({ seen, onOver }: Opening): void {
  seen.finish("broken");
  onOver();
}

function begin(stream: Duplex | null, opening: Opening): void {
  if (stream === null) fail(opening);
  else beginUnanswered(stream, opening).read();
}

function beginUnanswered(stream: Duplex, { plan, index, seen, onOver }: Opening): { read(): void } {
  stream.once("close", () => {
    seen.finish("broken");
    onOver();
  });
  // Of a TCP connection the app has nothing else to know it by.
  if (plan.kind !== "websocket") stream.write(Buffer.from([index]));
  return playUnanswered(stream, { plan, side: "caller", seen });
}

function connectHttp1(socket: Duplex | null, opening: Opening): void {
  askHttp1(socket, opening, { method: "CONNECT", path: "ledger:5432" });
}

function switchHttp1(socket: Duplex | null, opening: Opening): void {
  const { plan, index } = opening;
  const asks = { connection: "upgrade", upgrade: "websocket" };
  askHttp1(socket, opening, { path: tunnelPathOf(plan, index), headers: { ...asks, ...WEBSOCKET } });
}

/** Of a client that has drawn its key from nothing but itself. */
const WEBSOCKET = { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13" };

function askHttp1(socket: Duplex | null, opening: Opening, options: http.RequestOptions): void {
  if (socket === null) {
    fail(opening);
    return;
  }
  const { seen } = opening;
  const request = http.request({ host: "orders", ...options, createConnection: () => socket });
  const onOpened = ({ statusCode }: http.IncomingMessage, opened: Duplex, early: Buffer): void => {
    seen.status = statusCode!;
    if (statusCode !== 101 && statusCode !== 200) {
      opened.destroy();
      fail(opening);
      return;
    }
    if (early.length > 0) opened.unshift(early);
    begin(opened, opening);
  };
  request.on("connect", onOpened).on("upgrade", onOpened);
  request.on("response", (response) => {
    seen.status = response.statusCode!;
    response.resume().on("error", () => {});
    response.on("close", () => {
      socket.destroy();
      fail(opening);
    });
  });
  request.on("error", () => fail(opening));
  request.end();
}

function connectHttp2(session: ClientHttp2Session, opening: Opening): void {
  askHttp2(session, opening, { ":method": "CONNECT", ":authority": "ledger:5432" });
}

function switchHttp2(session: ClientHttp2Session, opening: Opening): void {
  const { plan, index } = opening;
  const target = { ":scheme": "http", ":authority": "orders", ":path": tunnelPathOf(plan, index) };
  const ask = (): void =>
    askHttp2(session, opening, { ":method": "CONNECT", ":protocol": "websocket", ...target, ...WEBSOCKET });
  // Nobody may ask before that was allowed. RFC 8441 section 3.
  if (session.closed || session.destroyed) fail(opening);
  else if (session.remoteSettings.enableConnectProtocol === true) ask();
  else {
    let isSettled = false;
    const once = (then: () => void) => () => {
      if (!isSettled) then();
      isSettled = true;
    };
    session.once("remoteSettings", once(ask)).once(
      "close",
      once(() => fail(opening)),
    );
  }
}

function askHttp2(session: ClientHttp2Session, opening: Opening, head: http2.OutgoingHttpHeaders): void {
  const { plan, seen } = opening;
  const stream = requestOrNull(session, head, { endStream: false });
  if (stream === null) {
    fail(opening);
    return;
  }
  // Whoever does not wait for the answer reads nothing before it all the same.
  let begun = plan.kind === "connect" && plan.isEager ? beginUnanswered(stream, opening) : null;
  stream
    .on("error", () => {})
    .once("close", () => {
      if (begun === null) fail(opening);
    });
  stream.on("response", (headers) => {
    seen.status = headers[":status"]!;
    if (seen.status !== 200) stream.resume().end();
    else {
      begun ??= beginUnanswered(stream, opening);
      begun.read();
    }
  });
}
