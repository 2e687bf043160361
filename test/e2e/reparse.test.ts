import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { runProgram } from "../support/programs.ts";
import { openTestMesh, type TestMesh } from "../support/test-mesh.ts";

// What goes through is read again by two parsers that are not ours (node:http and Go's net/http): each must see the
// requests that we recorded, with the same host, path and body, or none.

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly host: string;
  readonly body: string;
}

interface Backend {
  readonly port: number;
  /** What it took for requests, oldest first. */
  readonly seen: Seen[];
  close(): void;
}

/** A go program, to build the second backend with: on a new machine that compiles Go's library for a minute. */
const GO = process.env["CARDEA_TEST_GO"] ?? "";

const BACKENDS: readonly (readonly [string, () => Promise<Backend>])[] = [
  ["node:http", openNodeBackend],
  ...(GO === "" ? [] : [["Go's net/http", openGoBackend] as const]),
];

let mesh: TestMesh;
let backend: Backend;

const POST = "POST /p HTTP/1.1\r\nHost: orders\r\n";
const NEXT = "GET /next HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n";
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: orders\r\n\r\n";

const CASES: readonly (readonly [string, string, readonly (readonly [string, string])[]])[] = [
  ["a plain request", NEXT, [["/next", ""]]],
  [
    "a length",
    `${POST}Content-Length: 3\r\n\r\nabc${NEXT}`,
    [
      ["/p", "abc"],
      ["/next", ""],
    ],
  ],
  ["the same length twice in a list", `${POST}Content-Length: 3, 3\r\n\r\nabc${NEXT}`, []],
  [
    "chunks",
    `${POST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n${NEXT}`,
    [
      ["/p", "abc"],
      ["/next", ""],
    ],
  ],
  [
    "a chunk with a line end in a quoted extension",
    `${POST}Transfer-Encoding: chunked\r\n\r\n3;a="\r\n"\r\nabc\r\n0\r\n\r\n`,
    [],
  ],
  [
    "chunks with a quoted extension",
    `${POST}Transfer-Encoding: chunked\r\n\r\n3;a="b;c"\r\nabc\r\n0\r\n\r\n${NEXT}`,
    [
      ["/p", "abc"],
      ["/next", ""],
    ],
  ],
  [
    "trailers that would change the request",
    `${POST}Transfer-Encoding: chunked\r\n\r\n0\r\nHost: evil\r\nContent-Length: 9\r\n\r\n${NEXT}`,
    [
      ["/p", ""],
      ["/next", ""],
    ],
  ],
  [
    "a body that looks like a request",
    `${POST}Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}${NEXT}`,
    [
      ["/p", SMUGGLED],
      ["/next", ""],
    ],
  ],
  [
    "a chunk that looks like an end",
    `${POST}Transfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n${NEXT}`,
    [
      ["/p", "0\r\n\r\n"],
      ["/next", ""],
    ],
  ],
  ["CL.TE", `${POST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG${SMUGGLED}`, []],
  ["TE.CL", `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n${SMUGGLED}\r\n0\r\n\r\n`, []],
  [
    "TE with a tab",
    `${POST}Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n${NEXT}`,
    [
      ["/p", ""],
      ["/next", ""],
    ],
  ],
  ["TE with a vertical tab", `${POST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`, []],
  ["TE behind a folded line", `${POST}X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`, []],
  ["TE.TE", `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${SMUGGLED}`, []],
  ["TE with a quoted name", `${POST}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n${SMUGGLED}`, []],
  ["a nominated length", `${POST}Connection: content-length\r\nContent-Length: 3\r\n\r\nabc${NEXT}`, []],
  ["a nominated host", `GET /p HTTP/1.1\r\nConnection: host, close\r\nHost: orders\r\n\r\n`, []],
  [
    "GET with a body",
    `GET /p HTTP/1.1\r\nHost: orders\r\nContent-Length: 3\r\n\r\nabc${NEXT}`,
    [
      ["/p", "abc"],
      ["/next", ""],
    ],
  ],
  ["an empty line before", `\r\n${NEXT}`, [["/next", ""]]],
  ["two empty lines before", `\r\n\r\n${NEXT}`, []],
  [
    "absolute-form against Host",
    "GET http://orders/abs HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n",
    [["/abs", ""]],
  ],
  [
    "an authority with a path's end",
    "GET http://orders?q HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n",
    [["/?q", ""]],
  ],
  ["asterisk-form", "OPTIONS * HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n", [["*", ""]]],
  ["asterisk-form by GET", "GET * HTTP/1.1\r\nHost: orders\r\n\r\n", []],
  ["a method in lower case", "get / HTTP/1.1\r\nHost: orders\r\n\r\n", []],
  ["a field without a name", `GET / HTTP/1.1\r\nHost: orders\r\n: x\r\n\r\n${SMUGGLED}`, []],
  ["a line without a colon", `GET / HTTP/1.1\r\nHost: orders\r\nxyz\r\n\r\n${SMUGGLED}`, []],
  [
    "an upgrade to h2c with a body of frames",
    `GET /p HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`,
    [["/p", ""]],
  ],
  [
    "HTTP/1.0 and keep-alive",
    `GET /p HTTP/1.0\r\nHost: orders\r\nConnection: keep-alive\r\n\r\n${NEXT}`,
    [
      ["/p", ""],
      ["/next", ""],
    ],
  ],
  ["HTTP/1.0 without", `GET /p HTTP/1.0\r\nHost: orders\r\n\r\n${SMUGGLED}`, [["/p", ""]]],
  [
    "Connection: close and more",
    `GET /p HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n${SMUGGLED}`,
    [["/p", ""]],
  ],
  ["dot segments", "GET /a/../b//c/%2e/d HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n", [["/b//c/d", ""]]],
];

