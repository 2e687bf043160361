import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { createGuardedFetch } from "../../../src/io/guarded-fetch.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** Where it listens, on this machine. */
async function serve(answer: RequestListener): Promise<number> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const LOCAL = createGuardedFetch({ allowHttp: true, allowAddresses: ["127.0.0.0/8", "::1"], caFile: null });
const bounds = { timeoutMs: 5_000, bytesMax: 1_000 };

describe("without leave", () => {
  const strict = createGuardedFetch({ allowHttp: true, allowAddresses: [], caFile: null });
  test.each([
    ["http://127.0.0.1:1/", "the address 127.0.0.1 is not allowed"],
    ["http://127.1:1/", "127.0.0.1 is not allowed"],
    ["http://2130706433:1/", "127.0.0.1 is not allowed"],
    ["http://0x7f.0.0.1:1/", "127.0.0.1 is not allowed"],
    ["http://0.0.0.0:1/", "0.0.0.0 is not allowed"],
    ["http://[::1]:1/", "the address ::1 is not allowed"],
    ["http://[::]:1/", "the address :: is not allowed"],
    ["http://[::ffff:127.0.0.1]:1/", "is not allowed"],
    ["http://[64:ff9b::7f00:1]:1/", "is not allowed"],
    ["http://[fe80::1]:1/", "is not allowed"],
    ["http://169.254.169.254/latest/meta-data/", "169.254.169.254 is not allowed"],
    ["http://[fd00:ec2::254]/", "is not allowed"],
    ["http://100.100.100.200/", "is not allowed"],
    ["http://168.63.129.16/", "is not allowed"],
    ["http://localhost:1/", "which is not allowed"],
  ])("%s is not fetched", async (url, message) => {
    await expect(strict(url, bounds)).rejects.toThrow(message);
  });

  test("plain http is not spoken, nor anything but http", async () => {
    const secure = createGuardedFetch({ allowHttp: false, allowAddresses: ["127.0.0.0/8"], caFile: null });
    await expect(secure("http://127.0.0.1:1/", bounds)).rejects.toThrow("http: is not allowed");
    await expect(LOCAL("file:///etc/passwd", bounds)).rejects.toThrow("file: is not allowed");
  });

  test("a redirection leads nowhere else either", async () => {
    const port = await serve((_, answer) => answer.writeHead(302, { location: "http://169.254.169.254/" }).end());
    await expect(LOCAL(`http://127.0.0.1:${port}/`, bounds)).rejects.toThrow("169.254.169.254 is not allowed");
  });
});

describe("with leave", () => {
  test("a text comes, with how long it may be kept", async () => {
    const port = await serve((_, answer) => answer.writeHead(200, { "cache-control": "public, max-age=60" }).end("hi"));
    expect(await LOCAL(`http://127.0.0.1:${port}/`, bounds)).toEqual({ body: "hi", maxAgeMs: 60_000 });
    expect(await LOCAL(`http://localhost:${port}/`, bounds)).toMatchObject({ body: "hi" });
  });

  test("a few redirections are followed, and no more", async () => {
    const port = await serve((request, answer) => {
      const left = Number(request.url!.slice(1));
      if (left === 0) answer.end("there");
      else answer.writeHead(302, { location: `/${left - 1}` }).end();
    });
    expect((await LOCAL(`http://127.0.0.1:${port}/3`, bounds)).body).toBe("there");
    await expect(LOCAL(`http://127.0.0.1:${port}/4`, bounds)).rejects.toThrow("redirects more than 3 times");
  });

  test.each<[string, RequestListener, number, string]>([
    ["an error", (_, answer) => answer.writeHead(503).end(), bounds.timeoutMs, "the answer is 503"],
    ["a text that is too long", (_, answer) => answer.end("x".repeat(2_000)), bounds.timeoutMs, "exceeded max size"],
    ["silence", () => undefined, 200, "not within 200 ms"],
  ])("%s is no text", async (_name, listener, timeoutMs, message) => {
    const port = await serve(listener);
    await expect(LOCAL(`http://127.0.0.1:${port}/`, { ...bounds, timeoutMs })).rejects.toThrow(message);
  });
});
