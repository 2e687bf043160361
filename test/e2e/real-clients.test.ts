import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import type { Address } from "../../src/core/ports.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { EMPTY_REGISTRY } from "../../src/proxy/discovery/registry-snapshot.ts";
import { type EchoServer, openEchoServer } from "../support/grpc-echo.ts";
import { eventually } from "../support/local-mesh.ts";
import { type ProgramResult, runProgram } from "../support/programs.ts";
import {
  openTestMesh,
  policy,
  policySetOf,
  type TestMesh,
  type TestMeshOptions,
  WEB_MAY,
} from "../support/test-mesh.ts";

// Programs of others through a pair of sidecars over real sockets and TLS. Each is skipped by name where it is not.

const NOBODY = { host: "127.0.0.1", port: 9 };
const PYTHON = process.env["CARDEA_TEST_PYTHON"] ?? "";
const CHROMIUM = process.env["CARDEA_TEST_CHROMIUM"] ?? "/usr/bin/chromium";

describe.skipIf(!has("nghttp"))("nghttp and h2load (skipped without nghttp)", () => {
  let mesh: TestMesh;
  let app: http.Server;

  beforeAll(async () => {
    app = http.createServer((request, response) => {
      request.resume().on("end", () => void response.end(`${request.method} ${request.url}\n`));
    });
    mesh = await open({ ordersApp: await listen(app), ledgerApp: NOBODY });
  });

  afterAll(async () => {
    await mesh.close();
    app.closeAllConnections();
    app.close();
  });

  it("nghttp is answered", async () => {
    const { code, stdout } = await runProgram("nghttp", [`http://127.0.0.1:${mesh.toOrders.port}/a?b`]);
    expect([code, stdout]).toEqual([0, "GET /a?b\n"]);
  });

  it("nghttp is denied by a 403 on its stream", async () => {
    mesh.orders.policy.set(policySetOf([]));
    const { stdout } = await runProgram("nghttp", ["-v", "--no-dep", `http://127.0.0.1:${mesh.toOrders.port}/`]);
    expect(stdout).toContain(":status: 403");
    expect(mesh.orders.flows.at(-1)).toMatchObject({ verdict: "denied" });
    mesh.orders.policy.set(policySetOf([WEB_MAY]));
  });

  it("h2load's requests over many streams all succeed, and each is recorded once on either side", async () => {
    mesh.web.flows.length = 0;
    mesh.orders.flows.length = 0;
    const url = `http://127.0.0.1:${mesh.toOrders.port}/load`;
    const { stdout } = await runProgram("h2load", ["-n", "1000", "-c", "4", "-m", "25", url]);
    expect(stdout).toContain("1000 succeeded, 0 failed, 0 errored, 0 timeout");
    expect([mesh.web.flows.length, mesh.orders.flows.length]).toEqual([1000, 1000]);
  });

  it("h2load's are all denied when they may not", async () => {
    mesh.orders.policy.set(policySetOf([]));
    const url = `http://127.0.0.1:${mesh.toOrders.port}/load`;
    const { stdout } = await runProgram("h2load", ["-n", "100", "-c", "2", "-m", "10", url]);
    expect(stdout).toContain("status codes: 0 2xx, 0 3xx, 100 4xx, 0 5xx");
  });
});

