import { describe, expect, it } from "vitest";
import { createLatest } from "../../src/core/latest.ts";
import { LIMITS } from "../../src/core/limits.ts";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import { openSimMesh, say } from "../support/sim-mesh.ts";
import { createTestAuthority, shopId } from "../support/test-authority.ts";
import { BETWEEN } from "../support/test-mesh.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

describe.each(BETWEEN)("the outbound side, with %s between the sidecars", (between) => {
  it.each([
    ["GET http://orders/a HTTP/1.1\r\nHost: elsewhere\r\n\r\n", "orders"],
    ["GET http://ORDERS.shop:80/a HTTP/1.1\r\nHost: elsewhere\r\n\r\n", "ORDERS.shop:80"],
    ["GET /a HTTP/1.1\r\nHost: orders.shop.svc.cluster.local\r\n\r\n", "orders.shop.svc.cluster.local"],
    ["GET /a HTTP/1.0\r\nHost: orders:80\r\n\r\n", "orders:80"],
  ])("routes %j by its authority, and forwards it as it was", async (text, host) => {
    const mesh = await openSimMesh({ between });
    await mesh.call(mesh.proxy, text);
    expect(mesh.ordersApp[0]!.text()).toMatch(new RegExp(`^GET /a HTTP/1\\.1\r\nhost: ${host}\r\n`));
  });

  it("keeps to its one service on a fixed port, whatever Host says", async () => {
    const mesh = await openSimMesh({ between });
    await mesh.call(mesh.toOrders, "GET /a HTTP/1.1\r\nHost: ledger:5432\r\n\r\n");
    expect(mesh.ordersApp[0]!.text()).toMatch(/^GET \/a HTTP\/1\.1\r\nhost: ledger:5432\r\n/);
    const caller = await mesh.call(mesh.toOrders, "CONNECT ledger:5432 HTTP/1.1\r\nHost: ledger:5432\r\n\r\n");
    expect(caller.text()).toMatch(/^HTTP\/1\.1 405 /);
    expect(mesh.ledgerApp).toEqual([]);
  });

  it.each([
    ["an unknown service", "GET http://payments/ HTTP/1.1\r\nHost: x\r\n\r\n", 502, "no-route"],
    ["the outside", "GET http://example.com/ HTTP/1.1\r\nHost: x\r\n\r\n", 502, "no-route"],
    ["an address", "GET http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\n\r\n", 502, "no-route"],
    ["an unknown port", "GET http://orders:81/ HTTP/1.1\r\nHost: x\r\n\r\n", 502, "no-route"],
    ["a TCP port by HTTP", "GET http://ledger:5432/ HTTP/1.1\r\nHost: x\r\n\r\n", 502, "no-route"],
    ["an unknown service by CONNECT", "CONNECT payments:80 HTTP/1.1\r\nHost: x\r\n\r\n", 502, "no-route"],
    ["the mesh's own port", "GET http://127.0.0.1:15001/ HTTP/1.1\r\nHost: x\r\n\r\n", 508, "loop-refused"],
    ["the mesh's own port by name", "GET http://LocalHost:15001/ HTTP/1.1\r\nHost: x\r\n\r\n", 508, "loop-refused"],
    ["the mesh's own port over IPv6", "GET http://[::1]:15001/ HTTP/1.1\r\nHost: x\r\n\r\n", 508, "loop-refused"],
    [
      "the mesh's own port, mapped",
      "GET http://[::ffff:127.0.0.1]:15001/ HTTP/1.1\r\nHost: x\r\n\r\n",
      502,
      "no-route",
    ],
    ["the mesh's own port by CONNECT", "CONNECT 127.0.0.1:15001 HTTP/1.1\r\nHost: x\r\n\r\n", 508, "loop-refused"],
    ["nobody", "GET / HTTP/1.0\r\n\r\n", 400, "bad-request"],
  ])("refuses %s", async (_name, text, status, reason) => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.proxy, text);
    expect(caller.text()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(mesh.flows()).toMatchObject([{ reporter: "source", verdict: "error", reason, status }]);
    expect(mesh.ordersApp).toEqual([]);
  });

  it("says when a service has no workload", async () => {
    const mesh = await openSimMesh({ between });
    const snapshot = mesh.web.registry.get();
    const orders = snapshot.lookup("orders", "shop")!;
    const ports = new Map([[80, { port: 80, protocol: "HTTP" as const, endpoints: [] }]]);
    mesh.web.registry.set({ ...snapshot, lookup: () => ({ ...orders, ports }) });
    const caller = await mesh.call(mesh.toOrders, "GET / HTTP/1.1\r\nHost: o\r\n\r\n");
    expect(caller.text()).toMatch(/^HTTP\/1\.1 503 /);
    expect(mesh.flows()).toMatchObject([{ reason: "no-healthy-upstream" }]);
  });

  it("carries CONNECT to a TCP port, early bytes and half-close included", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.proxy, "CONNECT ledger:5432 HTTP/1.1\r\nHost: ledger:5432\r\n\r\nearly ");
    expect(caller.text()).toBe("HTTP/1.1 200 Connection Established\r\n\r\n");
    say(caller, "late");
    caller.connection.end();
    await mesh.settle();
    expect(mesh.ledgerApp[0]!.text()).toBe("early late");
    expect(mesh.ledgerApp[0]!.isEnded).toBe(true);
    say(mesh.ledgerApp[0]!, "answer");
    mesh.ledgerApp[0]!.connection.end();
    await mesh.settle();
    expect(caller.text()).toMatch(/\r\n\r\nanswer$/);
    expect(mesh.flows()).toMatchObject([
      { reporter: "source", protocol: "tcp", verdict: "allowed", servicePort: 5432, bytesReceived: 10, bytesSent: 6 },
      {
        reporter: "destination",
        protocol: "tcp",
        verdict: "allowed",
        policy: "shop/web-may",
        bytesReceived: 10,
        bytesSent: 6,
      },
    ]);
    expect(mesh.flows()[0]!.upstreamPort).toBe(mesh.flows()[1]!.source.port);
    expect(mesh.network.openCount).toBe(0);
  });

  it("sees each request behind CONNECT to an HTTP port", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(
      mesh.proxy,
      "CONNECT orders:80 HTTP/1.1\r\nHost: orders:80\r\n\r\nGET /in HTTP/1.1\r\nHost: o\r\n\r\n",
    );
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 200 Connection Established\r\n\r\nHTTP\/1\.1 200 OK\r\n[^]*hi$/);
    expect(mesh.flows()).toMatchObject([{ path: "/in" }, { path: "/in" }]);
  });

  it("speaks first where the server does", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toLedger);
    say(mesh.ledgerApp[0]!, "220 ready\r\n");
    await mesh.settle();
    expect(caller.text()).toBe("220 ready\r\n");
  });

  it("strips what the app says of itself", async () => {
    const mesh = await openSimMesh({ between });
    await mesh.call(
      mesh.toOrders,
      "GET / HTTP/1.1\r\nHost: o\r\nX-Forwarded-Client-Cert: URI=forged\r\nx-envoy-x: forged\r\n\r\n",
    );
    expect(mesh.ordersApp[0]!.text()).not.toContain("forged");
  });

  it("continues a trace", async () => {
    const mesh = await openSimMesh({ between });
    const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    await mesh.call(
      mesh.toOrders,
      `GET / HTTP/1.1\r\nHost: o\r\ntraceparent: 00-${traceId}-00f067aa0ba902b7-01\r\n\r\n`,
    );
    expect(mesh.ordersApp[0]!.text()).toMatch(new RegExp(`traceparent: 00-${traceId}-[0-9a-f]{16}-01`));
    expect(mesh.ordersApp[0]!.text()).not.toContain("00f067aa0ba902b7");
  });

  it("balances: the less busy of two, and none for a workload that is gone", async () => {
    const mesh = await openSimMesh({ between });
    const snapshot = mesh.web.registry.get();
    const orders = snapshot.lookup("orders", "shop")!;
    const [endpoint] = orders.ports.get(80)!.endpoints;
    const elsewhere = { ...endpoint!, port: 1, workload: "orders-2" };
    const ports = new Map([[80, { port: 80, protocol: "HTTP" as const, endpoints: [endpoint!, elsewhere] }]]);
    mesh.web.registry.set({ ...snapshot, lookup: () => ({ ...orders, ports }) });
    for (let i = 0; i < 20; i++) await mesh.call(mesh.toOrders, "GET / HTTP/1.1\r\nHost: o\r\n\r\n");
    for (const app of mesh.ordersApp) say(app, OK);
    await mesh.pass(500);
    // Nobody listens there, so each that was sent there was sent on to the other.
    const again = mesh.web.flows.filter((flow) => flow.retriedFor === "upstream-connect-failed");
    expect(mesh.web.flows).toHaveLength(20);
    expect(mesh.web.flows.every((flow) => flow.status === 200 && flow.destination.workload === "orders-1")).toBe(true);
    expect(again.length).toBeGreaterThan(0);
    expect(again.every((flow) => flow.attempts === 2)).toBe(true);
  });
});

