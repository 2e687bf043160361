import { Agent, request, type RequestOptions } from "node:https";
import { connect } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { holdServerCertificate } from "../../../src/control/ca/server-certificate.ts";
import { openAuthority } from "../../../src/control/ca/authority.ts";
import type { Listening } from "../../../src/core/ports.ts";
import { parseTrustDomain } from "../../../src/core/spiffe-id.ts";
import { systemClock } from "../../../src/io/clock.ts";
import { type HttpsServerOptions, openHttpsServer, type PostRoute } from "../../../src/io/https-server.ts";
import { createSystemRandom } from "../../../src/io/random.ts";
import { createKeptLog } from "../../support/kept-log.ts";
import { createMemoryStateFiles } from "../../support/memory-state-files.ts";

const NAME = "cardea-control.cardea-system.svc";
const random = createSystemRandom();
const common = { clock: systemClock, random, logger: createKeptLog() };
const trustDomain = parseTrustDomain("cluster.local");
const authority = await openAuthority({ ...common, files: createMemoryStateFiles(), trustDomain });
const certificate = await holdServerCertificate({ ...common, authority, dnsNames: [NAME] });
certificate.close();

const opened: { close(): Promise<void> | void }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close();
});

const ECHO: PostRoute = {
  path: "/echo",
  answer: async (body) => ({ status: 200, contentType: "application/json", body: String(body.length) }),
};

async function open(options: Partial<HttpsServerOptions> = {}): Promise<Listening> {
  const listening = await openHttpsServer({
    listen: { host: "127.0.0.1", port: 0 },
    material: certificate.material,
    routes: [ECHO, { path: "/broken", answer: () => Promise.reject(new Error("secret text of a fault")) }],
    bodyBytesMax: 1_000,
    heldBytesMax: 10_000,
    waitMsMax: 10_000,
    clock: systemClock,
    ...options,
  });
  opened.push(listening);
  return listening;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function post(to: Listening, path: string, body: Buffer | string, more: RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        ...to.address,
        path,
        method: "POST",
        servername: NAME,
        ca: authority.bundle.pem,
        ...more,
        headers: { "content-type": "application/json", ...(more.headers as object) },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.once("end", () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode!, headers: response.headers, body: text });
        });
        response.once("error", reject);
      },
    );
    call.once("error", reject);
    call.end(body);
  });
}

describe("an HTTPS server", () => {
  test("answers under its name, to whoever trusts the root; the API server's query is no part of the path", async () => {
    expect(await post(await open(), "/echo?timeout=10s", "12345")).toMatchObject({ status: 200, body: "5" });
  });

  test("takes a body in chunks", async () => {
    const headers = { "transfer-encoding": "chunked" };
    expect(await post(await open(), "/echo", "12345", { headers })).toMatchObject({ status: 200, body: "5" });
  });

  test("takes a body of just the size", async () => {
    expect(await post(await open(), "/echo", Buffer.alloc(1_000))).toMatchObject({ status: 200, body: "1000" });
  });

  test("answers 2,000 at once on 50 connections, holding no more than it may", async () => {
    let held = 0;
    let heldMax = 0;
    const route: PostRoute = {
      path: "/slow",
      async answer(body) {
        held += body.length;
        heldMax = Math.max(heldMax, held);
        await new Promise((resolve) => setImmediate(resolve));
        held -= body.length;
        return { status: 200, contentType: "application/json", body: "{}" };
      },
    };
    const listening = await open({ routes: [route] });
    const agent = new Agent({ keepAlive: true, maxSockets: 50 });
    opened.push({ close: () => agent.destroy() });
    const calls = Array.from({ length: 2_000 }, () => post(listening, "/slow", Buffer.alloc(1_000), { agent }));
    const statuses = new Set((await Promise.all(calls)).map(({ status }) => status));
    expect([...statuses]).toEqual([200]);
    expect(heldMax).toBeGreaterThan(1_000);
    expect(heldMax).toBeLessThanOrEqual(10_000);
  });
});

describe("an HTTPS server refuses", () => {
  test.each<[string, string, RequestOptions, string, number]>([
    ["a path of none", "/", {}, "", 404],
    ["a path that is almost one", "/echo/", {}, "", 404],
    ["GET", "/echo", { method: "GET" }, "", 405],
    ["PUT", "/echo", { method: "PUT" }, "{}", 405],
    ["a body of no type", "/echo", { headers: { "content-type": "" } }, "{}", 415],
    ["YAML", "/echo", { headers: { "content-type": "application/yaml" } }, "{}", 415],
    ["protobuf", "/echo", { headers: { "content-type": "application/vnd.kubernetes.protobuf" } }, "{}", 415],
    ["gzip, which could unfold to anything", "/echo", { headers: { "content-encoding": "gzip" } }, "{}", 415],
    ["a body that says it is too large", "/echo", {}, "x".repeat(1_001), 413],
    ["a head that is too large", "/echo", { headers: { "x-pad": "x".repeat(20_000) } }, "{}", 431],
  ])("%s", async (_name, path, more, body, status) => {
    expect(await post(await open(), path, body, more)).toMatchObject({ status });
  });

  test("a body in chunks that turns out too large", async () => {
    const headers = { "transfer-encoding": "chunked" };
    expect(await post(await open(), "/echo", "x".repeat(1_001), { headers })).toMatchObject({ status: 413 });
  });

  test("with 500 when a route fails, and keeps the reason to itself", async () => {
    const { status, body } = await post(await open(), "/broken", "{}");
    expect([status, body]).toEqual([500, "internal error\n"]);
  });

  test("with 503 who has waited too long, while the one before goes on", async () => {
    const gate = Promise.withResolvers<void>();
    const entered = Promise.withResolvers<void>();
    const route: PostRoute = {
      path: "/slow",
      async answer() {
        entered.resolve();
        await gate.promise;
        return { status: 200, contentType: "application/json", body: "{}" };
      },
    };
    const listening = await open({ routes: [route], heldBytesMax: 10, waitMsMax: 1 });
    const first = post(listening, "/slow", "0123456789");
    await entered.promise;
    expect(await post(listening, "/slow", "0123456789")).toMatchObject({
      status: 503,
      headers: { "retry-after": "1" },
    });
    gate.resolve();
    expect(await first).toMatchObject({ status: 200 });
  });

  test("TLS below 1.3", async () => {
    const { address } = await open();
    const socket = connect({ ...address, maxVersion: "TLSv1.2", rejectUnauthorized: false });
    const error = await new Promise<Error>((resolve, reject) => {
      socket.once("error", resolve);
      socket.once("secureConnect", () => reject(new Error("connected")));
    });
    expect(error.message).toMatch(/protocol version/);
  });

  test.each([
    ["another name", { servername: "kubernetes.default.svc" }],
    ["without our root", { ca: [] }],
  ])("nothing, but is refused itself, by a caller of %s", async (_name, more) => {
    await expect(post(await open(), "/echo", "{}", more)).rejects.toThrow(/certificate|altnames/i);
  });

  test("a port that is taken is told", async () => {
    const { address } = await open();
    await expect(open({ listen: address })).rejects.toMatchObject({ code: "unreachable" });
  });
});