describe.skipIf(!curlSpeaksHttp2())("curl --http2-prior-knowledge (skipped where curl has no HTTP/2)", () => {
  let mesh: TestMesh;
  let app: http.Server;

  beforeAll(async () => {
    app = http.createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on("data", (piece: Buffer) => pieces.push(piece));
      request.on("end", () => {
        response.setHeader("x-host", request.headers.host ?? "");
        response.end(request.method === "POST" ? Buffer.concat(pieces) : `${request.method} ${request.url}\n`);
      });
    });
    mesh = await open({ ordersApp: await listen(app), ledgerApp: NOBODY });
  });

  afterAll(async () => {
    await mesh.close();
    app.closeAllConnections();
    app.close();
  });

  it("is answered over HTTP/2, and its app gets HTTP/1.1 with the authority as Host", async () => {
    const { code, stdout } = await ask("-i", "/a?b");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^HTTP\/2 200 \r\nx-host: 127\.0\.0\.1:\d+\r\n[^]*\r\n\r\nGET \/a\?b\n$/);
  });

  it("gets a large body back as it was sent", async () => {
    const body = Array.from({ length: 300_000 }, (_, i) => `${i} `).join("");
    const { code, stdout } = await ask("--data-binary", "@-", "/echo", body);
    expect(code).toBe(0);
    expect(stdout === body).toBe(true);
  });

  it("is denied by a 403 on its stream, with a body and without", async () => {
    mesh.orders.policy.set(policySetOf([]));
    for (const words of [["/"], ["--data-binary", "@-", "/echo", "x".repeat(1_000)]]) {
      const { code, stdout } = await askInTime("-i", ...words);
      expect([code, stdout.slice(0, 11)]).toEqual([0, "HTTP/2 403 "]);
      expect(mesh.orders.flows.at(-1)).toMatchObject({ verdict: "denied", status: 403 });
    }
    mesh.orders.policy.set(policySetOf([WEB_MAY]));
  });

  it("gets a 502 for what is not in the mesh", async () => {
    mesh.web.registry.set(EMPTY_REGISTRY);
    const { code, stdout } = await ask("-i", "/");
    expect([code, stdout.slice(0, 11)]).toEqual([0, "HTTP/2 502 "]);
    expect(mesh.web.flows.at(-1)).toMatchObject({ verdict: "error", reason: "no-route" });
    mesh.register();
  });

  /**
   * Asks again where the answer has overtaken the body: curl 7 takes the NO_ERROR behind it for a failure (92). A short body
   * is seldom too late; each time the record says what it says.
   */
  async function askInTime(...words: readonly string[]): Promise<ProgramResult> {
    let result = await ask(...words);
    for (let again = 0; again < 20 && result.code === 92; again++) {
      expect(mesh.orders.flows.at(-1)).toMatchObject({ verdict: "denied", status: 403 });
      result = await ask(...words);
    }
    return result;
  }

  /** Its words, paths for addresses, and behind `@-` what it reads. */
  function ask(...words: readonly string[]): Promise<ProgramResult> {
    const input = words.includes("@-") ? words.at(-1)! : "";
    const rest = input === "" ? words : words.slice(0, -1);
    const urls = rest.map((word) => (word.startsWith("/") ? `http://127.0.0.1:${mesh.toOrders.port}${word}` : word));
    return runProgram("curl", ["-sS", "--http2-prior-knowledge", ...urls], input);
  }
});

describe.skipIf(PYTHON === "")("grpcio (needs CARDEA_TEST_PYTHON, a python with it)", () => {
  let mesh: TestMesh;
  let app: EchoServer;

  beforeAll(async () => {
    app = await openEchoServer();
    mesh = await open({ ordersApp: app.address, ledgerApp: NOBODY, ordersProtocol: "GRPC" });
    const rules = [{ to: [{ operation: { methods: ["POST"], notPaths: ["/shop.Echo/forbidden"] } }] }];
    mesh.orders.policy.set(policySetOf([policy("not-forbidden", { action: "ALLOW", rules })]));
  });

  afterAll(async () => {
    await mesh.close();
    app.close();
  });

  it("makes calls of each kind, meets deadlines, failures, a denial, and calls off", async () => {
    const program = fileURLToPath(new URL("../support/grpc_caller.py", import.meta.url));
    const { stdout, stderr } = await runProgram(PYTHON, [program, `127.0.0.1:${mesh.toOrders.port}`]);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual({
      unary: "hello",
      collect: "abc",
      count: ["0", "1", "2"],
      talk: ["re: x", "re: y"],
      never: "DEADLINE_EXCEEDED",
      fail: "FAILED_PRECONDITION",
      forbidden: ["PERMISSION_DENIED", "RBAC: access denied"],
      cancelled: "CANCELLED",
    });
    expect(mesh.orders.flows.filter(({ verdict }) => verdict === "denied")).toHaveLength(1);
  });
});

