import { describe, expect, it } from "vitest";
import { FLAG, FRAME } from "../../src/wire/http2-codes.ts";
import { rawFrame, rawFields } from "../support/http2-frames.ts";
import { openSimMesh, say, type SimMesh } from "../support/sim-mesh.ts";
import { BETWEEN } from "../support/test-mesh.ts";

// SIGTERM comes when it comes. What was under way then ends as if it had not come; the model test found each of these.

const UPGRADE = "GET /chat HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

describe.each(BETWEEN)("with %s between the sidecars, a sidecar that is drained", (between) => {
  it.each(["web", "orders"] as const)(
    "lets an upgrade that %s waits for become a tunnel, and waits for its end",
    async (which) => {
      const mesh = await openSimMesh({ between });
      const caller = await mesh.call(mesh.toOrders, UPGRADE);
      const drained = drain(mesh, which);
      await mesh.settle();
      say(mesh.ordersApp[0]!, `${SWITCHED}hello`);
      await mesh.settle();
      expect(caller.text()).toMatch(/^HTTP\/1\.1 101 [^]*\r\n\r\nhello$/);
      say(caller, "good day");
      await mesh.settle();
      expect(mesh.ordersApp[0]!.text()).toMatch(/\r\n\r\ngood day$/);
      expect(drained.isOver).toBe(false);
      caller.connection.end();
      mesh.ordersApp[0]!.connection.end();
      await mesh.pass(5_000);
      expect(drained.isOver).toBe(true);
      expect(mesh.flows().map(({ verdict, status }) => [verdict, status])).toEqual([
        ["allowed", 101],
        ["allowed", 101],
      ]);
    },
  );

  it.each(["web", "orders"] as const)("still cuts a tunnel of %s's that outlasts the time to drain", async (which) => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, UPGRADE);
    say(mesh.ordersApp[0]!, SWITCHED);
    await mesh.settle();
    const drained = drain(mesh, which);
    await mesh.pass(10_000);
    expect(drained.isOver).toBe(true);
    expect(caller.isClosed).toBe(true);
    expect(mesh.ordersApp[0]!.isClosed).toBe(true);
  });
});

describe("a sidecar that is drained", () => {
  it("waits for an opaque connection that is being opened, as long as it may", async () => {
    const mesh = await openSimMesh({ hbone: true });
    const first = await mesh.call(mesh.toLedger, "one");
    mesh.network.swallow(mesh.hbone!.port);
    const caller = await mesh.call(mesh.toLedger, "two");
    first.connection.destroy({ reset: true });
    await mesh.settle();
    const drained = drain(mesh, "web");
    await mesh.pass(4_500);
    expect([drained.isOver, caller.isClosed]).toEqual([false, false]);
    await mesh.pass(4_000);
    expect([drained.isOver, caller.error?.code]).toEqual([true, "upstream-reset"]);
    expect(mesh.web.flows.map(({ reason }) => reason)).toContain("draining");
  });

  it("leaves its connection to the app in good order, so that what it wrote last is read", async () => {
    const mesh = await openSimMesh({ ordersProtocol: "HTTP2" });
    const caller = await mesh.call(mesh.toOrders, "GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
    const app = mesh.ordersApp[0]!;
    const answer = { type: FRAME.HEADERS, flags: FLAG.END_HEADERS | FLAG.END_STREAM, streamId: 1 };
    const drained = drain(mesh, "orders");
    app.connection.write(rawFrame({ type: FRAME.SETTINGS }));
    app.connection.write(rawFrame({ ...answer, payload: rawFields(":status", "204") }));
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 204 /);
    // An end, behind GOAWAY, and not a connection that is gone.
    expect([app.isEnded, app.isClosed, app.error]).toEqual([true, false, undefined]);
    expect(drained.isOver).toBe(false);
    app.connection.end();
    await mesh.settle();
    expect(drained.isOver).toBe(true);
  });

  it("waits for an app that does not leave no longer than it lingers", async () => {
    const mesh = await openSimMesh({ ordersProtocol: "HTTP2" });
    await mesh.call(mesh.toOrders, "GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
    mesh.ordersApp[0]!.connection.write(rawFrame({ type: FRAME.SETTINGS }));
    const drained = drain(mesh, "orders");
    await mesh.pass(10_000);
    expect(drained.isOver).toBe(true);
    expect(mesh.ordersApp[0]!.isEnded).toBe(true);
  });
});

function drain(mesh: SimMesh, which: "web" | "orders"): { isOver: boolean } {
  const drained = { isOver: false };
  void mesh[which].sidecar.drain().then(() => (drained.isOver = true));
  return drained;
}
