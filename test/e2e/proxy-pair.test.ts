import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import type { Address } from "../../src/core/ports.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import type { Identity } from "../../src/proxy/identity/identity.ts";
import { runProgram } from "../support/programs.ts";
import { createTestAuthority, shopId } from "../support/test-authority.ts";
import { BETWEEN, openTestMesh, policySetOf, type TestMesh, WEB_MAY } from "../support/test-mesh.ts";

// Two sidecars over real sockets and real TLS, with programs that are not ours at both ends.

let mesh: TestMesh;
let app: http.Server;
let sockets: WebSocketServer;
let ledger: net.Server;
let directory: string;

describe.each(BETWEEN)("with %s between the sidecars", (between) => {
  beforeAll(async () => {
    app = http.createServer(answer);
    sockets = new WebSocketServer({ server: app });
    sockets.on("connection", (socket) =>
      socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })),
    );
    // Says what it got when the other side has finished: works through half-close alone.
    ledger = net.createServer({ allowHalfOpen: true }, (socket) => {
      const hash = createHash("sha256");
      socket.on("data", (chunk) => hash.update(chunk)).on("error", () => {});
      socket.on("end", () => socket.end(hash.digest("hex")));
    });
    mesh = await openTestMesh({
      between,
      network: createSocketNetwork(),
      clock: systemClock,
      ordersApp: await listen(app),
      ledgerApp: await listen(ledger),
    });
    directory = await mkdtemp(join(tmpdir(), "cardea-pair-"));
  });

  afterAll(async () => {
    await mesh.close();
    sockets.close();
    app.close();
    ledger.close();
    await rm(directory, { recursive: true });
  });

  afterEach(() => {
    mesh.orders.policy.set(policySetOf([WEB_MAY]));
    mesh.web.flows.length = 0;
    mesh.orders.flows.length = 0;
  });

  describe("curl", () => {
    it("gets an answer in each of the forms that programs use", async () => {
      for (const args of [
        ["-x", urlOf(mesh.proxy), "http://orders/a?b"],
        ["-x", urlOf(mesh.proxy), "http://orders.shop.svc.cluster.local:80/a?b"],
        ["-H", "Host: orders.shop", `${urlOf(mesh.proxy)}/a?b`],
        [`${urlOf(mesh.toOrders)}/a?b`],
        ["-p", "-x", urlOf(mesh.proxy), "http://orders:80/a?b"],
        ["--http1.0", `${urlOf(mesh.toOrders)}/a?b`],
        // Offers h2c unasked.
        ["--http2", `${urlOf(mesh.toOrders)}/a?b`],
      ]) {
        expect(await curl(args)).toMatchObject({ code: 0, stdout: "GET /a?b\n" });
      }
      expect(mesh.web.flows.every((flow) => flow.verdict === "allowed" && flow.tls.group === "X25519MLKEM768")).toBe(
        true,
      );
      expect(mesh.orders.flows).toHaveLength(7);
    });

    it("sends a body with and without a length, asking for leave and not", async () => {
      const file = join(directory, "body");
      const body = randomBytes(3_000_000);
      await writeFile(file, body);
      const digest = createHash("sha256").update(body).digest("hex");
      for (const args of [
        [],
        ["-H", "Transfer-Encoding: chunked"],
        ["-H", "Expect:"],
        ["-H", "Transfer-Encoding: chunked", "-H", "Expect:"],
      ]) {
        const { stdout } = await curl([...args, "--data-binary", `@${file}`, `${urlOf(mesh.toOrders)}/hash`]);
        expect(stdout).toBe(`${digest}\n`);
      }
    });

    it("is denied with an id when it may not", async () => {
      mesh.orders.policy.set(policySetOf([]));
      const { stdout } = await curl(["-i", `${urlOf(mesh.toOrders)}/`]);
      const [flow] = mesh.orders.flows;
      expect(stdout).toContain("HTTP/1.1 403 Forbidden");
      expect(stdout).toContain(`x-cardea-denial: ${flow!.id}\r\n`);
      expect(flow).toMatchObject({ verdict: "denied", reason: "default-action", policy: "mesh/default" });
    });
  });

  describe("the inbound side, dialled around the caller's sidecar, refuses", () => {
    const stranger = createTestAuthority();

    it("curl in plaintext", async () => {
      expect(await curl([`${urlOf(mesh.ordersInbound)}/`])).toMatchObject({ stdout: "", code: 56 });
      expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "plaintext-refused" }]);
    });

    it("curl without a certificate", async () => {
      const { code, stdout } = await curl(["-k", `https://127.0.0.1:${mesh.ordersInbound.port}/`]);
      expect(code).not.toBe(0);
      expect(stdout).toBe("");
      expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "peer-certificate-missing" }]);
    });

    it("curl with another CA's certificate", async () => {
      const { code, stdout } = await curlAs(stranger.issue(shopId("web")), "stranger");
      expect(code).not.toBe(0);
      expect(stdout).toBe("");
      expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "peer-certificate-untrusted" }]);
    });

    it("curl with the right CA and a wrong identity, by a 403", async () => {
      const { stdout } = await curlAs(mesh.authority.issue(shopId("reports")), "reports");
      expect(stdout).toContain("HTTP/1.1 403 Forbidden");
      expect(mesh.orders.flows).toMatchObject([
        { verdict: "denied", reason: "no-allow-rule-matched", source: { principal: shopId("reports") } },
      ]);
    });

    it("and lets curl pass with the right one, which shows that the others failed for their reason", async () => {
      expect((await curlAs(mesh.authority.issue(shopId("web")), "web")).stdout).toContain("HTTP/1.1 200 OK");
    });

    it("curl over HTTP/2 in the same way, and lets it pass in the same way", async () => {
      const denied = await curlAs(mesh.authority.issue(shopId("reports")), "reports", "--http2");
      expect(denied.stdout).toMatch(/^HTTP\/2 403 [^]*x-cardea-denial: [0-9a-f]{16}/);
      const passed = await curlAs(mesh.authority.issue(shopId("web")), "web", "--http2");
      expect(passed.stdout).toMatch(/^HTTP\/2 200 [^]*GET \/\n$/);
      expect(mesh.orders.flows.map((flow) => flow.verdict)).toEqual(["denied", "allowed"]);
    });

    it.each([
      ["without a certificate", null, "peer-certificate-missing"],
      ["with another CA's certificate", stranger.issue(shopId("web")), "peer-certificate-untrusted"],
    ])("openssl s_client %s", async (_name, identity, reason) => {
      const { stdout } = await openssl(identity, mesh.ordersInbound, []);
      expect(stdout).not.toContain("HTTP/1.1");
      expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason }]);
    });

    it("openssl s_client with the right CA and a wrong identity, on the TCP port", async () => {
      const reports = mesh.authority.issue(shopId("reports"));
      const { stdout } = await openssl(reports, mesh.ledgerInbound, ["-alpn", "istio"]);
      expect(stdout).not.toMatch(/[0-9a-f]{64}\s*$/);
      expect(mesh.orders.flows).toMatchObject([
        { verdict: "denied", protocol: "tcp", reason: "no-allow-rule-matched" },
      ]);
    });

    it("openssl s_client with TLS 1.2", async () => {
      const web = mesh.authority.issue(shopId("web"));
      expect((await openssl(web, mesh.ordersInbound, ["-tls1_2"])).stdout).not.toContain("HTTP/1.1");
      expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "tls-handshake-failed" }]);
    });

    it("to resume a session: each caller proves who it is", async () => {
      const web = mesh.authority.issue(shopId("web"));
      const file = join(directory, "session");
      await openssl(web, mesh.ordersInbound, ["-sess_out", file]);
      const { stdout } = await openssl(web, mesh.ordersInbound, ["-sess_in", file]);
      // Were no session file written, openssl would fail here.
      expect(stdout).toContain("New, TLSv1.3");
      expect(stdout).toContain("HTTP/1.1 200 OK");
    });
  });

  describe("through a pair", () => {
    it("a WebSocket carries messages of all sizes", async () => {
      const socket = new WebSocket(`ws://127.0.0.1:${mesh.toOrders.port}/ws`);
      await once(socket, "open");
      for (const bytes of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
        const message = randomBytes(bytes);
        const echoed = new Promise<Buffer>((resolve) => socket.once("message", (data) => resolve(data as Buffer)));
        socket.send(message);
        expect((await echoed).equals(message)).toBe(true);
      }
      const closed = once(socket, "close");
      socket.close(1000);
      await closed;
      await expect.poll(() => mesh.orders.flows.length).toBe(1);
      expect(mesh.orders.flows).toMatchObject([{ verdict: "allowed", status: 101 }]);
    });

    it("a WebSocket ends within a turn when a new policy denies it", async () => {
      const socket = new WebSocket(`ws://127.0.0.1:${mesh.toOrders.port}/ws`);
      await once(socket, "open");
      const closed = once(socket, "close");
      socket.on("error", () => {});
      mesh.orders.policy.set(policySetOf([]));
      await closed;
      await expect.poll(() => mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "permission-lost" }]);
    });

    it.each(["a fixed port", "CONNECT"])("TCP by %s keeps half-close, and every byte", async (way) => {
      const body = randomBytes(5_000_000);
      const socket = way === "CONNECT" ? await connectThroughProxy() : net.connect(mesh.toLedger.port, "127.0.0.1");
      const answered = new Promise<string>((resolve) => {
        let text = "";
        socket.on("data", (chunk) => (text += chunk.toString()));
        socket.on("end", () => resolve(text));
      });
      socket.end(body);
      expect(await answered).toBe(createHash("sha256").update(body).digest("hex"));
      await expect.poll(() => mesh.orders.flows.length).toBe(1);
      expect(mesh.orders.flows).toMatchObject([
        { protocol: "tcp", verdict: "allowed", bytesReceived: 5_000_000, bytesSent: 64, destination: { port: 5432 } },
      ]);
    });

    it("many requests at once survive the rotation of both certificates", async () => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
      const results = Array.from({ length: 400 }, async (_value, i) => {
        if (i % 100 === 50) mesh.web.identity.set(mesh.authority.issue(shopId("web")));
        if (i % 100 === 99) mesh.orders.identity.set(mesh.authority.issue(shopId("orders")));
        return requestOnce(agent, i % 2 === 0 ? "GET" : "POST");
      });
      expect(new Set(await Promise.all(results))).toEqual(new Set([200]));
      agent.destroy();
    });

    it("all that is asked at once crosses on one connection with HTTP/2, and on one each without", async () => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
      await Promise.all(Array.from({ length: 100 }, () => requestOnce(agent, "GET")));
      agent.destroy();
      const ports = new Set(mesh.orders.flows.map((flow) => flow.source.port));
      if (between === "h2") expect(ports.size).toBe(1);
      else expect(ports.size).toBeGreaterThan(1);
    });
  });
});

