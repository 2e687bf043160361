import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { Address } from "../../../src/core/ports.ts";
import { callHttp, type HttpCall } from "../../../src/io/http-client.ts";

const servers: Server[] = [];
const sockets = new Set<Socket>();
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  for (const server of servers.splice(0)) await new Promise((resolve) => void server.close(resolve));
});

function listen(server: Server, host = "127.0.0.1"): Promise<Address> {
  servers.push(server);
  server.on("connection", (socket: Socket) => sockets.add(socket));
  return new Promise((resolve) => {
    server.listen(0, host, () => resolve({ host, port: (server.address() as { port: number }).port }));
  });
}

function listenHttp(answer: RequestListener, host?: string): Promise<Address> {
  return listen(createHttpServer(answer), host);
}

/** A server that answers a request by these octets, and leaves the connection open unless told. */
function listenRaw(octets: string, isClosing = false): Promise<Address> {
  return listen(
    createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => {
        socket.write(octets, "latin1");
        if (isClosing) socket.end();
      });
    }),
  );
}

const CALL = { path: "/status", timeoutMs: 5_000 };

describe("a call is answered", () => {
  test("with status, headers and body, having sent method, path, headers and body", async () => {
    const to = await listenHttp((request, response) => {
      const pieces: Buffer[] = [];
      request.on("data", (piece: Buffer) => pieces.push(piece));
      request.on("end", () => {
        const seen = [request.method, request.url, request.headers["x-a"], Buffer.concat(pieces).toString()];
        response.writeHead(201, { "x-b": "c" }).end(JSON.stringify(seen));
      });
    });
    const call = { method: "POST", path: "/a?b=c", headers: { "x-a": "1" }, body: "grüße", timeoutMs: 5_000 };
    const { status, headers, body } = await callHttp(to, call);
    expect({ status, b: headers["x-b"], seen: JSON.parse(body) }).toEqual({
      status: 201,
      b: "c",
      seen: ["POST", "/a?b=c", "1", "grüße"],
    });
  });

  test("on IPv6, too", async () => {
    const to = await listenHttp((_, response) => response.end("six"), "::1");
    expect((await callHttp(to, CALL)).body).toBe("six");
  });

  test.each([404, 503])("by %i, which is an answer and no error", async (status) => {
    const to = await listenHttp((_, response) => response.writeHead(status).end("no"));
    expect(await callHttp(to, CALL)).toMatchObject({ status, body: "no" });
  });

  test("by a redirect, which is not followed", async () => {
    let asked = 0;
    const to = await listenHttp((_, response) => {
      asked += 1;
      response.writeHead(302, { location: "/elsewhere" }).end();
    });
    expect((await callHttp(to, CALL)).status).toBe(302);
    expect(asked).toBe(1);
  });

  test("and leaves no connection behind", async () => {
    const server = createHttpServer((_, response) => response.end("ok"));
    const closed = new Promise((resolve) => {
      server.on("connection", (socket: Socket) => socket.once("close", resolve));
    });
    await callHttp(await listen(server), CALL);
    await closed;
  });
});

const HEAD = "HTTP/1.1 200 OK\r\n";

describe("a call fails as unreachable", () => {
  test("when nothing listens there", async () => {
    const to = await listenHttp(() => undefined);
    await new Promise((resolve) => void servers.pop()!.close(resolve));
    await expect(callHttp(to, CALL)).rejects.toMatchObject({
      code: "unreachable",
      message: `127.0.0.1:${to.port}/status does not answer: connect ECONNREFUSED 127.0.0.1:${to.port}`,
    });
  });

  test.each<[string, string, Partial<HttpCall>, RegExp]>([
    ["no answer comes", "", { timeoutMs: 50 }, /not within 50 ms$/],
    ["a head does not end", `${HEAD}x-a: b\r\n`, { timeoutMs: 50 }, /not within 50 ms$/],
    ["a body does not end", `${HEAD}content-length: 9\r\n\r\nabc`, { timeoutMs: 50 }, /not within 50 ms$/],
    ["an answer is longer than asked for", `${HEAD}content-length: 9\r\n\r\n123456789`, { answerBytesMax: 8 }, /size/i],
    ["a head is too long", `${HEAD}x-a: ${"a".repeat(20_000)}\r\n\r\n`, {}, /header/i],
    ["the answer is no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", {}, /HTTP/],
    ["a head has two lengths", `${HEAD}content-length: 1\r\ncontent-length: 2\r\n\r\nab`, {}, /content-length/i],
  ])("when %s", async (_, octets, options, why) => {
    const to = await listenRaw(octets);
    await expect(callHttp(to, { ...CALL, ...options })).rejects.toMatchObject({
      code: "unreachable",
      message: expect.stringMatching(why) as string,
    });
  });

  test.each([
    ["before any answer", ""],
    ["inside a body", `${HEAD}content-length: 9\r\n\r\nabc`],
    ["inside a chunk", `${HEAD}transfer-encoding: chunked\r\n\r\n9\r\nabc`],
  ])("when the connection ends %s", async (_, octets) => {
    await expect(callHttp(await listenRaw(octets, true), CALL)).rejects.toMatchObject({ code: "unreachable" });
  });

  test("when a path would begin a request of its own", async () => {
    const to = await listenHttp((_, response) => response.end("ok"));
    const call = { ...CALL, path: "/a HTTP/1.1\r\nhost: evil\r\n\r\nGET /b" };
    await expect(callHttp(to, call)).rejects.toMatchObject({ code: "unreachable" });
  });
});
