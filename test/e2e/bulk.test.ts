import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  type ClientRequest,
  createServer as createHttpServer,
  request as httpRequest,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerResponse,
} from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server, type Http2Server } from "node:http2";
import { createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { allowPolicy, startCustomMesh } from "../support/custom-mesh.ts";
import type { TestMesh } from "../support/local-mesh.ts";
import { residentMiB } from "../support/processes.ts";
import { openTunnel } from "../support/tunnel.ts";

// A gibibyte through two sidecars, up by HTTP and down by TCP: it arrives as it was sent, and nobody holds it in memory.

const MEBIBYTES = 1_024;
const BYTES = MEBIBYTES * 1024 ** 2;
const PIECE_BYTES = 256 * 1024;
const SAMPLE_MS = 100;
/** Garbage comes and goes. */
const SAWTOOTH_MIB = 32;
/** A sidecar with its buffers and a busy heap; less than what has passed through it. */
const RESIDENT_MIB_MAX = 256;

let mesh: TestMesh;
let http: HttpServer;
let http2: Http2Server;
let tcp: TcpServer;

/** What the TCP server has sent down. */
let sentDown: Promise<string>;

beforeAll(async () => {
  http = createHttpServer(tellDigest).listen(0, "127.0.0.1");
  http2 = createHttp2Server((request, response) => {
    void digestOf(request).then((digest) => response.end(JSON.stringify(digest)));
  }).listen(0, "127.0.0.1");
  tcp = createTcpServer((socket) => {
    sentDown = sendAll(socket);
  }).listen(0, "127.0.0.1");
  const services = `
services:
  - { name: client, namespace: test }
  - { name: sink, namespace: test, ports: [{ port: 8080 }], app: { address: "127.0.0.1:${await portOf(http)}" } }
  - { name: sink2, namespace: test, ports: [{ port: 8080, protocol: HTTP2 }], app: { address: "127.0.0.1:${await portOf(http2)}" } }
  - { name: source, namespace: test, ports: [{ port: 7000, protocol: TCP }], app: { address: "127.0.0.1:${await portOf(tcp)}" } }
`;
  const policies = ["sink", "sink2", "source"].map((name) => allowPolicy(name, name, "client")).join("---\n");
  mesh = await startCustomMesh(services, policies);
});
afterAll(async () => {
  await mesh.close();
  http.close();
  http2.close();
  tcp.close();
});

test("a long body of chunked HTTP arrives as it was sent, with the sidecars' memory flat", async () => {
  const memory = watchMemory(["client", "sink"]);
  const { host, port } = mesh.service("client").outbound;
  const request = httpRequest({
    host,
    port,
    method: "POST",
    path: "http://sink:8080/",
    headers: { host: "sink:8080" },
  });
  const [sent, answer] = await Promise.all([sendAll(request), answerTo(request)]);
  expect(JSON.parse(answer)).toEqual({ coding: "chunked", bytes: BYTES, hash: sent });
  expectFlat("HTTP", memory.stop());
}, 120_000);

test.skipIf(process.env["CARDEA_TEST_LONG"] === undefined)(
  "a long body over HTTP/2 on both outer sides arrives as it was sent, with the sidecars' memory flat (needs CARDEA_TEST_LONG)",
  async () => {
    const memory = watchMemory(["client", "sink2"]);
    const { host, port } = mesh.service("client").outbound;
    const session = connectHttp2(`http://${host}:${port}`);
    const stream = session.request({ ":method": "POST", ":path": "/", ":authority": "sink2:8080" });
    const [sent, answer] = await Promise.all([sendAll(stream), textOf(stream)]);
    expect(JSON.parse(answer)).toEqual({ bytes: BYTES, hash: sent });
    session.close();
    expectFlat("HTTP/2", memory.stop());
  },
  240_000,
);

test("a long stream of TCP arrives as it was sent, with the sidecars' memory flat", async () => {
  const memory = watchMemory(["client", "source"]);
  // Twice: one takes four seconds, which is one tooth of the garbage collector's saw.
  for (let time = 0; time < 2; time += 1) {
    const tunnel = await openTunnel(mesh.service("client").outbound, "source:7000");
    expect(await digestOf(tunnel)).toEqual({ bytes: BYTES, hash: await sentDown });
  }
  expectFlat("TCP", memory.stop());
}, 120_000);

/** The server's side: reads to the end and says what it got. */
function tellDigest(incoming: IncomingMessage, outgoing: ServerResponse): void {
  void digestOf(incoming).then((digest) => {
    outgoing.end(JSON.stringify({ coding: incoming.headers["transfer-encoding"], ...digest }));
  });
}

async function portOf(server: HttpServer | Http2Server | TcpServer): Promise<number> {
  if (!server.listening) await new Promise((resolve) => void server.once("listening", resolve));
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** No two pieces alike, so that a lost, doubled or swapped one shows. Resolves with the hash of what was sent. */
async function sendAll(into: Writable): Promise<string> {
  const hash = createHash("sha256");
  function* pieces(): Generator<Buffer> {
    for (let sent = 0; sent < BYTES; sent += PIECE_BYTES) {
      const piece = Buffer.alloc(PIECE_BYTES, sent / PIECE_BYTES);
      piece.writeUInt32BE(sent / PIECE_BYTES, 0);
      hash.update(piece);
      yield piece;
    }
  }
  await pipeline(Readable.from(pieces(), { objectMode: false, highWaterMark: PIECE_BYTES }), into);
  return hash.digest("hex");
}

interface Digest {
  readonly bytes: number;
  readonly hash: string;
}

async function answerTo(request: ClientRequest): Promise<string> {
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return textOf(response);
}

async function textOf(from: Readable): Promise<string> {
  let text = "";
  for await (const piece of from) text += String(piece);
  return text;
}

async function digestOf(from: Readable): Promise<Digest> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const piece of from as AsyncIterable<Buffer>) {
    hash.update(piece);
    bytes += piece.length;
  }
  return { bytes, hash: hash.digest("hex") };
}

/** What was seen of a sidecar's resident memory, MiB, in order. */
type Samples = number[];

/** Samples the sidecars' resident memory until stopped. */
function watchMemory(names: readonly string[]): { stop(): ReadonlyMap<string, Samples> } {
  const seen = new Map<string, Samples>(names.map((name) => [name, []]));
  const pids = new Map(names.map((name) => [name, mesh.service(name).sidecar!.pid]));
  const timer = setInterval(() => {
    for (const [name, samples] of seen) samples.push(residentMiB(pids.get(name)!));
  }, SAMPLE_MS);
  return {
    stop() {
      clearInterval(timer);
      return seen;
    },
  };
}

/** Flat: the second half of the way asks for no more memory than the first. The middle of each, since peaks are chance. */
function expectFlat(what: string, memory: ReadonlyMap<string, Samples>): void {
  for (const [name, samples] of memory) {
    const half = Math.floor(samples.length / 2);
    const first = middle(samples.slice(0, half));
    const second = middle(samples.slice(half));
    const most = Math.max(...samples);
    const told = `${samples[0]!.toFixed(0)} MiB at first, ${first.toFixed(0)} and then ${second.toFixed(0)}, at most ${most.toFixed(0)}`;
    process.stdout.write(`${MEBIBYTES} MiB of ${what} through ${name}'s sidecar: ${told}\n`);
    expect(second - first).toBeLessThan(SAWTOOTH_MIB);
    expect(most).toBeLessThan(RESIDENT_MIB_MAX);
  }
}

function middle(samples: Samples): number {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN;
}
