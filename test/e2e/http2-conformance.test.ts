import { spawnSync } from "node:child_process";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { NO_TLS } from "../../src/observe/flow.ts";
import { Http2ClientConnection } from "../../src/proxy/http2/client-connection.ts";
import { UNLIMITED } from "../../src/proxy/lifetime.ts";
import { LiveConnections } from "../../src/proxy/live.ts";
import { AnswerLog } from "../support/answer-log.ts";
import { runProgram } from "../support/programs.ts";
import { type EchoServer, openEchoServer } from "../support/http2-echo-server.ts";

// Others' ideas of HTTP/2: a conformance suite (its path in H2SPEC), curl's and Node's nghttp2. Ours have unit tests.

let server: EchoServer;

beforeAll(async () => {
  server = await openEchoServer();
});

afterAll(async () => {
  await server.close();
  server.live.drain();
  await server.live.whenEmpty();
});

const origin = (): string => `http://127.0.0.1:${server.address.port}`;

const h2spec = process.env["H2SPEC"];

describe.skipIf(h2spec === undefined)("h2spec (skipped where H2SPEC does not name the program)", () => {
  test.each([
    ["as clients may be", []],
    ["as strictly as it can", ["--strict"]],
  ])("finds no failure, %s", async (_, flags) => {
    const port = String(server.address.port);
    const result = await runProgram(h2spec!, [...flags, "-h", "127.0.0.1", "-p", port, "-o", "5"]);
    expect(result.stdout).toMatch(/\d{3} tests, (\d{3}) passed, 0 skipped, 0 failed/);
    expect(result.code).toBe(0);
  });
});

const hasCurl = spawnSync("curl", ["--version"]).stdout?.includes("HTTP2") ?? false;

describe.skipIf(!hasCurl)("curl (skipped where it has no HTTP/2)", () => {
  test("is answered", async () => {
    const result = await curl("-i", `${origin()}/hello`);
    expect(result.stdout).toMatch(/^HTTP\/2 200 \r\n/);
    expect(result.stdout).toMatch(/GET \/hello\n$/);
  });

  test("gets back what it sends, with leave to send it", async () => {
    const body = "abc".repeat(100_000);
    const result = await runProgram(
      "curl",
      ["-sS", "--http2-prior-knowledge", "-H", "expect: 100-continue", "--data-binary", "@-", `${origin()}/`],
      body,
    );
    expect(result.stdout === body).toBe(true);
  });

  test("is told that a request of its is malformed", async () => {
    const result = await curl("-H", "content_length: 5", `${origin()}/`);
    expect(result.code).toBe(92);
    expect(result.stderr).toContain("PROTOCOL_ERROR");
  });
});

describe("Node's client", () => {
  test("is reset for what is malformed, and goes on", async () => {
    const session = open();
    await expect(
      exchange(session, { ":method": "POST", ":path": "/", "content-length": 5 }, [Buffer.from("abc")]),
    ).rejects.toThrowError();
    const answer = await exchange(session, { ":path": "/after" });
    expect(answer.body.toString()).toBe("GET /after\n");
    session.close();
  });

  test("sends us every octet that a field may have, Huffman-coded where that is shorter", async () => {
    const session = open();
    const value = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i)).join("");
    for (let round = 0; round < 3; round++) {
      await exchange(session, { ":path": "/", "x-all": value, cookie: ["a=b", "c=d"], "x-many": "0".repeat(500) });
      const { headers } = server.handler.heads.at(-1)!;
      expect(headers[headers.indexOf("x-all") + 1]).toBe(value);
      expect(headers[headers.indexOf("cookie") + 1]).toBe("a=b; c=d");
      expect(headers[headers.indexOf("x-many") + 1]).toBe("0".repeat(500));
    }
    session.close();
  });

  test("carries many bodies at once, with their trailers", async () => {
    const session = open();
    const answers = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const pieces = Array.from({ length: 5 }, (__, n) => Buffer.alloc(i * 1_000 + 1, i + n));
        const answer = await exchange(session, { ":method": "POST", ":path": "/" }, pieces, { "x-sum": `${i}` });
        return answer.trailers["x-sum"] === `${i}` && answer.body.equals(Buffer.concat(pieces));
      }),
    );
    expect(answers).toEqual(answers.map(() => true));
    session.close();
  });

  test("opens tunnels by extended CONNECT once we have said that it may", async () => {
    const session = open();
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    expect(session.remoteSettings.enableConnectProtocol).toBe(true);
    const stream = session.request({
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":path": "/chat",
      ":scheme": "http",
    });
    stream.write("hello");
    const chunk = await new Promise<Buffer | string>((resolve) => stream.once("data", resolve));
    expect(chunk.toString()).toBe("hello");
    stream.end();
    stream.resume();
    await new Promise((resolve) => stream.once("close", resolve));
    expect(stream.rstCode).toBe(0);
    session.close();
  });
});

