import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import net, { type AddressInfo } from "node:net";
import tls from "node:tls";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Address } from "../../src/core/ports.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { runProgram } from "../support/programs.ts";
import { createTestAuthority, shopId } from "../support/test-authority.ts";
import { openTestMesh, type TestMesh } from "../support/test-mesh.ts";

// A port that declares nothing, over real sockets and real TLS, before one app that takes whatever comes: requests, its
// own TLS, bytes, or, where it is told to, it speaks first.

/** The app speaks first, as an SMTP server does. */
let greets = false;
let mesh: TestMesh;
let app: net.Server;
let inner: tls.Server;
let web: http.Server;

beforeAll(async () => {
  const { material } = createTestAuthority("cluster.local", Date.now()).issue(shopId("orders"));
  web = http.createServer((request, response) => response.end(`${request.method} ${request.url}\n`));
  inner = tls.createServer({ key: material.keyPem, cert: material.chainPem }, (socket) => {
    socket.on("error", () => {}).on("data", (chunk) => socket.write(chunk));
    socket.on("end", () => socket.end());
  });
  app = net.createServer({ allowHalfOpen: true }, serveAnything);
  mesh = await openTestMesh({
    network: createSocketNetwork(),
    clock: systemClock,
    ordersApp: await listen(app),
    ledgerApp: await listen(net.createServer()),
    ordersProtocol: "AUTO",
    protocolDetectionTimeoutMs: 1_000,
  });
});

afterAll(async () => {
  await mesh.close();
  app.close();
});

beforeEach(() => {
  mesh.web.flows.length = 0;
  mesh.orders.flows.length = 0;
});

describe("through a pair of sidecars, on a port that declares nothing", () => {
  it("curl's requests are requests, over either HTTP", async () => {
    for (const flag of ["--http1.1", "--http2-prior-knowledge"]) {
      const url = `http://127.0.0.1:${mesh.toOrders.port}/a`;
      expect(await runProgram("curl", ["-s", flag, url])).toMatchObject({ code: 0, stdout: "GET /a\n" });
    }
    expect(mesh.orders.flows).toMatchObject([{ protocol: "http" }, { protocol: "http" }]);
  });

  it("Node's HTTP/2 client is one, too", async () => {
    const session = http2.connect(`http://127.0.0.1:${mesh.toOrders.port}`);
    const stream = session.request({ ":path": "/b" });
    expect(await textOf(stream)).toBe("GET /b\n");
    session.close();
    await recorded(2);
  });

  it("the app's own TLS goes through, with its handshake, and its name is recorded", async () => {
    const port = mesh.toOrders.port;
    const socket = tls.connect({ host: "127.0.0.1", port, servername: "db.example.com", rejectUnauthorized: false });
    socket.write("hello inside");
    const [echo] = (await once(socket, "data")) as [Buffer];
    expect(echo.toString()).toBe("hello inside");
    socket.end();
    await recorded(2);
    expect([...mesh.web.flows, ...mesh.orders.flows]).toMatchObject([
      { protocol: "tcp", appSni: "db.example.com" },
      { protocol: "tcp", appSni: "db.example.com" },
    ]);
  });

  it("and behind a CONNECT as well", async () => {
    const { host, port } = mesh.proxy;
    const request = http.request({ host, port, method: "CONNECT", path: "orders.shop:80" }).end();
    const [, socket] = (await once(request, "connect")) as [http.IncomingMessage, net.Socket];
    const secured = tls.connect({ socket, servername: "db.example.com", rejectUnauthorized: false });
    secured.write("inside the tunnel");
    const [echo] = (await once(secured, "data")) as [Buffer];
    expect(echo.toString()).toBe("inside the tunnel");
    secured.end();
    await recorded(2);
    for (const flow of [...mesh.web.flows, ...mesh.orders.flows]) expect(flow.appSni).toBe("db.example.com");
  });

  it("a server that speaks first is heard, once the client has been silent for the stated time", async () => {
    greets = true;
    const socket = net.connect(mesh.toOrders.port, "127.0.0.1");
    const [greeting] = (await once(socket, "data")) as [Buffer];
    expect(greeting.toString()).toBe("220 ready\r\n");
    socket.end();
    await recorded(2);
    expect(mesh.orders.flows).toMatchObject([{ protocol: "tcp", verdict: "allowed", bytesSent: 11 }]);
    greets = false;
  });

  it("opaque bytes go through whole, and their half-close after them", async () => {
    const bytes = randomBytes(3_000_000);
    bytes[0] = 0;
    const socket = net.connect(mesh.toOrders.port, "127.0.0.1");
    socket.end(bytes);
    expect(await textOf(socket)).toBe(createHash("sha256").update(bytes).digest("hex"));
    await recorded(2);
    for (const flow of [...mesh.web.flows, ...mesh.orders.flows]) {
      expect(flow).toMatchObject({ protocol: "tcp", verdict: "allowed", bytesReceived: 3_000_000, bytesSent: 64 });
    }
  });
});

/** The app: it tells by the first byte what it is asked, unless it greets. */
function serveAnything(socket: net.Socket): void {
  socket.on("error", () => {});
  if (greets) {
    socket.write("220 ready\r\n");
    socket.resume().on("end", () => socket.end());
    return;
  }
  socket.once("readable", () => {
    const first = socket.read() as Buffer | null;
    if (first === null) {
      socket.end();
      return;
    }
    socket.unshift(first);
    if (first[0] === 0x16) inner.emit("connection", socket);
    else if (first[0] === 0x47) web.emit("connection", socket);
    else hashAll(socket);
  });
}

function hashAll(socket: net.Socket): void {
  const hash = createHash("sha256");
  socket.on("data", (chunk) => hash.update(chunk)).on("end", () => socket.end(hash.digest("hex")));
}

async function listen(server: net.Server): Promise<Address> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

async function recorded(count: number): Promise<void> {
  await expect.poll(() => mesh.web.flows.length + mesh.orders.flows.length).toBe(count);
}
