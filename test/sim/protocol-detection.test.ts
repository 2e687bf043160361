import net from "node:net";
import tls from "node:tls";
import { beforeAll, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/limits.ts";
import type { PortProtocol } from "../../src/core/port-protocol.ts";
import { PREFACE } from "../../src/wire/http2-codes.ts";
import type { Collected } from "../support/collected.ts";
import { GET, OPENING, rawFields, rawFrame } from "../support/http2-frames.ts";
import { openSimMesh, say, type SimMesh } from "../support/sim-mesh.ts";
import { shopId } from "../support/test-authority.ts";
import { policy, policySetOf, WEB_MAY } from "../support/test-mesh.ts";

// A port that declares nothing: the first bytes tell both sidecars what it is, and policy is none the weaker for it.

const AUTO = { ordersProtocol: "AUTO" } as const;
const WAIT_MS = LIMITS.protocolDetectionMs + 250;
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const REQUEST = "GET /a HTTP/1.1\r\nHost: orders\r\n\r\n";
const GETS_ONLY = policy("gets", { action: "ALLOW", rules: [{ to: [{ operation: { methods: ["GET"] } }] }] });
const NO_DELETE = policy("no-delete", { action: "DENY", rules: [{ to: [{ operation: { methods: ["DELETE"] } }] }] });

let hello: Buffer;

beforeAll(async () => {
  hello = await captureHello("db.example.com");
});

describe("on a port that declares nothing", () => {
  it("a request is seen as one, and shares a connection with others", async () => {
    const mesh = await openSimMesh(AUTO);
    for (const path of ["/1", "/2"]) {
      const caller = await mesh.call(mesh.toOrders, REQUEST.replace("/a", path));
      say(mesh.ordersApp[0]!, OK);
      await mesh.settle();
      expect(caller.text()).toMatch(/hi$/);
    }
    expect(mesh.ordersApp).toHaveLength(1);
    expect(mesh.flows()).toHaveLength(4);
    for (const flow of mesh.flows()) expect(flow).toMatchObject({ protocol: "http", verdict: "allowed", status: 200 });
  });

  it("a request that comes octet by octet is, too", async () => {
    const mesh = await openSimMesh(AUTO);
    const caller = await mesh.call(mesh.toOrders);
    for (const octet of REQUEST) {
      say(caller, octet);
      await mesh.settle();
    }
    expect(mesh.ordersApp[0]!.text()).toContain("GET /a HTTP/1.1");
  });

  it("HTTP/2 is told by its preface; a gRPC call is spoken to the app in HTTP/2, all else in HTTP/1.1", async () => {
    const mesh = await openSimMesh(AUTO);
    const caller = await mesh.call(mesh.toOrders);
    const call = Buffer.concat([
      rawFields(":method", "POST", ":scheme", "http", ":path", "/p.S/M", ":authority", "orders"),
      rawFields("content-type", "application/grpc", "te", "trailers"),
    ]);
    caller.connection.write(Buffer.concat([OPENING, headers(1, GET), headers(3, call)]));
    await mesh.settle();
    const [first, second] = mesh.ordersApp.map((app) => app.text());
    expect([first, second].filter((text) => text!.startsWith("GET "))).toHaveLength(1);
    expect([first, second].filter((text) => text!.startsWith(PREFACE.toString("latin1")))).toHaveLength(1);
  });

  it("what is neither goes through as it is, both ways, from its first byte", async () => {
    const mesh = await openSimMesh(AUTO);
    const caller = await mesh.call(mesh.toOrders, "*1\r\n$4\r\nPING\r\n");
    expect(mesh.ordersApp[0]!.text()).toBe("*1\r\n$4\r\nPING\r\n");
    say(mesh.ordersApp[0]!, "+PONG\r\n");
    await mesh.settle();
    expect(caller.text()).toBe("+PONG\r\n");
    await endBoth(mesh, caller);
    for (const flow of mesh.flows()) {
      expect(flow).toMatchObject({
        protocol: "tcp",
        verdict: "allowed",
        bytesReceived: 14,
        bytesSent: 7,
        appSni: null,
      });
    }
    expect(mesh.flows()).toHaveLength(2);
  });

  it("a half-close that comes with the bytes is handed on", async () => {
    const mesh = await openSimMesh(AUTO);
    const caller = await mesh.call(mesh.toOrders, "*1\r\n");
    caller.connection.end();
    await mesh.settle();
    expect(mesh.ordersApp[0]!.isEnded).toBe(true);
    say(mesh.ordersApp[0]!, "bye");
    await mesh.settle();
    expect(caller.text()).toBe("bye");
  });

  it("the app's own TLS goes through unread, and its server name is recorded", async () => {
    const mesh = await openSimMesh(AUTO);
    const caller = await mesh.call(mesh.toOrders);
    for (let at = 0; at < hello.length; at += 500) {
      expect(mesh.ordersApp).toEqual([]);
      caller.connection.write(Buffer.from(hello.subarray(at, at + 500)));
      await mesh.settle();
    }
    expect(Buffer.concat(mesh.ordersApp[0]!.chunks)).toEqual(hello);
    await endBoth(mesh, caller);
    expect(mesh.flows().map((flow) => flow.appSni)).toEqual(["db.example.com", "db.example.com"]);
  });

  it("a server that speaks first is heard once each sidecar has waited for the client", async () => {
    const mesh = await openSimMesh(AUTO);
    const caller = await mesh.call(mesh.toOrders);
    expect(mesh.ordersApp).toEqual([]);
    await mesh.pass(2 * WAIT_MS);
    say(mesh.ordersApp[0]!, "220 ready\r\n");
    await mesh.settle();
    expect(caller.text()).toBe("220 ready\r\n");
    say(caller, "EHLO me\r\n");
    await mesh.settle();
    expect(mesh.ordersApp[0]!.text()).toBe("EHLO me\r\n");
  });

  it("the wait is what the configuration says", async () => {
    const mesh = await openSimMesh({ ...AUTO, protocolDetectionTimeoutMs: 10_000 });
    await mesh.call(mesh.toOrders);
    await mesh.pass(15_000);
    expect(mesh.ordersApp).toEqual([]);
    await mesh.pass(6_000);
    expect(mesh.ordersApp).toHaveLength(1);
  });

  it("CONNECT leads to the same", async () => {
    const mesh = await openSimMesh(AUTO);
    const requests = await mesh.call(mesh.proxy, "CONNECT orders.shop:80 HTTP/1.1\r\nHost: orders.shop:80\r\n\r\n");
    say(requests, REQUEST);
    const opaque = await mesh.call(mesh.proxy, "CONNECT orders.shop:80 HTTP/1.1\r\nHost: orders.shop:80\r\n\r\n");
    expect(opaque.text()).toMatch(/^HTTP\/1\.1 200 /);
    opaque.connection.write(Buffer.from(hello));
    await mesh.settle();
    expect(mesh.ordersApp).toHaveLength(2);
    expect(mesh.ordersApp.some((app) => Buffer.concat(app.chunks).equals(hello))).toBe(true);
    expect(mesh.ordersApp.some((app) => app.text().startsWith("GET /a HTTP/1.1"))).toBe(true);
  });

  it("a connection that is only opened and closed goes nowhere", async () => {
    const mesh = await openSimMesh(AUTO);
    const caller = await mesh.call(mesh.toOrders);
    caller.connection.end();
    await mesh.settle();
    await mesh.pass(2 * WAIT_MS);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.flows()).toEqual([]);
    expect(mesh.web.sidecar.connectionCount).toBe(0);
  });
});

