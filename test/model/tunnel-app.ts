import type { IncomingMessage, Server } from "node:http";
import type { Http2Server, Http2ServerRequest } from "node:http2";
import type { Duplex } from "node:stream";
import type { Connection } from "../../src/core/ports.ts";
import { ConnectionDuplex } from "../support/sim-duplex.ts";
import { playTunnelEnd, TunnelSeen } from "./tunnel-end.ts";
import { REFUSAL, type TunnelPlan } from "./tunnel-plan.ts";

/** Takes the WebSockets that come to an app's server of requests. */
export function serveWebSockets(
  server: Server | Http2Server,
  plans: readonly TunnelPlan[],
  onTunnel: (index: number) => TunnelSeen,
): void {
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, early: Buffer) => {
    const { plan, seen } = askedOf(request.url!, plans, onTunnel);
    if (plan.refusedBy === "app") {
      seen.finish("whole");
      socket.end(`HTTP/1.1 ${REFUSAL} Upgrade Required\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno`);
      return;
    }
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    if (early.length > 0) socket.unshift(early);
    playTunnelEnd(socket, { plan, side: "app", seen });
  });
  server.on("connect", ({ stream, url }: Http2ServerRequest) => {
    const { plan, seen } = askedOf(url, plans, onTunnel);
    const isRefused = plan.refusedBy === "app";
    stream.respond({ ":status": isRefused ? REFUSAL : 200 });
    if (!isRefused) {
      playTunnelEnd(stream, { plan, side: "app", seen });
      return;
    }
    seen.finish("whole");
    stream
      .on("error", () => {})
      .resume()
      .end("no");
  });
}

function askedOf(url: string, plans: readonly TunnelPlan[], onTunnel: (index: number) => TunnelSeen) {
  const index = Number(url.split("/").at(-1));
  return { plan: plans[index]!, seen: onTunnel(index) };
}

/** The app of a TCP service: what a connection is for stands in its first byte. */
export interface Ledger {
  readonly seen: readonly TunnelSeen[];
  accept(connection: Connection): void;
  close(): void;
}

export function openLedger(plans: readonly TunnelPlan[]): Ledger {
  const seen: TunnelSeen[] = [];
  const sockets = new Set<Duplex>();
  return {
    seen,
    accept(connection) {
      const socket = new ConnectionDuplex(connection, true);
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
      // Who ends without a byte has given up before it began.
      let isKnown = false;
      socket.once("end", () => void (isKnown || socket.end()));
      socket.once("data", (first: Buffer) => {
        isKnown = true;
        socket.pause();
        if (first.length > 1) socket.unshift(first.subarray(1));
        const index = first[0]!;
        const came = new TunnelSeen(index, "app");
        seen.push(came);
        playTunnelEnd(socket, { plan: plans[index]!, side: "app", seen: came });
      });
    },
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
