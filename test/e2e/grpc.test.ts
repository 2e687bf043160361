import { randomBytes } from "node:crypto";
import http2, { constants, type Http2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Address } from "../../src/core/ports.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { type EchoClient, type EchoServer, openEchoClient, openEchoServer } from "../support/grpc-echo.ts";
import { openTestMesh, policy, policySetOf, type TestMesh, WEB_MAY } from "../support/test-mesh.ts";

// gRPC through two sidecars over real sockets, with the client and server that Node's programs use.

let app: EchoServer;
let mesh: TestMesh;
let client: EchoClient;

beforeAll(async () => {
  app = await openEchoServer();
  mesh = await openMeshBefore(app.address);
  client = openEchoClient(`127.0.0.1:${mesh.toOrders.port}`);
});

afterAll(async () => {
  client.close();
  await mesh.close();
  app.close();
});

afterEach(() => {
  mesh.orders.policy.set(policySetOf([WEB_MAY]));
  mesh.web.flows.length = 0;
  mesh.orders.flows.length = 0;
});

describe("a gRPC call passes", () => {
  it("unary, with its metadata, trailers and status", async () => {
    const metadata = new Metadata();
    metadata.set("x-asked", "what");
    const octets = randomBytes(40);
    metadata.set("x-asked-bin", octets);
    const { answer, head, trailer } = await unary(client, "hello", { metadata });
    expect(answer).toBe("hello");
    expect(head.get("x-answered")).toEqual(["what"]);
    expect(head.get("x-answered-bin")).toEqual([octets]);
    expect(trailer.get("x-trailer")).toEqual(["at the end"]);
    const path = "/shop.Echo/unary";
    for (const { flows } of [mesh.web, mesh.orders]) {
      expect(flows).toMatchObject([{ verdict: "allowed", method: "POST", path, status: 200, grpcStatus: 0 }]);
    }
  });

  it("in both directions of streaming", async () => {
    const collecting = Promise.withResolvers<string | undefined>();
    const upload = client.collect(new Metadata(), (error, text) =>
      error === null ? collecting.resolve(text) : collecting.reject(error),
    );
    const parts = Array.from({ length: 200 }, (_, i) => `${i}`.repeat(500));
    for (const part of parts) upload.write(part);
    upload.end();
    expect(await collecting.promise).toBe(parts.join(""));
    expect((await arrayOf(client.count("500"))).map(Number)).toEqual(Array.from({ length: 500 }, (_, i) => i));
  });

  it("as a talk in which each message waits for the one before it", async () => {
    const talk = client.talk();
    const answers = talk[Symbol.asyncIterator]();
    for (const said of ["one", "two", "three"]) {
      talk.write(said);
      expect((await answers.next()).value).toBe(`re: ${said}`);
    }
    talk.end();
    expect((await answers.next()).done).toBe(true);
  });

  it("to the service that :authority names, and through a CONNECT", async () => {
    const byAuthority = openEchoClient(`127.0.0.1:${mesh.proxy.port}`, { "grpc.default_authority": "orders.shop:80" });
    expect((await unary(byAuthority, "named")).answer).toBe("named");
    byAuthority.close();
    process.env.grpc_proxy = `http://127.0.0.1:${mesh.proxy.port}`;
    const byProxy = openEchoClient("dns:orders.shop:80");
    delete process.env.grpc_proxy;
    expect((await unary(byProxy, "tunnelled")).answer).toBe("tunnelled");
    byProxy.close();
    expect(mesh.orders.flows.filter(({ verdict }) => verdict === "allowed")).toHaveLength(2);
  });

  it("with the app's own failure as it was told", async () => {
    expect(await failureOf(client, "fail")).toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: "not like this: ä",
    });
    expect(mesh.web.flows).toMatchObject([{ verdict: "allowed", status: 200, grpcStatus: 9 }]);
  });
});

describe("a gRPC call comes to its end", () => {
  it("at the deadline, which the app is told", async () => {
    const came = app.nextUnary();
    const calling = failureOf(client, "never", { deadline: Date.now() + 400 });
    await came;
    expect(app.leftMs).toBeGreaterThan(0);
    expect(app.leftMs).toBeLessThanOrEqual(400);
    expect((await calling).code).toBe(status.DEADLINE_EXCEEDED);
  });

  it("when the caller calls it off, before the answer and within it", async () => {
    const failure = Promise.withResolvers<ServiceError | null>();
    const came = app.nextUnary();
    const call = client.unary("never", new Metadata(), {}, (error) => failure.resolve(error));
    await came;
    let gone = app.nextCancelled();
    call.cancel();
    expect((await failure.promise)?.code).toBe(status.CANCELLED);
    expect(await gone).toBe("unary");

    const stream = client.count("3 and on");
    const failed = new Promise<ServiceError>((resolve) => void stream.on("error", resolve));
    let count = 0;
    await new Promise<void>((resolve) => void stream.on("data", () => ++count === 3 && resolve()));
    gone = app.nextCancelled();
    stream.cancel();
    expect(await gone).toBe("count");
    expect((await failed).code).toBe(status.CANCELLED);
  });

  it("when the policy that permitted it is replaced", async () => {
    const talk = client.talk();
    const failed = new Promise<ServiceError>((resolve) => void talk.on("error", resolve));
    talk.write("hello");
    await new Promise((resolve) => void talk.once("data", resolve));
    const gone = app.nextCancelled();
    mesh.orders.policy.set(policySetOf([]));
    expect((await failed).code).toBe(status.PERMISSION_DENIED);
    expect(await gone).toBe("talk");
    expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "permission-lost", grpcStatus: 7 }]);
  });
});

