import { spawnSync } from "node:child_process";
import { request } from "node:http";
import { createServer, connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { Listening } from "../../../src/core/ports.ts";
import { type AdminRoute, type HttpAdminOptions, openHttpAdmin } from "../../../src/io/http-admin.ts";

const opened: Listening[] = [];
afterEach(async () => {
  for (const listening of opened.splice(0)) await listening.close();
});

describe("an admin port", () => {
  const routes: AdminRoute[] = [
    { path: "/status", answer: () => ({ status: 200, contentType: "application/json", body: '{"ok":true}' }) },
    { path: "/drain", method: "POST", answer: () => ({ status: 202, contentType: "text/plain", body: "draining\n" }) },
    {
      path: "/pieces",
      answer: () => ({ status: 200, contentType: "text/plain", body: pieces(["one ", "two ", "three"]) }),
    },
    { path: "/echo", answer: (query) => ({ status: 200, contentType: "text/plain", body: query.get("q") ?? "none" }) },
    { path: "/broken", answer: () => Promise.reject(new Error("secret text of a fault")) },
    { path: "/half", answer: () => ({ status: 200, contentType: "text/plain", body: brokenPieces() }) },
  ];

  test.each([
    ["a page by address", "GET", "/status", {}, 200, '{"ok":true}'],
    ["a page by localhost", "GET", "/status", { host: "localhost:15000" }, 200, '{"ok":true}'],
    ["a page by ::1", "GET", "/status", { host: "[::1]:15000" }, 200, '{"ok":true}'],
    ["HEAD, without the body", "HEAD", "/status", {}, 200, ""],
    ["a query", "GET", "/echo?q=a%20b", {}, 200, "a b"],
    ["in pieces", "GET", "/pieces", {}, 200, "one two three"],
    ["POST where a route says so", "POST", "/drain", {}, 202, "draining\n"],
  ])("answers %s", async (_name, method, path, headers, status, body) => {
    const port = await open({ hosts: "loopback", routes });
    expect(await ask(port, method, path, headers)).toMatchObject({ status, body });
  });

  test.each([
    ["a name that DNS could rebind to us", "GET", "/status", { host: "evil.example" }, 403],
    ["a name that begins like loopback", "GET", "/status", { host: "127.0.0.1.evil.example" }, 403],
    ["a name that ends like localhost", "GET", "/status", { host: "evil.localhost" }, 403],
    ["another address of this machine", "GET", "/status", { host: "10.0.0.1" }, 403],
    ["a name behind a user part", "GET", "/status", { host: "localhost@evil.example" }, 403],
    ["an unknown page", "GET", "/", {}, 404],
    ["an unknown page below a known one", "GET", "/status/x", {}, 404],
    ["POST where it was not said", "POST", "/status", {}, 405],
    ["DELETE", "DELETE", "/status", {}, 405],
    ["GET where POST was said", "GET", "/drain", {}, 405],
    ["POST from a web page", "POST", "/drain", { origin: "http://localhost:8080" }, 403],
    ["an announced body", "GET", "/status", { "content-length": "5" }, 413],
    ["absolute form", "GET", "http://evil.example/status", {}, 400],
  ])("refuses %s", async (_name, method, path, headers, status) => {
    const port = await open({ hosts: "loopback", routes });
    expect((await ask(port, method, path, headers)).status).toBe(status);
  });

  test("tells nothing of a route's fault", async () => {
    const answer = await ask(await open({ hosts: "loopback", routes }), "GET", "/broken", {});
    expect(answer).toMatchObject({ status: 500, body: "internal error\n" });
  });

  test("cuts an answer that fails half way, so that it does not look whole", async () => {
    await expect(ask(await open({ hosts: "loopback", routes }), "GET", "/half", {})).rejects.toThrow();
  });

  test("refuses a head that is over the limit", async () => {
    const port = await open({ hosts: "loopback", routes });
    expect((await ask(port, "GET", "/status", { "x-long": "a".repeat(10_000) })).status).toBe(431);
  });

  test("answers by any Host where pods are scraped", async () => {
    const port = await open({ hosts: "any", routes });
    expect((await ask(port, "GET", "/status", { host: "10.1.2.3:15020" })).status).toBe(200);
  });

  test("says plainly that its port is taken", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as { port: number };
    await expect(openHttpAdmin({ at: { host: "127.0.0.1", port }, hosts: "any", routes: [] })).rejects.toMatchObject({
      code: "unreachable",
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
    await new Promise((resolve) => taken.close(resolve));
  });

  test("closes although a scraper holds its connection open", async () => {
    const listening = await openHttpAdmin({ at: { host: "127.0.0.1", port: 0 }, hosts: "any", routes });
    const socket = connect(listening.address.port, "127.0.0.1");
    await new Promise((resolve) => socket.once("connect", resolve));
    const gone = new Promise((resolve) => socket.once("close", resolve));
    socket.write("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await new Promise((resolve) => socket.once("data", resolve));
    await listening.close();
    await gone;
  });
});

test("an admin port does not bring Node's own fetch into memory, which every sidecar would pay for", () => {
  const file = new URL("../../../src/io/http-admin.ts", import.meta.url);
  const opening = `await openHttpAdmin({ at: { host: "127.0.0.1", port: 0 }, hosts: "loopback", routes: [] })`;
  const tell = `console.log(process.moduleLoadList.join("\\n")); process.exit(0)`;
  const script = `const { openHttpAdmin } = await import("${file.href}"); ${opening}; ${tell}`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  const loaded = stdout.split("\n");
  expect(loaded).toContain("NativeModule _http_server");
  expect(loaded.filter((name) => name.includes("undici"))).toEqual([]);
});

async function open(options: Omit<HttpAdminOptions, "at">): Promise<number> {
  const listening = await openHttpAdmin({ ...options, at: { host: "127.0.0.1", port: 0 } });
  opened.push(listening);
  return listening.address.port;
}

async function* pieces(texts: readonly string[]): AsyncIterable<string> {
  yield* texts;
}

async function* brokenPieces(): AsyncIterable<string> {
  yield "the beginning";
  throw new Error("and no end");
}

function ask(
  port: number,
  method: string,
  path: string,
  headers: Record<string, string>,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, method, path, headers }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}
