import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/limits.ts";
import type { Collected } from "../support/collected.ts";
import { openSimMesh, say, type SimMesh } from "../support/sim-mesh.ts";
import type { SimConnection } from "../support/sim-network.ts";
import { shopId } from "../support/test-authority.ts";
import { policy, policySetOf } from "../support/test-mesh.ts";

// Between the two sidecars all requests share one connection, and each keeps a fate of its own.

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const LAST_CHUNK = "0\r\n\r\n";
const WEBSOCKET = "GET /ws HTTP/1.1\r\nHost: o\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

describe("requests between two sidecars", () => {
  it("that come together share one connection, which all wait for", async () => {
    const { mesh, dials } = await open();
    const callers = await Promise.all(Array.from({ length: 30 }, (_, i) => mesh.call(mesh.toOrders, get(`/${i}`))));
    expect(dials()).toBe(1);
    expect(mesh.ordersApp).toHaveLength(30);
    for (const app of mesh.ordersApp) say(app, `HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n${pathOf(app).padEnd(3)}`);
    await mesh.settle();
    callers.forEach((caller, i) => expect(caller.text()).toMatch(new RegExp(`\r\n\r\n/${i} *$`)));
    expect(mesh.web.flows).toHaveLength(30);
    expect(mesh.orders.flows).toHaveLength(30);
    expect(new Set(mesh.web.flows.map((flow) => flow.path)).size).toBe(30);
  });

  it("are answered in any order, none by another's answer", async () => {
    const { mesh } = await open();
    const [slow, quick] = [await mesh.call(mesh.toOrders, get("/slow")), await mesh.call(mesh.toOrders, get("/quick"))];
    say(mesh.ordersApp[1]!, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nquick");
    await mesh.settle();
    expect(quick.text()).toMatch(/quick$/);
    expect(slow.text()).toBe("");
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
    await mesh.settle();
    expect(slow.text()).toMatch(/slow$/);
  });

  it("are permitted one by one: a denied one gets its 403 and id, its neighbour its answer", async () => {
    const { mesh, dials } = await open();
    mesh.orders.policy.set(onlyPaths("/ok"));
    const permitted = await mesh.call(mesh.toOrders, get("/ok"));
    const denied = await mesh.call(mesh.toOrders, get("/no"));
    const [flow] = mesh.orders.flows;
    expect(flow).toMatchObject({ verdict: "denied", reason: "no-allow-rule-matched", path: "/no", status: 403 });
    expect(denied.text()).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
    expect(denied.text()).toContain(`x-cardea-denial: ${flow!.id}\r\n`);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(permitted.text()).toMatch(/hi$/);
    expect(mesh.ordersApp).toHaveLength(1);
    expect(dials()).toBe(1);
  });

  it("lose their permission one by one", async () => {
    const { mesh, dials } = await open();
    const [kept, waiting, answered, socket] = [
      await mesh.call(mesh.toOrders, get("/kept")),
      await mesh.call(mesh.toOrders, get("/waiting")),
      await mesh.call(mesh.toOrders, get("/answered")),
      await mesh.call(mesh.toOrders, WEBSOCKET),
    ];
    say(mesh.ordersApp[2]!, `${CHUNKED}3\r\none\r\n`);
    say(mesh.ordersApp[3]!, SWITCH);
    await mesh.settle();
    mesh.orders.policy.set(onlyPaths("/kept"));
    await mesh.settle();
    expect(waiting.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(answered.error?.code).toBe("upstream-reset");
    expect(socket.error?.code).toBe("upstream-reset");
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(kept.text()).toMatch(/hi$/);
    expect(dials()).toBe(1);
    expect(mesh.orders.flows.map((flow) => flow.reason).toSorted()).toEqual([
      "allow-rule-matched",
      "permission-lost",
      "permission-lost",
      "permission-lost",
    ]);
  });

  it("that a caller gives up leave the others alone", async () => {
    const { mesh, dials } = await open();
    const [gone, stays] = [await mesh.call(mesh.toOrders, get("/gone")), await mesh.call(mesh.toOrders, get("/stays"))];
    gone.connection.destroy({ reset: true });
    await mesh.settle();
    expect(mesh.ordersApp[0]!.isClosed).toBe(true);
    say(mesh.ordersApp[1]!, OK);
    await mesh.settle();
    expect(stays.text()).toMatch(/hi$/);
    expect(dials()).toBe(1);
    for (const { flows } of [mesh.web, mesh.orders]) {
      expect(flows).toMatchObject([
        { path: "/gone", reason: "downstream-reset" },
        { path: "/stays", verdict: "allowed" },
      ]);
    }
  });

  it("are not held up by one whose caller does not read", async () => {
    const { mesh, dials } = await open();
    const stuck = await mesh.call(mesh.toOrders, get("/large"));
    stuck.connection.pause();
    const app = mesh.ordersApp[0]!;
    say(app, CHUNKED);
    const sent = await pumpUntilStuck(mesh, app);
    expect(sent).toBeLessThan(HELD_BYTES_MAX);
    const other = await mesh.call(mesh.toOrders, get("/small"));
    say(mesh.ordersApp[1]!, OK);
    await mesh.settle();
    expect(other.text()).toMatch(/hi$/);
    // It shared the first connection; the second is for those that come after it.
    expect(dials()).toBe(2);
    stuck.connection.resume();
    await mesh.settle();
    say(app, LAST_CHUNK);
    await mesh.settle();
    expect(stuck.text().match(/x/g)).toHaveLength(sent);
  });

  it("are not held up by one that the app does not read", async () => {
    const { mesh, dials } = await open();
    const sender = await mesh.call(
      mesh.toOrders,
      "POST /large HTTP/1.1\r\nHost: o\r\nContent-Length: 104857600\r\n\r\n",
    );
    const app = mesh.ordersApp[0]!;
    app.connection.pause();
    const before = app.bytes;
    let sent = 0;
    do {
      sender.connection.write(PIECE);
      sent += PIECE.length;
      await mesh.settle();
    } while (sender.connection.unsentBytes < LIMITS.writeBacklogBytesMax);
    expect(sent).toBeLessThan(HELD_BYTES_MAX);
    const other = await mesh.call(mesh.toOrders, get("/small"));
    say(mesh.ordersApp[1]!, OK);
    await mesh.settle();
    expect(other.text()).toMatch(/hi$/);
    expect(dials()).toBe(2);
    app.connection.resume();
    await mesh.settle();
    expect(app.bytes - before).toBe(sent);
  });

  it("take a second connection when the streams of the first are used up, and none is refused", async () => {
    const { mesh, dials } = await open();
    const count = LIMITS.http2StreamsMax + 40;
    // The peer's settings come first: until then it is held to allow a hundred.
    const first = await mesh.call(mesh.toOrders, get("/first"));
    const callers = await Promise.all(Array.from({ length: count }, () => mesh.call(mesh.toOrders, get("/more"))));
    expect(dials()).toBe(2);
    expect(mesh.ordersApp).toHaveLength(count + 1);
    for (const app of mesh.ordersApp) say(app, OK);
    await mesh.settle();
    for (const caller of [first, ...callers]) expect(caller.text()).toMatch(/hi$/);
  });

  it("go around a long body, by a connection of their own", async () => {
    const { mesh, dials } = await open();
    const long = await mesh.call(mesh.toOrders, get("/long"));
    say(mesh.ordersApp[0]!, CHUNKED);
    for (let moved = 0; moved < LIMITS.http2LongBodyBytesMin; moved += PIECE.length)
      say(mesh.ordersApp[0]!, chunkOf(PIECE));
    await mesh.pass(1_000);
    await mesh.call(mesh.toOrders, get("/opens-it"));
    expect(dials()).toBe(2);
    await mesh.call(mesh.toOrders, get("/uses-it"));
    expect(dials()).toBe(2);
    say(mesh.ordersApp[0]!, LAST_CHUNK);
    for (const app of mesh.ordersApp.slice(1)) say(app, OK);
    await mesh.settle();
    expect(long.text()).toMatch(/\r\n0\r\n\r\n$/);
    expect(mesh.flows().every((flow) => flow.verdict === "allowed")).toBe(true);
  });

  it("share the connection again as soon as a long body has ended, and not with the next tick", async () => {
    const { mesh, dials } = await open();
    await mesh.call(mesh.toOrders, get("/long"));
    say(mesh.ordersApp[0]!, CHUNKED);
    for (let moved = 0; moved < LIMITS.http2LongBodyBytesMin; moved += PIECE.length)
      say(mesh.ordersApp[0]!, chunkOf(PIECE));
    await mesh.pass(1_000);
    say(mesh.ordersApp[0]!, LAST_CHUNK);
    await mesh.settle();
    await Promise.all(Array.from({ length: 20 }, () => mesh.call(mesh.toOrders, get("/next"))));
    expect(dials()).toBe(1);
  });
});

describe("a connection that is shared", () => {
  it("retires before its certificates end: new requests take another, and those on it finish", async () => {
    const { mesh, dials } = await open();
    const notAfterMs = mesh.clock.wallMs() + 10_000;
    mesh.web.identity.set(mesh.authority.issue(shopId("web"), { notAfterMs }));
    const old = await mesh.call(mesh.toOrders, get("/old"));
    say(mesh.ordersApp[0]!, CHUNKED);
    await mesh.pass(5_000);
    mesh.web.identity.set(mesh.authority.issue(shopId("web")));
    await mesh.call(mesh.toOrders, get("/before"));
    expect(dials()).toBe(1);
    await mesh.pass(4_000);
    await mesh.call(mesh.toOrders, get("/after"));
    expect(dials()).toBe(2);
    say(mesh.ordersApp[0]!, LAST_CHUNK);
    for (const app of mesh.ordersApp.slice(1)) say(app, OK);
    await mesh.pass(3_000);
    expect(old.text()).toMatch(/\r\n0\r\n\r\n$/);
    expect(mesh.flows().map((flow) => flow.verdict)).toEqual(Array.from({ length: 6 }, () => "allowed"));
  });

  it("cuts what is still on it when they end", async () => {
    const { mesh } = await open();
    const notAfterMs = mesh.clock.wallMs() + 10_000;
    mesh.web.identity.set(mesh.authority.issue(shopId("web"), { notAfterMs }));
    const callers = [await mesh.call(mesh.toOrders, get("/1")), await mesh.call(mesh.toOrders, get("/2"))];
    for (const app of mesh.ordersApp) say(app, CHUNKED);
    await mesh.pass(10_500);
    for (const caller of callers) expect(caller.isClosed).toBe(true);
    expect(mesh.flows().map((flow) => flow.verdict)).toEqual(Array.from({ length: 4 }, () => "error"));
    expect(mesh.network.openCount).toBe(0);
  });

  it("is told when the other sidecar drains: what is on it finishes, and the connection ends", async () => {
    const { mesh } = await open();
    const callers = [await mesh.call(mesh.toOrders, get("/1")), await mesh.call(mesh.toOrders, get("/2"))];
    let isDrained = false;
    const drained = mesh.orders.sidecar.drain().then(() => (isDrained = true));
    await mesh.pass(1_000);
    expect(isDrained).toBe(false);
    for (const app of mesh.ordersApp) say(app, OK);
    await mesh.settle();
    for (const caller of callers) expect(caller.text()).toMatch(/hi$/);
    await mesh.pass(3_000);
    await drained;
    const late = await mesh.call(mesh.toOrders, get("/late"));
    await mesh.pass(500);
    expect(late.text()).toMatch(/^HTTP\/1\.1 503 /);
    expect(mesh.orders.flows.map((flow) => flow.verdict)).toEqual(["allowed", "allowed"]);
  });

  it("that is lost takes all that was on it with it, and each is recorded", async () => {
    const { mesh } = await open();
    const callers = [await mesh.call(mesh.toOrders, get("/1")), await mesh.call(mesh.toOrders, get("/2"))];
    for (const app of mesh.ordersApp) say(app, CHUNKED);
    await mesh.settle();
    await mesh.orders.sidecar.close();
    await mesh.settle();
    for (const caller of callers) expect(caller.error?.code).toBe("upstream-reset");
    expect(mesh.web.flows.map((flow) => flow.reason)).toEqual(["upstream-reset", "upstream-reset"]);
    expect(mesh.orders.flows).toHaveLength(2);
  });
});

const PIECE = Buffer.alloc(65_536, "x");
/** A stream's window on either side of each sidecar, the queues before them, and one read more. */
const HELD_BYTES_MAX = 2 * LIMITS.writeBacklogBytesMax + 2 * LIMITS.http2StreamWindowBytes + 8 * PIECE.length;

async function open(): Promise<{ mesh: SimMesh; dials: () => number }> {
  const mesh = await openSimMesh();
  const dial = mesh.network.dial.bind(mesh.network);
  let count = 0;
  mesh.network.dial = (to, options) => {
    if (to.port === mesh.ordersInbound.port) count++;
    return dial(to, options);
  };
  return { mesh, dials: () => count };
}

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: o\r\n\r\n`;
}

function pathOf(app: Collected): string {
  return /^GET (\S+) /.exec(app.text())![1]!;
}

function onlyPaths(...paths: string[]) {
  return policySetOf([policy("only", { action: "ALLOW", rules: [{ to: [{ operation: { paths } }] }] })], {}, "second");
}

function chunkOf(piece: Buffer): string {
  return `${piece.length.toString(16)}\r\n${piece.toString("latin1")}\r\n`;
}

async function pumpUntilStuck(mesh: SimMesh, app: Collected<SimConnection>): Promise<number> {
  let sent = 0;
  while (app.connection.unsentBytes < LIMITS.writeBacklogBytesMax) {
    say(app, chunkOf(PIECE));
    sent += PIECE.length;
    await mesh.settle();
  }
  return sent;
}