describe.skipIf(!has("redis-server"))("redis-cli (skipped without redis-server)", () => {
  let mesh: TestMesh;
  let redis: ChildProcess;
  let directory: string;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "cardea-redis-"));
    const port = await freePort();
    redis = spawn("redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory]);
    await eventually(() => accepts(port));
    mesh = await open({ ordersApp: NOBODY, ledgerApp: { host: "127.0.0.1", port } });
  });

  afterAll(async () => {
    await mesh.close();
    redis.kill();
    await new Promise((resolve) => redis.once("exit", resolve));
    rmSync(directory, { recursive: true });
  });

  it("gets back what it has set, large values too", async () => {
    const value = "v".repeat(3_000_000);
    expect(await ask(["-x", "SET", "k"], value)).toBe("OK");
    expect((await ask(["GET", "k"])) === value).toBe(true);
  });

  it("gets nothing when it may not", async () => {
    mesh.orders.policy.set(policySetOf([]));
    const { stdout } = await runProgram("redis-cli", ["-p", String(mesh.toLedger.port), "PING"]);
    expect(stdout).not.toContain("PONG");
    expect(mesh.orders.flows.at(-1)).toMatchObject({ protocol: "tcp", verdict: "denied" });
  });

  async function ask(words: readonly string[], input = ""): Promise<string> {
    return (await runProgram("redis-cli", ["-p", String(mesh.toLedger.port), ...words], input)).stdout.trimEnd();
  }
});

describe.skipIf(!has(CHROMIUM))("a browser (skipped without chromium)", () => {
  let mesh: TestMesh;
  let app: http.Server;
  let sockets: WebSocketServer;

  const PAGE = `<!doctype html><title>x</title><p id=p>waiting</p><img src="/wait"><script>
    const socket = new WebSocket("ws://" + location.host + "/ws");
    socket.onopen = () => socket.send("hello");
    let heard = "";
    socket.onmessage = (event) => { heard = event.data; };
    socket.onclose = (event) => {
      document.getElementById("p").textContent = ["closed", event.code, event.reason, heard].join(" ");
      void fetch("/closed");
    };
  </script>`;

  beforeAll(async () => {
    // The picture holds the page's loading up until its socket is closed.
    let waiting: http.ServerResponse | null = null;
    app = http.createServer((request, response) => {
      if (request.url === "/wait") {
        waiting = response;
        return;
      }
      if (request.url === "/closed") waiting?.end();
      response.setHeader("content-type", "text/html");
      response.end(request.url === "/" ? PAGE : "");
    });
    sockets = new WebSocketServer({ server: app });
    sockets.on("connection", (socket) =>
      socket.on("message", (data: Buffer) => {
        socket.send(`re: ${data.toString()}`);
        socket.close(4321, "done");
      }),
    );
    mesh = await open({ ordersApp: await listen(app), ledgerApp: NOBODY });
  });

  afterAll(async () => {
    await mesh.close();
    sockets.close();
    app.closeAllConnections();
    app.close();
  });

  it("opens a WebSocket, is answered on it, and gets its close code", async () => {
    expect(await pageOf()).toContain("closed 4321 done re: hello");
    expect(mesh.orders.flows.some(({ path, status }) => path === "/ws" && status === 101)).toBe(true);
  });

  it("opens none when it may not, though it may have the page", async () => {
    const rules = [{ to: [{ operation: { notPaths: ["/ws"] } }] }];
    mesh.orders.policy.set(policySetOf([policy("page-only", { action: "ALLOW", rules })]));
    expect(await pageOf()).toContain("closed 1006");
    expect(mesh.orders.flows.some(({ path, verdict }) => path === "/ws" && verdict === "denied")).toBe(true);
  });

  /** What the page has become once its socket is closed. */
  async function pageOf(): Promise<string> {
    const profile = mkdtempSync(join(tmpdir(), "cardea-browser-"));
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"];
    const quiet = ["--disable-background-networking", "--disable-component-update", `--user-data-dir=${profile}`];
    const page = ["--dump-dom", `http://127.0.0.1:${mesh.toOrders.port}/`];
    const { stdout } = await runProgram(CHROMIUM, [...flags, ...quiet, ...page]);
    rmSync(profile, { recursive: true, force: true });
    return stdout;
  }
});

function open(options: Pick<TestMeshOptions, "ordersApp" | "ledgerApp" | "ordersProtocol">): Promise<TestMesh> {
  return openTestMesh({ network: createSocketNetwork(), clock: systemClock, ...options });
}

function curlSpeaksHttp2(): boolean {
  return String(spawnSync("curl", ["--version"]).stdout).includes("HTTP2");
}

function has(program: string): boolean {
  return spawnSync(program, ["--version"]).error === undefined;
}

async function listen(server: net.Server): Promise<Address> {
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  const { port } = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}