describe.each(BETWEEN)("the chosen workload must prove to be it, with %s between the sidecars", (between) => {
  const GET = "GET / HTTP/1.1\r\nHost: o\r\n\r\n";

  it("another workload at its address gets nothing", async () => {
    const mesh = await openSimMesh({ between });
    mesh.register((endpoint) => ({ ...endpoint, spiffeId: parseSpiffeId(shopId("payments")) }));
    const caller = await mesh.call(mesh.toOrders, GET);
    const tcp = await mesh.call(mesh.toLedger, "BALANCE\n");
    expect(caller.text()).toMatch(/^HTTP\/1\.1 502 [^]*x-cardea-denial: [0-9a-f]{16}\r\n/);
    expect(tcp.error?.code).toBe("upstream-reset");
    expect(mesh.web.flows).toMatchObject([
      { verdict: "denied", reason: "peer-identity-mismatch" },
      { verdict: "denied", reason: "peer-identity-mismatch" },
    ]);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.ledgerApp.map((app) => app.bytes).join()).toBe("0");
  });

  it("one with another CA's certificate gets nothing", async () => {
    const mesh = await openSimMesh({ between });
    const stranger = createTestAuthority();
    mesh.orders.identity.set(stranger.issue(shopId("orders"), { trusts: [mesh.authority.bundle] }));
    const caller = await mesh.call(mesh.toOrders, GET);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 502 /);
    expect(mesh.web.flows).toMatchObject([{ reason: "peer-identity-mismatch" }]);
    expect(mesh.ordersApp).toEqual([]);
  });

  it("one that does not speak TLS gets no plaintext either", async () => {
    const mesh = await openSimMesh({ between });
    const heard: string[] = [];
    const listening = await mesh.network.listen({ host: "127.0.0.1", port: 0 }, (connection) => {
      connection.setHandlers({
        onData: (chunk) => {
          heard.push(chunk.toString("latin1"));
          connection.destroy();
        },
        onEnd: () => {},
        onDrain: () => {},
        onClose: () => {},
      });
    });
    mesh.register((endpoint) => ({ ...endpoint, port: listening.address.port }));
    const caller = await mesh.call(mesh.toOrders, GET);
    await mesh.pass(500);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 503 /);
    expect(heard.join("")).not.toContain("GET");
    expect(mesh.web.flows).toMatchObject([{ reason: "upstream-connect-failed" }]);
  });

  it("nothing is sent without a certificate of our own", async () => {
    const mesh = await openSimMesh({ between, identity: "absent" });
    const caller = await mesh.call(mesh.toOrders, GET);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 503 /);
    expect(mesh.flows()).toMatchObject([{ reporter: "source", verdict: "denied", reason: "identity-not-ready" }]);
  });

  it("nor with one that has ended", async () => {
    const mesh = await openSimMesh({ between });
    mesh.web.identity.set(mesh.authority.issue(shopId("web"), { notAfterMs: mesh.clock.wallMs() }));
    const caller = await mesh.call(mesh.toOrders, GET);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 503 /);
    expect(mesh.ordersApp).toEqual([]);
  });
});

