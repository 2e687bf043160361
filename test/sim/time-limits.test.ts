import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/limits.ts";
import { openSimMesh, say } from "../support/sim-mesh.ts";
import { shopId } from "../support/test-authority.ts";
import { BETWEEN } from "../support/test-mesh.ts";

const GET = "GET /x HTTP/1.1\r\nHost: orders\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

describe.each(BETWEEN)("time limits, with %s between the sidecars", (between) => {
  it("cut off a head that comes too slowly, however busily", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, "GET / HTTP/1.1\r\n");
    for (let sec = 0; sec < LIMITS.headTimeoutMs / 1_000 + 1; sec++) {
      say(caller, "X: y\r\n");
      await mesh.pass(1_000);
    }
    expect(caller.text()).toMatch(/^HTTP\/1\.1 408 [^]*connection: close/);
    expect(mesh.flows()).toMatchObject([{ verdict: "error", reason: "request-timeout", status: 408 }]);
    await mesh.pass(LIMITS.lingerMs + 1_000);
    // The caller's own end is left, which does not hang up.
    expect(mesh.network.openCount).toBe(1);
  });

  it("close a kept connection that nobody uses, without a record", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    say(mesh.ordersApp[0]!, OK);
    await mesh.pass(LIMITS.keepAliveIdleMs - 1_000);
    expect(caller.isEnded).toBe(false);
    await mesh.pass(2_000);
    expect(caller.isEnded).toBe(true);
    // Those between the sidecars and to the app were closed by the side that sends requests, a little earlier.
    await mesh.pass(LIMITS.lingerMs + 1_000);
    // The ends of the caller and of the app are left, which do not hang up.
    expect(mesh.network.openCount).toBe(2);
    expect(mesh.flows()).toHaveLength(2);
  });

  it("answer for an upstream that stays silent", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    await mesh.pass(LIMITS.streamIdleMs + 1_000);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 504 /);
    expect(mesh.ordersApp[0]!.isClosed).toBe(true);
  });

  it("cut off a caller that stays silent in the middle of its body", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, "POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 10\r\n\r\nabc");
    await mesh.pass(LIMITS.streamIdleMs + 1_000);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 408 /);
    expect(mesh.ordersApp[0]!.error?.code).toBe("downstream-reset");
  });

  it("do not touch a stream in which something moves", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (let i = 0; i < 4; i++) {
      await mesh.pass(LIMITS.streamIdleMs - 60_000);
      say(mesh.ordersApp[0]!, "1\r\nx\r\n");
    }
    say(mesh.ordersApp[0]!, "0\r\n\r\n");
    await mesh.settle();
    expect(caller.text()).toMatch(/0\r\n\r\n$/);
  });

  it("end an opaque connection in which nothing moves", async () => {
    const mesh = await openSimMesh({ between });
    await mesh.call(mesh.toLedger, "x");
    await mesh.pass(LIMITS.svidTtlMs / 2);
    expect(mesh.network.openCount).toBe(6);
    mesh.clock.advance(LIMITS.tunnelIdleMs);
    await mesh.settle();
    expect(mesh.network.openCount).toBe(0);
  });

  it("drop a refused sender that goes on sending slowly", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, "POST / HTTP/1.1\r\nHost : o\r\n\r\n");
    for (let i = 0; i < 20; i++) {
      say(caller, "x");
      await mesh.pass(LIMITS.lingerMs / 10);
    }
    await mesh.pass(1_000);
    // What it still sends is for nobody, which it is told.
    expect(caller.error?.code).toBe("upstream-reset");
    expect(mesh.network.openCount).toBe(0);
  });

  it("drop a refused sender that goes on sending much", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, "POST / HTTP/1.1\r\nHost : o\r\n\r\n");
    say(caller, "x".repeat(LIMITS.lingerBytesMax + 1));
    await mesh.settle();
    expect(mesh.network.openCount).toBe(1);
  });
});