it.skipIf(GO === "")("Go's net/http is asked as well (needs CARDEA_TEST_GO, the path of a go program)", () => {
  expect(BACKENDS).toHaveLength(2);
});

describe.each(BACKENDS)("%s sees behind the pair what we took for requests", (_parser, open) => {
  // Go compiles the backend first.
  beforeAll(async () => {
    backend = await open();
    mesh = await openTestMesh({
      network: createSocketNetwork(),
      clock: systemClock,
      ordersApp: { host: "127.0.0.1", port: backend.port },
      ledgerApp: { host: "127.0.0.1", port: 1 },
    });
  }, 120_000);

  afterAll(async () => {
    await mesh.close();
    backend.close();
  });

  it.each(CASES)("%s", async (_name, text, expected) => {
    backend.seen.length = 0;
    mesh.orders.flows.length = 0;
    await sendRaw(text);
    const passed = mesh.orders.flows.filter((flow) => flow.verdict === "allowed");
    await expect.poll(() => backend.seen.length).toBe(passed.length);
    expect(backend.seen.map(({ url, body }) => [url, body])).toEqual(expected);
    expect(passed.map((flow) => [flow.method, flow.path, flow.host])).toEqual(
      backend.seen.map(({ method, url, host }) => [method, url.split("?")[0], host]),
    );
  });

  it.each(CASES)("%s, an octet at a time", async (_name, text, expected) => {
    backend.seen.length = 0;
    mesh.orders.flows.length = 0;
    await sendRaw(text, 1);
    const passed = mesh.orders.flows.filter((flow) => flow.verdict === "allowed");
    await expect.poll(() => backend.seen.length).toBe(passed.length);
    expect(backend.seen.map(({ url, body }) => [url, body])).toEqual(expected);
  });
});

async function openNodeBackend(): Promise<Backend> {
  const seen: Seen[] = [];
  const app = http.createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString("latin1")));
    request.on("end", () => {
      seen.push({ method: request.method!, url: request.url!, host: request.headers.host ?? "", body });
      response.end("ok");
    });
  });
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  return { port: (app.address() as AddressInfo).port, seen, close: () => app.close() };
}

async function openGoBackend(): Promise<Backend> {
  const directory = await mkdtemp(join(tmpdir(), "cardea-go-"));
  const program = join(directory, "backend");
  const source = fileURLToPath(new URL("../support/go-backend/main.go", import.meta.url));
  const build = await runProgram(GO, ["build", "-o", program, source]);
  if (build.code !== 0) throw new Error(`go build: ${build.stderr}`);
  const child = spawn(program, { stdio: ["ignore", "pipe", "inherit"] });
  const seen: Seen[] = [];
  const port = await new Promise<number>((resolve) => {
    createInterface(child.stdout).on("line", (line) => {
      if (line.startsWith("{")) seen.push(JSON.parse(line) as Seen);
      else resolve(Number(line));
    });
  });
  const close = (): void => {
    child.kill();
    rmSync(directory, { recursive: true });
  };
  return { port, seen, close };
}

/** Sends the text and half-closes; resolves when the proxy has closed its side. */
function sendRaw(text: string, pieceBytes = text.length): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect(mesh.toOrders.port, "127.0.0.1");
    socket.setNoDelay(true);
    socket.on("error", () => resolve()).on("close", () => resolve());
    socket.resume();
    const bytes = Buffer.from(text, "latin1");
    let at = 0;
    const sendPiece = (): void => {
      if (at >= bytes.length) {
        socket.end();
        return;
      }
      socket.write(bytes.subarray(at, (at += pieceBytes)), () => setImmediate(sendPiece));
    };
    socket.once("connect", sendPiece);
  });
}
