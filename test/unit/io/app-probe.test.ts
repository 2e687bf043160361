import { createServer as createHttp, type RequestListener, type Server } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import { createServer as createTcp, type AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { AppCheck } from "../../../src/core/app-probe.ts";
import { runAppProbe } from "../../../src/io/app-probe.ts";

const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

const PLACE = { host: "127.0.0.1", localHost: null };
const FAILED = (why: string) => ({ ok: false, why: expect.stringContaining(why) as string });

async function portOf(server: Server | ReturnType<typeof createTcp> | ReturnType<typeof createHttp2>): Promise<number> {
  open.push(server);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

function probe(check: AppCheck, timeoutMs = 5_000) {
  return runAppProbe({ path: "/app-health/web/livez", timeoutMs, check }, PLACE);
}

async function askHttp(listener: RequestListener, changes: { target?: string; headers?: [string, string][] } = {}) {
  const port = await portOf(createHttp(listener));
  return probe({ kind: "http", scheme: "HTTP", port, target: "/up", headers: [], ...changes });
}

describe("HTTP", () => {
  test("the app is asked as the kubelet would, with the probe's own fields", async () => {
    const seen: unknown[] = [];
    const outcome = await askHttp(
      (request, response) => {
        seen.push(request.url, request.headers.host, request.headers["user-agent"], request.headers["x-a"]);
        response.end();
      },
      {
        target: "/up?x=%2f",
        headers: [
          ["Host", "shop.example"],
          ["X-A", "1"],
          ["x-a", "2"],
        ],
      },
    );
    expect(outcome).toEqual({ ok: true });
    expect(seen).toEqual(["/up?x=%2f", "shop.example", "kube-probe/cardea", "1, 2"]);
  });

  test.each([199 + 1, 204, 302, 399])("%d is well", async (status) => {
    expect(await askHttp((_, response) => response.writeHead(status).end())).toEqual({ ok: true });
  });

  test.each([400, 404, 500, 503])("%d is not", async (status) => {
    expect(await askHttp((_, response) => response.writeHead(status).end())).toEqual(
      FAILED(`the app answered ${status}`),
    );
  });

  test("a redirect on the same host is followed to what it leads to", async () => {
    const outcome = await askHttp((request, response) => {
      if (request.url === "/up") response.writeHead(302, { location: "/login" }).end();
      else response.writeHead(500).end();
    });
    expect(outcome).toEqual(FAILED("the app answered 500"));
  });

  test("one to another host is not", async () => {
    const location = "http://127.0.0.2:1/";
    expect(await askHttp((_, response) => response.writeHead(302, { location }).end())).toEqual({ ok: true });
  });

  test("one without end has an end", async () => {
    let asked = 0;
    const outcome = await askHttp((_, response) => {
      asked += 1;
      response.writeHead(302, { location: "/up" }).end();
    });
    expect(outcome).toEqual(FAILED("redirects more than 10 times"));
    expect(asked).toBe(11);
  });

  test("an app that says nothing has failed once its time is over", async () => {
    const port = await portOf(createTcp(() => {}));
    const check: AppCheck = { kind: "http", scheme: "HTTP", port, target: "/", headers: [] };
    expect(await probe(check, 50)).toEqual(FAILED("did not answer in time"));
  });

  test("a target that no request can have is a failure, not an exception", async () => {
    expect(await askHttp((_, response) => response.end(), { target: "/a b\r\nx: y" })).toEqual(FAILED(""));
  });

  test("an app without TLS fails a probe over HTTPS", async () => {
    const port = await portOf(createHttp((_, response) => response.end()));
    expect(await probe({ kind: "http", scheme: "HTTPS", port, target: "/", headers: [] })).toEqual(FAILED(""));
  });
});

describe("TCP", () => {
  test("a connection that is taken is enough", async () => {
    expect(await probe({ kind: "tcp", port: await portOf(createTcp((socket) => socket.destroy())) })).toEqual({
      ok: true,
    });
  });

  test("one that is refused is not", async () => {
    const server = createTcp();
    const port = await portOf(server);
    await new Promise((resolve) => void server.close(resolve));
    expect(await probe({ kind: "tcp", port })).toEqual(FAILED("ECONNREFUSED"));
  });
});

async function askGrpc(status: number, body: Buffer, grpcStatus = "0", service = "") {
  const seen: Buffer[] = [];
  const server = createHttp2((request, response) => {
    request.on("data", (piece: Buffer) => seen.push(piece));
    request.on("end", () => {
      response.writeHead(status, { "content-type": "application/grpc" });
      response.addTrailers({ "grpc-status": grpcStatus, "grpc-message": "because" });
      response.end(body);
    });
  });
  const outcome = await probe({ kind: "grpc", port: await portOf(server), service });
  return { outcome, asked: Buffer.concat(seen).toString("hex") };
}

function health(status: number): Buffer {
  return Buffer.from([0, 0, 0, 0, 2, 0x08, status]);
}

describe("gRPC", () => {
  test("SERVING is well, and the service is asked for by its name", async () => {
    const { outcome, asked } = await askGrpc(200, health(1), "0", "shop");
    expect(outcome).toEqual({ ok: true });
    expect(asked).toBe(`00000000060a04${Buffer.from("shop").toString("hex")}`);
  });

  test.each<[string, number, Buffer, string, string]>([
    ["NOT_SERVING", 200, health(2), "0", "health status is 2"],
    ["an answer without a status", 200, Buffer.from([0, 0, 0, 0, 0]), "0", "health status is 0"],
    ["nothing", 200, Buffer.alloc(0), "0", "health status is 0"],
    ["an app without the health service", 200, Buffer.alloc(0), "12", "gRPC status is 12 because"],
    ["an answer without end", 200, Buffer.alloc(9_000), "0", "too long"],
    ["HTTP that is no gRPC", 404, Buffer.alloc(0), "0", "answered 404"],
  ])("%s is not", async (_, status, body, grpcStatus, why) => {
    expect((await askGrpc(status, body, grpcStatus)).outcome).toEqual(FAILED(why));
  });

  test("an app that speaks something else is not", async () => {
    const port = await portOf(createTcp((socket) => void socket.end("220 smtp\r\n")));
    expect(await probe({ kind: "grpc", port, service: "" })).toEqual(FAILED(""));
  });

  test("one that says nothing has failed once its time is over", async () => {
    const port = await portOf(createTcp(() => {}));
    expect(await probe({ kind: "grpc", port, service: "" }, 50)).toEqual(FAILED("did not answer in time"));
  });
});