describe.each(BETWEEN)("certificates bound the connections that they made, with %s between the sidecars", (between) => {
  it("a connection takes no new request shortly before, and the next goes over a new one", async () => {
    const mesh = await openSimMesh({ between });
    mesh.web.identity.set(mesh.authority.issue(shopId("web"), { notAfterMs: mesh.clock.wallMs() + 100_000 }));
    const caller = await mesh.call(mesh.toOrders, GET);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    mesh.web.identity.set(mesh.authority.issue(shopId("web")));
    await mesh.pass(LIMITS.upstreamIdleMs - 1_000);
    say(caller, GET);
    await mesh.settle();
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    const ports = () => mesh.web.flows.map((flow) => flow.upstreamPort);
    expect(ports()[1]).toBe(ports()[0]);
    // 20 s before the end, the side that sends gives the connection up.
    await mesh.pass(22_000);
    say(caller, GET);
    await mesh.settle();
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(ports()[2]).not.toBe(ports()[0]);
    expect(mesh.flows().every((flow) => flow.verdict === "allowed")).toBe(true);
  });

  it.each(["web", "orders"] as const)("a stream ends when the certificate of %s does", async (name) => {
    const mesh = await openSimMesh({ between });
    mesh[name].identity.set(mesh.authority.issue(shopId(name), { notAfterMs: mesh.clock.wallMs() + 10_000 }));
    const caller = await mesh.call(mesh.toOrders, GET);
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const tcp = await mesh.call(mesh.toLedger, "x");
    await mesh.pass(9_500);
    expect(caller.isClosed).toBe(false);
    expect(tcp.isClosed).toBe(false);
    await mesh.pass(1_000);
    expect(caller.isClosed).toBe(true);
    expect(tcp.isClosed).toBe(true);
    expect(mesh.flows().map((flow) => flow.reason)).toContain("certificate-ended");
    expect(mesh.network.openCount).toBe(0);
  });

  it("a WebSocket ends with them, too", async () => {
    const mesh = await openSimMesh({ between });
    mesh.web.identity.set(mesh.authority.issue(shopId("web"), { notAfterMs: mesh.clock.wallMs() + 10_000 }));
    await mesh.call(mesh.toOrders, "GET / HTTP/1.1\r\nHost: o\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    say(mesh.ordersApp[0]!, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    await mesh.pass(10_500);
    expect(mesh.network.openCount).toBe(0);
  });

  it("a rotation leaves open streams alone", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    mesh.web.identity.set(mesh.authority.issue(shopId("web")));
    mesh.orders.identity.set(mesh.authority.issue(shopId("orders")));
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
  });

  it("an identity that cannot be used leaves the one before in force", async () => {
    const mesh = await openSimMesh({ between });
    const createTlsContext = mesh.network.createTlsContext.bind(mesh.network);
    mesh.network.createTlsContext = () => {
      throw new Error("unusable");
    };
    mesh.web.identity.set(mesh.authority.issue(shopId("web")));
    mesh.network.createTlsContext = createTlsContext;
    const caller = await mesh.call(mesh.toOrders, GET);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
  });
});

describe.each(BETWEEN)("drain, with %s between the sidecars", (between) => {
  it("lets a request finish, says close, and then is over", async () => {
    const mesh = await openSimMesh({ between });
    const idle = await mesh.call(mesh.toOrders);
    const caller = await mesh.call(mesh.toOrders, GET);
    let isDrained = false;
    const drained = mesh.web.sidecar.drain().then(() => (isDrained = true));
    await mesh.settle();
    expect(mesh.web.sidecar.isReady).toBe(false);
    expect(idle.isEnded).toBe(true);
    idle.connection.end();
    await expect(mesh.call(mesh.toOrders)).rejects.toMatchObject({ code: "upstream-connect-failed" });
    expect(isDrained).toBe(false);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/connection: close\r\n\r\nhi$/);
    caller.connection.end();
    await mesh.settle();
    await drained;
    expect(mesh.web.flows).toMatchObject([{ verdict: "allowed", status: 200 }]);
  });

  it("cuts what is not finished when the time is over", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    const tcp = await mesh.call(mesh.toLedger, "x");
    const drained = mesh.web.sidecar.drain();
    await mesh.pass(4_500);
    expect(caller.isClosed).toBe(false);
    await mesh.pass(1_000);
    await drained;
    expect(caller.error?.code).toBe("upstream-reset");
    expect(tcp.error?.code).toBe("upstream-reset");
    expect(mesh.web.flows.map((flow) => flow.reason)).toEqual(["draining", "draining"]);
  });

  it("close drops everything at once, and records it", async () => {
    const mesh = await openSimMesh({ between });
    await mesh.call(mesh.toOrders, GET);
    await mesh.call(mesh.toLedger, "x");
    await mesh.close();
    await mesh.settle();
    expect(mesh.network.openCount).toBe(0);
    expect(mesh.flows()).toHaveLength(4);
  });
});