describe("detection does not weaken policy", () => {
  it("opaque bytes match no ALLOW rule that asks about a request", async () => {
    const mesh = await openSimMesh({ ...AUTO, policy: policySetOf([GETS_ONLY]) });
    const caller = await mesh.call(mesh.toOrders, "*1\r\n");
    expect(caller.isClosed || caller.isEnded).toBe(true);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.orders.flows).toMatchObject([{ protocol: "tcp", verdict: "denied", reason: "no-allow-rule-matched" }]);
    await mesh.call(mesh.toOrders, REQUEST);
    expect(mesh.ordersApp).toHaveLength(1);
  });

  it("of a DENY rule the rest still holds", async () => {
    const mesh = await openSimMesh({ ...AUTO, policy: policySetOf([WEB_MAY, NO_DELETE]) });
    await mesh.call(mesh.toOrders, "*1\r\n");
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "deny-rule-matched" }]);
    await mesh.call(mesh.toOrders, REQUEST.replace("GET", "DELETE"));
    expect(mesh.ordersApp).toEqual([]);
    await mesh.call(mesh.toOrders, REQUEST);
    expect(mesh.ordersApp).toHaveLength(1);
  });

  it("a caller that calls its requests opaque has them read all the same", async () => {
    const { mesh, caller } = await callOpaque();
    say(caller, "DELETE /a HTTP/1.1\r\nHost: o\r\nX-Forwarded-Client-Cert: URI=spiffe://evil\r\n\r\n");
    await mesh.settle();
    expect(mesh.orders.flows).toMatchObject([{ protocol: "http", verdict: "denied" }]);
    say(caller, "GET /a HTTP/1.1\r\nHost: o\r\nX-Forwarded-Client-Cert: URI=spiffe://evil\r\n\r\n");
    await mesh.settle();
    expect(mesh.ordersApp[0]!.text()).toContain(`URI=${shopId("web")}`);
    expect(mesh.ordersApp[0]!.text()).not.toContain("evil");
  });

  it.each([
    ["a request", REQUEST],
    ["a request behind empty lines", `\r\n\n\r\n${REQUEST}`],
    ["a request of a lenient parser's", "get\t/a b  hTTp/1.1 \t\r\nhost: o\r\n\r\n"],
    ["HTTP/2", PREFACE.toString("latin1")],
  ])("%s that comes after the wait is held back, and the connection ended", async (_name, bytes) => {
    const { mesh, caller } = await callOpaque({ policy: policySetOf([WEB_MAY]) });
    await mesh.pass(WAIT_MS);
    expect(mesh.ordersApp).toHaveLength(1);
    for (const octet of bytes) say(caller, octet);
    await mesh.settle();
    expect(mesh.ordersApp[0]!.text()).toBe("");
    expect(caller.isClosed || caller.isEnded).toBe(true);
    expect(mesh.orders.flows).toMatchObject([{ protocol: "tcp", verdict: "error", reason: "protocol-mismatch" }]);
  });

  it.each([
    ["half a request line", "GET /a HTT"],
    ["half a preface", "PRI * HT"],
    ["a request line without an end", `GET /${"a".repeat(LIMITS.targetBytesMax + 300)}`],
  ])("%s stays a request's, however long the rest takes", async (_name, bytes) => {
    const { mesh, caller } = await callOpaque({ policy: policySetOf([WEB_MAY]) });
    say(caller, bytes);
    await mesh.pass(WAIT_MS + LIMITS.headTimeoutMs + 1_000);
    expect(mesh.ordersApp).toEqual([]);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 4/);
    expect(mesh.orders.flows).toMatchObject([{ protocol: "http", verdict: "error" }]);
  });
});