describe("a gRPC call is denied", () => {
  it("by its method's path, with PERMISSION_DENIED and the id of the reason", async () => {
    mesh.orders.policy.set(onlyMethod("/shop.Echo/unary"));
    expect((await unary(client, "still may")).answer).toBe("still may");
    const error = await new Promise<ServiceError | null>((resolve) => void client.forbidden("may I", resolve));
    expect(error).toMatchObject({ code: status.PERMISSION_DENIED, details: "RBAC: access denied" });
    const flow = mesh.orders.flows.at(-1)!;
    expect(flow).toMatchObject({ verdict: "denied", path: "/shop.Echo/forbidden", status: 200, grpcStatus: 7 });
    expect(error?.metadata.get("x-cardea-denial")).toEqual([flow.id]);
    expect(mesh.web.flows.at(-1)).toMatchObject({ status: 200, grpcStatus: 7 });
  });

  it("in each kind of streaming, and the app hears nothing of it", async () => {
    mesh.orders.policy.set(onlyMethod("/shop.Echo/unary"));
    const failures: (ServiceError | null)[] = [];
    failures.push(await new Promise((resolve) => void client.collect(new Metadata(), resolve).end("x")));
    failures.push(await new Promise((resolve) => void client.count("3").on("error", resolve).resume()));
    const talk = client.talk();
    talk.write("x");
    failures.push(await new Promise((resolve) => void talk.on("error", resolve).resume()));
    expect(failures.map((failure) => failure?.code)).toEqual([7, 7, 7]);
    expect(mesh.orders.flows.map(({ verdict }) => verdict)).toEqual(["denied", "denied", "denied"]);
  });

  it("as UNAVAILABLE before any policy has come", async () => {
    mesh.orders.policy.set(null);
    const error = await failureOf(client, "early");
    expect(error).toMatchObject({ code: status.UNAVAILABLE, details: "access denied" });
    expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "policy-not-loaded", grpcStatus: 14 }]);
  });

  it("as UNAVAILABLE when nobody is called so", async () => {
    const lost = openEchoClient(`127.0.0.1:${mesh.proxy.port}`, { "grpc.default_authority": "nobody:80" });
    expect(await failureOf(lost, "hello")).toMatchObject({ code: status.UNAVAILABLE });
    lost.close();
    expect(mesh.web.flows).toMatchObject([{ verdict: "error", reason: "no-route", status: 200, grpcStatus: 14 }]);
    expect(mesh.orders.flows).toEqual([]);
  });
});

describe("an app that resets a call", () => {
  let resetting: Http2Server;
  let code = constants.NGHTTP2_CANCEL;
  let before: TestMesh;
  let caller: EchoClient;

  beforeAll(async () => {
    resetting = http2.createServer().on("stream", (stream: ServerHttp2Stream, headers) => {
      stream.on("error", () => {});
      if (headers[":path"] === "/shop.Echo/count") stream.respond({ "content-type": "application/grpc" });
      setImmediate(() => stream.close(code));
    });
    await new Promise<void>((resolve) => void resetting.listen(0, "127.0.0.1", resolve));
    before = await openMeshBefore({ host: "127.0.0.1", port: (resetting.address() as AddressInfo).port });
    caller = openEchoClient(`127.0.0.1:${before.toOrders.port}`);
  });

  afterAll(async () => {
    caller.close();
    await before.close();
    resetting.close();
  });

  it.each([
    ["CANCEL", constants.NGHTTP2_CANCEL, status.CANCELLED, "upstream-cancelled"],
    ["INTERNAL_ERROR", constants.NGHTTP2_INTERNAL_ERROR, status.UNAVAILABLE, "upstream-reset"],
  ])("with %s before its answer", async (_name, sent, expected, reason) => {
    code = sent;
    before.orders.flows.length = 0;
    expect((await failureOf(caller, "x")).code).toBe(expected);
    expect(before.orders.flows).toMatchObject([
      { verdict: "error", reason, grpcStatus: expected, endedBy: "upstream" },
    ]);
  });

  it("within its answer is heard by the caller", async () => {
    code = constants.NGHTTP2_INTERNAL_ERROR;
    const stream = caller.count("3");
    const error = await new Promise<ServiceError>((resolve) => void stream.on("error", resolve).resume());
    expect(error.code).toBe(status.INTERNAL);
  });
});

function openMeshBefore(ordersApp: Address): Promise<TestMesh> {
  const ledgerApp = { host: "127.0.0.1", port: 9 };
  const network = createSocketNetwork();
  return openTestMesh({ network, clock: systemClock, ordersApp, ledgerApp, ordersProtocol: "GRPC" });
}

interface Answered {
  readonly answer: string | undefined;
  readonly head: Metadata;
  readonly trailer: Metadata;
}

function unary(by: EchoClient, text: string, { metadata = new Metadata() } = {}): Promise<Answered> {
  return new Promise((resolve, reject) => {
    let head = new Metadata();
    let answer: string | undefined;
    const call = by.unary(text, metadata, {}, (error, said) => {
      if (error === null) answer = said;
      else reject(error);
    });
    call.on("metadata", (came: Metadata) => void (head = came));
    call.on("status", ({ metadata: trailer }) => setImmediate(() => resolve({ answer, head, trailer })));
  });
}

function failureOf(by: EchoClient, text: string, options: { deadline?: number } = {}): Promise<ServiceError> {
  return new Promise((resolve, reject) => {
    by.unary(text, new Metadata(), options, (error, said) =>
      error === null ? reject(new Error(`it was answered: ${said}`)) : resolve(error),
    );
  });
}

async function arrayOf(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const each of stream) all.push(each);
  return all;
}

function onlyMethod(path: string) {
  const rules = [{ to: [{ operation: { methods: ["POST"], paths: [path] } }] }];
  return policySetOf([policy("one-method", { action: "ALLOW", rules })]);
}