describe("our client to Node's server", () => {
  test("is answered, many requests at once, through all the header tables' changes", async () => {
    const node = http2.createServer({ settings: { headerTableSize: 256, initialWindowSize: 20_000 } });
    node.on("stream", (stream: http2.ServerHttp2Stream, headers) => {
      const index = headers["x-index"];
      stream.respond({ ":status": 200, "x-index": index, "x-agent": headers["user-agent"] }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": index }));
      stream.pipe(stream);
    });
    await new Promise<void>((resolve) => node.listen(0, "127.0.0.1", resolve));
    const { port } = node.address() as AddressInfo;
    const live = new LiveConnections(systemClock);
    const connection = await createSocketNetwork().dial({ host: "127.0.0.1", port }, { timeoutMs: 5_000 });
    const owner = { onFree() {}, onKnown() {}, onGone() {} };
    const options = { owner, live, lifetime: UNLIMITED, tls: NO_TLS, clock: systemClock, probesPeer: true };
    const client = new Http2ClientConnection(connection, options);
    for (let round = 0; round < 3; round++) {
      const logs = Array.from({ length: 30 }, (_, i) => send(client, i));
      const answers = await Promise.all(logs);
      for (const [i, log] of answers.entries()) {
        expect(log.body.equals(Buffer.alloc(i * 2_000, i))).toBe(true);
        expect(log.trailers).toEqual(["x-sum", `${i}`]);
        expect(log.head!.headers).toContain(`${i}`);
      }
    }
    live.drain();
    await live.whenEmpty();
    await new Promise((resolve) => node.close(resolve));
  });
});

function curl(...args: string[]): ReturnType<typeof runProgram> {
  return runProgram("curl", ["-sS", "--max-time", "20", "--http2-prior-knowledge", ...args]);
}

function open(): http2.ClientHttp2Session {
  return http2.connect(origin());
}

/** One request to its end, its body sent piece by piece. */
function exchange(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  pieces: readonly Buffer[] = [],
  trailers?: http2.OutgoingHttpHeaders,
): Promise<{ headers: http2.IncomingHttpHeaders; trailers: http2.IncomingHttpHeaders; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, {
      waitForTrailers: trailers !== undefined,
      endStream: pieces.length === 0,
    });
    const received: Buffer[] = [];
    let answer: http2.IncomingHttpHeaders = {};
    let last: http2.IncomingHttpHeaders = {};
    stream.on("wantTrailers", () => stream.sendTrailers(trailers!));
    stream.on("response", (fields) => (answer = fields));
    stream.on("trailers", (fields) => (last = fields));
    stream.on("data", (chunk: Buffer) => received.push(chunk));
    stream.on("end", () => resolve({ headers: answer, trailers: last, body: Buffer.concat(received) }));
    stream.on("error", reject);
    for (const piece of pieces) stream.write(piece);
    if (pieces.length > 0) stream.end();
  });
}

function send(client: Http2ClientConnection, index: number): Promise<AnswerLog> {
  return new Promise((resolve, reject) => {
    const log = new AnswerLog();
    log.onAnswerEnd = (trailers) => {
      log.trailers = trailers;
      resolve(log);
    };
    log.onUpstreamFailure = reject;
    const headers = ["host", "orders", "x-index", `${index}`, "user-agent", "a".repeat(index * 3)];
    const stream = client.send(
      { method: "POST", target: "/", headers, framing: { kind: "chunked" }, upgrade: null, takesTrailers: false },
      log,
    );
    if (index > 0) stream.sendBody(Buffer.alloc(index * 2_000, index));
    stream.sendEnd([]);
  });
}