describe("a port that is declared", () => {
  it.each<[PortProtocol, string]>([
    ["HTTP", "*1\r\n$4\r\nPING\r\n"],
    ["HTTP", "\x16\x03\x01\x00\x05hello"],
    ["HTTP2", "SSH-2.0-x\r\n"],
    ["GRPC", "EHLO me\r\n"],
  ])("%s and gets something else closes with a record", async (ordersProtocol, bytes) => {
    const mesh = await openSimMesh({ ordersProtocol });
    const caller = await mesh.callAs(mesh.authority.issue(shopId("web")), mesh.ordersInbound, {
      alpn: [],
      text: bytes,
    });
    await mesh.pass(LIMITS.lingerMs + 1_000);
    expect(caller.isEnded || caller.isClosed).toBe(true);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "error", reason: "bad-request" }]);
  });

  it("TCP waits for nothing", async () => {
    const mesh = await openSimMesh({ ordersProtocol: "TCP" });
    await mesh.call(mesh.toOrders);
    expect(mesh.ordersApp).toHaveLength(1);
    const ledger = await mesh.call(mesh.toLedger);
    say(mesh.ledgerApp[0]!, "ready");
    await mesh.settle();
    expect(ledger.text()).toBe("ready");
  });

  it("TLS passes a hello, and tells its name", async () => {
    const mesh = await openSimMesh({ ordersProtocol: "TLS" });
    const caller = await mesh.call(mesh.toOrders);
    caller.connection.write(Buffer.from(hello));
    await mesh.settle();
    expect(Buffer.concat(mesh.ordersApp[0]!.chunks)).toEqual(hello);
    await endBoth(mesh, caller);
    expect(mesh.flows().map((flow) => flow.appSni)).toEqual(["db.example.com", "db.example.com"]);
  });

  it.each([
    ["a request", REQUEST, "protocol-mismatch"],
    ["other bytes", "*1\r\n", "protocol-mismatch"],
    ["a broken hello", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", "protocol-mismatch"],
    ["half a hello", "\x16\x03\x01\x00\xff\x01\x00\x00", "protocol-mismatch"],
    ["nothing", "", "request-timeout"],
  ])("TLS refuses %s, on either side, with a record", async (_name, bytes, reason) => {
    const mesh = await openSimMesh({ ordersProtocol: "TLS" });
    const web = mesh.authority.issue(shopId("web"));
    for (const [caller, { flows }] of [
      [await mesh.call(mesh.toOrders, bytes), mesh.web],
      [await mesh.callAs(web, mesh.ordersInbound, { alpn: ["istio"], text: bytes }), mesh.orders],
    ] as const) {
      await mesh.pass(LIMITS.firstBytesTimeoutMs + 250);
      expect(caller.isClosed || caller.isEnded).toBe(true);
      expect(flows).toMatchObject([{ protocol: "tcp", verdict: "error", reason }]);
    }
    expect(mesh.ordersApp).toEqual([]);
  });
});

/** A caller that offers the inbound port nothing but opaque bytes. */
async function callOpaque(options: Parameters<typeof openSimMesh>[0] = {}) {
  const mesh = await openSimMesh({ ...AUTO, policy: policySetOf([GETS_ONLY]), ...options });
  const caller = await mesh.callAs(mesh.authority.issue(shopId("web")), mesh.ordersInbound, { alpn: ["istio"] });
  return { mesh, caller };
}

async function endBoth(mesh: SimMesh, caller: Collected): Promise<void> {
  caller.connection.end();
  for (const app of mesh.ordersApp) app.connection.end();
  await mesh.settle();
}

function headers(streamId: number, payload: Buffer): Buffer {
  return rawFrame({ type: 1, flags: 5, streamId, payload });
}

/** What Node's TLS client says first. */
async function captureHello(servername: string): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const server = net.createServer((socket) => {
    socket
      .on("error", () => {})
      .once("data", (chunk: Buffer) => {
        socket.destroy();
        resolve(chunk);
      });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as net.AddressInfo;
  tls.connect({ host: "127.0.0.1", port, servername }).on("error", () => {});
  const captured = await promise;
  server.close();
  return captured;
}
