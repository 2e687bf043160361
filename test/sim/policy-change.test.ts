import { describe, expect, it } from "vitest";
import { openSimMesh, say } from "../support/sim-mesh.ts";
import { BETWEEN, keptEnds, policy, policySetOf, WEB_MAY } from "../support/test-mesh.ts";

const GET = "GET /x HTTP/1.1\r\nHost: orders\r\n\r\n";
const WEBSOCKET = "GET /ws HTTP/1.1\r\nHost: o\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const NOBODY = policySetOf([], {}, "second");
const STILL_WEB = policySetOf(
  [WEB_MAY, policy("more", { rules: [{ to: [{ operation: { methods: ["PUT"] } }] }] })],
  {},
  "second",
);

describe.each(BETWEEN)("a new policy, with %s between the sidecars", (between) => {
  it("refuses a request that waits for its answer", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    mesh.orders.policy.set(NOBODY);
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 [^]*RBAC: access denied\n$/);
    expect(mesh.ordersApp[0]!.error?.code).toBe("downstream-reset");
    expect(mesh.orders.flows).toMatchObject([
      { verdict: "denied", reason: "permission-lost", policy: "mesh/default", revision: "second", status: 403 },
    ]);
  });

  it("resets a stream whose answer is under way", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    await mesh.settle();
    mesh.orders.policy.set(NOBODY);
    await mesh.settle();
    expect(caller.error?.code).toBe("upstream-reset");
    expect(caller.text()).not.toContain("\r\n0\r\n\r\n");
    expect(mesh.ordersApp[0]!.isClosed).toBe(true);
    expect(mesh.orders.flows).toMatchObject([
      { verdict: "denied", reason: "permission-lost", status: 200, bytesSent: 3 },
    ]);
    expect(mesh.web.flows).toMatchObject([{ verdict: "error", reason: "upstream-reset" }]);
    expect(mesh.network.openCount).toBe(keptEnds(between));
  });

  it("resets a WebSocket", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, WEBSOCKET);
    say(mesh.ordersApp[0]!, SWITCH);
    await mesh.settle();
    mesh.orders.policy.set(NOBODY);
    await mesh.settle();
    expect(caller.error?.code).toBe("upstream-reset");
    expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "permission-lost", status: 101 }]);
    expect(mesh.network.openCount).toBe(keptEnds(between));
  });

  it("resets an opaque connection", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toLedger, "BALANCE\n");
    expect(mesh.ledgerApp[0]!.text()).toBe("BALANCE\n");
    mesh.orders.policy.set(NOBODY);
    await mesh.settle();
    expect(caller.error?.code).toBe("upstream-reset");
    expect(mesh.orders.flows).toMatchObject([
      { verdict: "denied", reason: "permission-lost", protocol: "tcp", bytesReceived: 8 },
    ]);
    expect(mesh.network.openCount).toBe(0);
  });

  it("holds for the next request of a connection that is kept", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    await mesh.settle();
    mesh.orders.policy.set(NOBODY);
    say(caller, GET);
    await mesh.settle();
    expect(caller.text()).toMatch(/200 OK[^]*403 Forbidden/);
    expect(mesh.orders.flows.map((flow) => flow.revision)).toEqual(["test-revision", "second"]);
  });

  it("that still allows a stream leaves it alone", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    const tcp = await mesh.call(mesh.toLedger, "BALANCE\n");
    mesh.orders.policy.set(STILL_WEB);
    await mesh.settle();
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    say(mesh.ledgerApp[0]!, "42\n");
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
    expect(tcp.text()).toBe("42\n");
  });

  it("in AUDIT resets nothing", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    mesh.orders.policy.set(policySetOf([], { enforcement: "AUDIT" }, "second"));
    await mesh.settle();
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
  });
});
