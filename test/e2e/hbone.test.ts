import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { curl } from "../support/curl.ts";
import { allowPolicy, startCustomMesh } from "../support/custom-mesh.ts";
import { eventually, type TestMesh } from "../support/local-mesh.ts";
import { openTunnel } from "../support/tunnel.ts";

// TCP through two real sidecars, which goes by HBONE between them, and the port itself as those meet it who have no
// certificate. The way down is also in bulk.test.ts, with a gibibyte.

const PIECE_BYTES = 65_536;
const PIECES = 1_600;

let mesh: TestMesh;
let server: Server;
/** What the app does with its next connection. */
let serve: (socket: Socket) => void;

beforeAll(async () => {
  server = createServer({ allowHalfOpen: true }, (socket) => {
    // A test that resets is heard here, too.
    socket.on("error", () => socket.destroy());
    serve(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const services = `
services:
  - { name: client, namespace: test }
  - { name: stranger, namespace: test }
  - { name: echo, namespace: test, ports: [{ port: 7000, protocol: TCP }], app: { address: "127.0.0.1:${port}" } }
`;
  mesh = await startCustomMesh(services, allowPolicy("echo", "echo", "client"));
});
afterAll(async () => {
  await mesh.close();
  server.close();
});

test("100 MiB come back as they were sent, and the end after them", async () => {
  serve = (socket) => void socket.pipe(socket);
  const tunnel = await openTunnel(mesh.service("client").outbound, "echo:7000");
  const sent = createHash("sha256");
  const received = createHash("sha256");
  let bytes = 0;
  function* pieces(): Generator<Buffer> {
    for (let i = 0; i < PIECES; i++) {
      const piece = Buffer.alloc(PIECE_BYTES, i);
      piece.writeUInt32BE(i, 0);
      sent.update(piece);
      yield piece;
    }
  }
  // What comes back is read while the rest is still sent; the tunnel's writable end is closed, its readable one not.
  const [back] = await Promise.all([
    (async () => {
      for await (const piece of tunnel as AsyncIterable<Buffer>) {
        bytes += piece.length;
        received.update(piece);
      }
      return received.digest("hex");
    })(),
    pipeline(Readable.from(pieces(), { objectMode: false }), async function* send(source: AsyncIterable<Buffer>) {
      for await (const piece of source) {
        if (!tunnel.write(piece)) await once(tunnel, "drain");
        yield* [];
      }
      tunnel.end();
    }),
  ]);
  expect(bytes).toBe(PIECES * PIECE_BYTES);
  expect(back).toBe(sent.digest("hex"));
}, 60_000);

test("an answer may come after the caller has half-closed", async () => {
  serve = (socket) => {
    let asked = "";
    socket.on("data", (piece) => (asked += piece.toString("latin1"))).on("end", () => socket.end(`${asked}, late`));
  };
  const tunnel = await openTunnel(mesh.service("client").outbound, "echo:7000");
  tunnel.end("asked");
  let answer = "";
  for await (const piece of tunnel as AsyncIterable<Buffer>) answer += piece.toString("latin1");
  expect(answer).toBe("asked, late");
});

test("an app that resets in the middle is no end to the caller", async () => {
  serve = (socket) => {
    socket.write(Buffer.alloc(PIECE_BYTES));
    socket.once("data", () => socket.resetAndDestroy());
  };
  const tunnel = await openTunnel(mesh.service("client").outbound, "echo:7000");
  const outcome = new Promise<string>((resolve) => {
    tunnel.once("end", () => resolve("end")).once("error", (error: NodeJS.ErrnoException) => resolve(error.code!));
  });
  tunnel.once("data", () => tunnel.write("now")).resume();
  expect(await outcome).toBe("ECONNRESET");
});

test("a caller that policy does not name is refused, and the denial is recorded", async () => {
  serve = (socket) => socket.destroy();
  await expect(openTunnel(mesh.service("stranger").outbound, "echo:7000")).rejects.toThrow("502");
  const denial = await eventually(() => mesh.flows().find((flow) => flow.verdict === "denied"));
  expect(denial).toMatchObject({ reporter: "destination", source: { workload: "stranger" }, protocol: "tcp" });
});

test("curl without a certificate gets nothing from the HBONE port", async () => {
  const { host, port } = mesh.service("echo").hbone!;
  const answer = await curl("--http2", "-k", `https://${host}:${port}/`);
  expect(answer).toMatchObject({ status: 0 });
  expect(answer.exitCode).not.toBe(0);
  expect((await curl(`http://${host}:${port}/`)).exitCode).not.toBe(0);
});

test("openssl without a certificate may shake hands and is cut off before it can ask", async () => {
  const { host, port } = mesh.service("echo").hbone!;
  const said = await new Promise<string>((resolve) => {
    const child = execFile(
      "openssl",
      ["s_client", "-connect", `${host}:${port}`, "-alpn", "h2", "-quiet"],
      { timeout: 10_000 },
      (_error, stdout) => resolve(stdout),
    );
    child.stdin!.on("error", () => {});
    child.stdin!.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  });
  expect(said).not.toContain("echo");
  await eventually(() =>
    mesh.flows().some((flow) => flow.verdict === "denied" && flow.reason === "peer-certificate-missing"),
  );
});
