import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/limits.ts";
import type { Collected } from "../support/collected.ts";
import { openSimMesh, type SimMesh } from "../support/sim-mesh.ts";
import type { SimConnection } from "../support/sim-network.ts";
import { BETWEEN } from "../support/test-mesh.ts";

const PIECE = Buffer.alloc(65_536, "x");
/** Three connections lie between a sender and a receiver that does not read; each holds its backlog and one read more. */
const HELD_BYTES_MAX = 3 * (LIMITS.writeBacklogBytesMax + 2 * PIECE.length);

describe.each(BETWEEN)(
  "who sends faster than the other side reads is paused, with %s between the sidecars",
  (between) => {
    it("an answer", async () => {
      const mesh = await openSimMesh({ between });
      const caller = await mesh.call(mesh.toOrders, "GET / HTTP/1.1\r\nHost: o\r\n\r\n");
      const app = mesh.ordersApp[0]!;
      app.connection.write(Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
      caller.connection.pause();
      const chunk = Buffer.concat([Buffer.from("10000\r\n"), PIECE, Buffer.from("\r\n")]);
      const sent = await pump(mesh, app, chunk);
      expect(sent).toBeLessThan(HELD_BYTES_MAX);
      caller.connection.resume();
      await mesh.settle();
      app.connection.write(Buffer.from("0\r\n\r\n"));
      await mesh.settle();
      expect(mesh.flows()[1]).toMatchObject({ bytesSent: (sent / chunk.length) * PIECE.length, verdict: "allowed" });
      expect(caller.text().match(/x/g)).toHaveLength((sent / chunk.length) * PIECE.length);
    });

    it("a request's body", async () => {
      const mesh = await openSimMesh({ between });
      const caller = await mesh.call(mesh.toOrders, "POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 104857600\r\n\r\n");
      const app = mesh.ordersApp[0]!;
      app.connection.pause();
      const before = app.bytes;
      const sent = await pump(mesh, caller, PIECE);
      expect(sent).toBeLessThan(HELD_BYTES_MAX);
      app.connection.resume();
      await mesh.settle();
      expect(app.bytes - before).toBe(sent);
    });

    it("a request's body, while the upstream is being connected", async () => {
      const mesh = await openSimMesh({ between });
      const caller = await mesh.network.open(mesh.toOrders);
      caller.write(Buffer.from("POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 104857600\r\n\r\n"));
      let sent = 0;
      while (caller.write(PIECE)) sent += PIECE.length;
      await mesh.settle();
      expect(mesh.ordersApp[0]!.bytes).toBeGreaterThan(sent);
    });

    it.each(["up", "down"] as const)("an opaque connection, %s", async (direction) => {
      const mesh = await openSimMesh({ between });
      const caller = await mesh.call(mesh.toLedger, "x");
      const app = mesh.ledgerApp[0]!;
      const [sender, receiver] = direction === "up" ? [caller, app] : [app, caller];
      receiver.connection.pause();
      const before = receiver.bytes;
      const sent = await pump(mesh, sender, PIECE);
      expect(sent).toBeLessThan(HELD_BYTES_MAX);
      receiver.connection.resume();
      await mesh.settle();
      expect(receiver.bytes - before).toBe(sent);
    });

    it("pipelined requests that nobody answers are not gathered", async () => {
      const mesh = await openSimMesh({ between });
      const caller = await mesh.call(mesh.toOrders);
      const sent = await pump(mesh, caller, Buffer.from("GET / HTTP/1.1\r\nHost: o\r\n\r\n".repeat(2_000)));
      expect(sent).toBeLessThan(HELD_BYTES_MAX);
      expect(mesh.ordersApp).toHaveLength(1);
      expect(mesh.ordersApp[0]!.text().match(/GET/g)).toHaveLength(1);
    });
  },
);

/** Sends as long as something moves; returns how much was sent. */
async function pump(mesh: SimMesh, sender: Collected<SimConnection>, piece: Buffer): Promise<number> {
  let sent = 0;
  for (;;) {
    const isTaken = sender.connection.write(piece);
    sent += piece.length;
    await mesh.settle();
    if (!isTaken && sender.connection.unsentBytes >= LIMITS.writeBacklogBytesMax) return sent;
  }
}