function answer(request: http.IncomingMessage, response: http.ServerResponse): void {
  if (request.url !== "/hash") {
    request.resume();
    response.end(`${request.method} ${request.url}\n`);
    return;
  }
  const hash = createHash("sha256");
  request.on("data", (chunk: Buffer) => hash.update(chunk));
  request.on("end", () => response.end(`${hash.digest("hex")}\n`));
}

async function listen(server: net.Server): Promise<Address> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
}

function urlOf({ host, port }: Address): string {
  return `http://${host}:${port}`;
}

function curl(args: readonly string[]) {
  return runProgram("curl", ["-sS", "-m", "10", "--noproxy", "", ...args]);
}

async function curlAs(identity: Identity, name: string, version = "--http1.1") {
  const [cert, key] = await writeMaterial(identity, name);
  const url = `https://127.0.0.1:${mesh.ordersInbound.port}/`;
  return curl(["-i", "-k", version, "--cert", cert, "--key", key, url]);
}

async function openssl(identity: Identity | null, to: Address, args: readonly string[]) {
  const material = identity === null ? [] : await writeMaterial(identity, "openssl");
  const [cert, key] = material;
  const own = cert === undefined ? [] : ["-cert", cert, "-cert_chain", cert, "-key", key];
  const target = ["s_client", "-connect", `${to.host}:${to.port}`, "-ign_eof", ...own, ...args];
  return runProgram("openssl", target, "GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n");
}

async function writeMaterial(identity: Identity, name: string): Promise<[string, string]> {
  const cert = join(directory, `${name}.crt`);
  const key = join(directory, `${name}.key`);
  await writeFile(cert, identity.material.chainPem);
  await writeFile(key, identity.material.keyPem, { mode: 0o600 });
  return [cert, key];
}

function connectThroughProxy(): Promise<net.Socket> {
  const request = http.request({ ...mesh.proxy, method: "CONNECT", path: "ledger:5432" });
  return new Promise((resolve, reject) => {
    request.once("connect", (_response, socket) => resolve(socket));
    request.once("error", reject);
    request.end();
  });
}

function requestOnce(agent: http.Agent, method: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = http.request({ ...mesh.toOrders, agent, method, path: "/x" }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    });
    request.on("error", reject);
    request.end(method === "POST" ? randomBytes(20_000) : undefined);
  });
}

function once(socket: WebSocket, event: string): Promise<void> {
  return new Promise((resolve) => socket.once(event, () => resolve()));
}