describe.each(BETWEEN)("bounds, with %s between the sidecars", (between) => {
  it("requests that wait for one upstream are counted, and one too many is refused", async () => {
    const mesh = await openSimMesh({ between });
    const held = createLatest(0);
    mesh.network.startTls = () => {
      held.set(held.get() + 1);
      return new Promise(() => {});
    };
    const many = "GET / HTTP/1.1\r\nHost: o\r\n\r\n";
    const callers = await Promise.all(
      Array.from({ length: LIMITS.pendingRequestsMax + 1 }, async () => {
        const connection = await mesh.network.open(mesh.toOrders);
        connection.write(Buffer.from(many));
        return connection;
      }),
    );
    await mesh.settle();
    expect(mesh.web.flows).toMatchObject([{ verdict: "error", reason: "overloaded", status: 503 }]);
    // What the upstream speaks the first connection tells.
    expect(held.get()).toBe(1);
    for (const connection of callers) connection.destroy({ reset: true });
    await mesh.settle();
    expect(mesh.web.flows).toHaveLength(LIMITS.pendingRequestsMax + 1);
  });

  it("an app that is down is told so, and recorded", async () => {
    const mesh = await openSimMesh({
      between,
      ordersApp: { host: "127.0.0.1", port: 7 },
      ledgerApp: { host: "127.0.0.1", port: 7 },
    });
    const caller = await mesh.call(mesh.toOrders, "GET / HTTP/1.1\r\nHost: o\r\n\r\n");
    expect(caller.text()).toMatch(/^HTTP\/1\.1 503 /);
    const tcp = await mesh.call(mesh.toLedger, "x");
    expect(tcp.isClosed).toBe(true);
    expect(mesh.orders.flows).toMatchObject([
      { verdict: "error", reason: "upstream-connect-failed", status: 503, policy: "shop/web-may" },
      { verdict: "error", reason: "upstream-connect-failed", protocol: "tcp" },
    ]);
  });

  it("a port that is taken opens nothing", async () => {
    const mesh = await openSimMesh({ between });
    const { openTestMesh } = await import("../support/test-mesh.ts");
    const { network, clock } = mesh;
    const listen = network.listen.bind(network);
    let opened = 0;
    let closed = 0;
    network.listen = async (at, onConnection) => {
      if (++opened === 3) return listen(mesh.proxy, onConnection);
      const listening = await listen(at, onConnection);
      return { ...listening, close: () => (closed++, listening.close()) };
    };
    const app = { host: "127.0.0.1", port: 9080 };
    await expect(openTestMesh({ network, clock, ordersApp: app, ledgerApp: app })).rejects.toMatchObject({
      code: "unreachable",
    });
    expect(closed).toBe(2);
  });
});
