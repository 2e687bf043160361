import { randomBytes } from "node:crypto";
import { connect as connectHttp2 } from "node:http2";
import net from "node:net";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LIMITS } from "../../../../src/core/limits.ts";
import { encodeGrpcMessage } from "../../../../src/wire/grpc-message.ts";
import { createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";
import {
  meant,
  type ServedApi,
  serveWorkloadApi,
  streamOf,
  unaryOf,
  workloadClient,
} from "../../../support/workload-api.ts";

// Whoever reaches the socket may say what it likes: nobody else's calls suffer, and nothing grows without bound.

let served: ServedApi;
let clock: SimulatedClock;
const cleanups: (() => unknown)[] = [];

beforeEach(async () => {
  clock = createSimulatedClock(Date.now());
  served = await serveWorkloadApi({ clock });
  cleanups.push(() => served.close());
});
afterEach(async () => {
  // What was done to the socket, the next caller is served.
  const good = workloadClient(served.path);
  await streamOf(good, "FetchX509SVID", meant()).next();
  good.close();
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

describe("a caller that does not speak HTTP/2 is cut off", () => {
  test.each([
    ["random bytes", randomBytes(4_096)],
    ["HTTP/1.1", Buffer.from("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")],
    ["TLS", Buffer.from("160301020001000001fc0303", "hex")],
    ["a preface and garbage behind it", Buffer.concat([PREFACE(), randomBytes(512)])],
    ["a frame longer than any may be", Buffer.concat([PREFACE(), Buffer.from("ffffff040000000000", "hex")])],
  ])("%s", async (_name, bytes) => {
    const socket = dial();
    socket.write(bytes);
    await ended(socket);
  });

  test("nothing at all, for longer than a handshake may take", async () => {
    const socket = dial();
    await new Promise((resolve) => socket.once("data", resolve));
    const end = ended(socket);
    await clock.advance(LIMITS.http2SettingsTimeoutMs + LIMITS.lingerMs + 2_000);
    await end;
  });

  test("half a preface, and then its end of the connection", async () => {
    const socket = dial();
    socket.end(PREFACE().subarray(0, 10));
    await ended(socket);
  });
});

describe("a call is refused", () => {
  test("of a method that there is none of", async () => {
    expect(await raw({ ":path": "/SpiffeWorkloadAPI/Steal" })).toMatchObject({
      "grpc-status": `${status.UNIMPLEMENTED}`,
    });
  });

  test("whose messages are compressed", async () => {
    expect(await raw({ "grpc-encoding": "gzip" })).toMatchObject({ "grpc-status": `${status.UNIMPLEMENTED}` });
  });

  test("that is no gRPC", async () => {
    expect(await raw({ "content-type": "application/json" })).toMatchObject({ ":status": 415 });
    expect(await raw({ ":method": "GET" })).toMatchObject({ ":status": 415 });
  });

  test("that says its message has 100 MB, before they have come", async () => {
    const prefix = Buffer.from([0, 0x06, 0, 0, 0]);
    expect(await raw({}, prefix)).toMatchObject({ "grpc-status": `${status.RESOURCE_EXHAUSTED}` });
  });

  test("whose message is no message of its type", async () => {
    const message = encodeGrpcMessage(Buffer.from([0xff, 0xff]));
    expect(await raw({}, message)).toMatchObject({ "grpc-status": `${status.INVALID_ARGUMENT}` });
  });

  test("that brings two requests, and one that brings none", async () => {
    const message = encodeGrpcMessage(Buffer.alloc(0));
    expect(await raw({}, Buffer.concat([message, message]))).toMatchObject({
      "grpc-status": `${status.INVALID_ARGUMENT}`,
    });
    expect(await raw({}, Buffer.alloc(0))).toMatchObject({ "grpc-status": `${status.INVALID_ARGUMENT}` });
  });
});

test.each(["%2Frun%2Fcardea%2Fworkload.sock", "/run/cardea/workload.sock", "localhost", "[::]:50051"])(
  "a caller that says %j for want of a host is served, as gRPC's C core does",
  async (authority) => {
    expect(await raw({ ":authority": authority, "workload.spiffe.io": "no" })).toMatchObject({
      ":status": 200,
      "grpc-message": expect.stringContaining("security header") as string,
    });
  },
);

test("of 1,000 streams of one process those above the bound are refused, and other processes are served", async () => {
  let pid = 7;
  const mine = await serveWorkloadApi({ clock, caller: () => pid });
  cleanups.push(() => mine.close());
  const greedy = workloadClient(mine.path);
  cleanups.push(() => greedy.close());
  const outcomes = await Promise.all(
    Array.from({ length: 1_000 }, () =>
      streamOf<object>(greedy, "FetchX509SVID", meant())
        .next()
        .then(
          () => status.OK,
          (error: { code: status }) => error.code,
        ),
    ),
  );
  expect(outcomes.filter((code) => code === status.OK)).toHaveLength(LIMITS.workloadApiCallsMax);
  expect(new Set(outcomes)).toEqual(new Set([status.OK, status.RESOURCE_EXHAUSTED]));
  pid = 8;
  const other = workloadClient(mine.path);
  cleanups.push(() => other.close());
  await streamOf(other, "FetchX509SVID", meant()).next();
});

test("calls that have ended make room for others", async () => {
  const client = workloadClient(served.path);
  cleanups.push(() => client.close());
  for (let round = 0; round < 3; round += 1) {
    const streams = Array.from({ length: LIMITS.workloadApiCallsMax }, () =>
      streamOf(client, "FetchX509Bundles", meant()),
    );
    await Promise.all(streams.map((stream) => stream.next()));
    for (const stream of streams) stream.cancel();
    // The cancellations are on the connection before this call is.
    await expect(unaryOf(client, "ValidateJWTSVID", {}, meant())).rejects.toBeDefined();
  }
});

test("connections beyond the bound are closed", async () => {
  const sockets = Array.from({ length: LIMITS.workloadApiConnectionsMax + 5 }, dial);
  await Promise.all(sockets.slice(-5).map(ended));
  const first = sockets[0]!;
  expect(first.destroyed).toBe(false);
  for (const socket of sockets) socket.destroy();
  await vi.waitUntil(async () => {
    const client = workloadClient(served.path);
    const answer = await streamOf(client, "FetchX509Bundles", meant())
      .next()
      .catch(() => null);
    client.close();
    return answer !== null;
  }, 10_000);
});

function PREFACE(): Buffer {
  return Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

function dial(): net.Socket {
  const socket = net.connect(served.path);
  socket.on("error", () => {});
  cleanups.push(() => socket.destroy());
  return socket;
}

/** Resolves when the other side has ended or dropped the connection. */
function ended(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once("end", () => resolve()).once("close", () => resolve());
    socket.resume();
  });
}

/** FetchX509SVID by node:http2, with what a library would not send; its status, in the head or the trailers. */
async function raw(headers: Record<string, string>, body = encodeGrpcMessage(Buffer.alloc(0))): Promise<object> {
  const session = connectHttp2("http://localhost", { createConnection: () => net.connect(served.path) });
  cleanups.push(() => session.destroy());
  const stream = session.request({
    ":method": "POST",
    ":path": "/SpiffeWorkloadAPI/FetchX509SVID",
    "content-type": "application/grpc",
    "workload.spiffe.io": "true",
    te: "trailers",
    ...headers,
  });
  if (headers[":method"] !== "GET") stream.end(body);
  const head = new Promise<object>((resolve) => stream.once("response", resolve));
  const trailers = new Promise<object>((resolve) => stream.once("trailers", resolve));
  stream.on("error", () => {}).resume();
  const answered = await head;
  return "grpc-status" in answered || (answered as { ":status": number })[":status"] !== 200 ? answered : trailers;
}
