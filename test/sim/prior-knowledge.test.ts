import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/limits.ts";
import { HpackDecoder } from "../../src/wire/hpack-decoder.ts";
import { ERROR_CODES, FLAG, FRAME, PREFACE } from "../../src/wire/http2-codes.ts";
import type { Collected } from "../support/collected.ts";
import { OPENING, type RawFrame, rawFields, rawFrame, readFrames } from "../support/http2-frames.ts";
import { openSimMesh, say, type SimMesh } from "../support/sim-mesh.ts";
import { policySetOf } from "../support/test-mesh.ts";

// HTTP/2 without asking on either outer side: an app that begins with the preface, and one whose port is declared so.

const ACK = rawFrame({ type: FRAME.SETTINGS, flags: FLAG.ACK });
const OPEN_STREAM = FLAG.END_HEADERS;
const WHOLE = FLAG.END_HEADERS | FLAG.END_STREAM;
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

describe("an app that begins with HTTP/2's preface", () => {
  it("is answered in HTTP/2, on the fixed port and by :authority, from an app of HTTP/1.1", async () => {
    const mesh = await openSimMesh();
    for (const [at, authority] of [
      [mesh.toOrders, "anything"],
      [mesh.proxy, "orders.shop:80"],
    ] as const) {
      const caller = await mesh.call(at);
      send(caller, OPENING, ACK, headers(1, WHOLE, request("GET", "/a", authority)));
      await mesh.settle();
      say(mesh.ordersApp[0]!, OK);
      await mesh.settle();
      expect(wordsOf(caller.chunks)).toEqual(["1 HEADERS :status=200 content-length=2", "1 DATA hi END"]);
    }
    expect(mesh.web.flows).toMatchObject([
      { status: 200, grpcStatus: null },
      { status: 200, grpcStatus: null },
    ]);
  });

  it("may send it octet by octet", async () => {
    const mesh = await openSimMesh();
    const caller = await mesh.call(mesh.toOrders);
    for (const octet of Buffer.concat([OPENING, ACK])) {
      caller.connection.write(Buffer.from([octet]));
      await mesh.settle();
    }
    send(caller, headers(1, WHOLE, request("GET", "/a", "orders")));
    await mesh.settle();
    expect(mesh.ordersApp).toHaveLength(1);
  });

  it("is denied on its stream alone", async () => {
    const mesh = await openSimMesh({ policy: policySetOf([]) });
    const caller = await mesh.call(mesh.toOrders);
    send(caller, OPENING, ACK, headers(1, WHOLE, request("GET", "/a", "orders")));
    await mesh.settle();
    expect(wordsOf(caller.chunks)[0]).toContain(`1 HEADERS :status=403`);
    expect(wordsOf(caller.chunks)[0]).toContain(`x-cardea-denial=${mesh.orders.flows[0]!.id}`);
    expect(caller.isEnded).toBe(false);
    expect(mesh.ordersApp).toEqual([]);
  });

  it.each([
    ["goes on with something else", Buffer.concat([PREFACE, Buffer.from("GET / HTTP/1.1\r\nHost: orders\r\n\r\n")])],
    ["spoils its end", Buffer.from("PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n")],
  ])("and %s is cut off, and recorded", async (_name, bytes) => {
    const mesh = await openSimMesh();
    const caller = await mesh.call(mesh.toOrders);
    send(caller, bytes);
    await mesh.settle();
    await mesh.pass(LIMITS.lingerMs + 1_000);
    expect(caller.isEnded || caller.isClosed).toBe(true);
    expect(mesh.web.flows).toMatchObject([{ verdict: "error", reason: "http2-protocol-error" }]);
    expect(mesh.orders.flows).toEqual([]);
  });

  it("has not said so yet when it falls silent after P, and is told that its head came too late", async () => {
    const mesh = await openSimMesh();
    const caller = await mesh.call(mesh.toOrders, "P");
    await mesh.pass(LIMITS.firstBytesTimeoutMs + LIMITS.headTimeoutMs + 2_000);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 408 /);
    expect(mesh.web.flows).toMatchObject([{ reason: "request-timeout" }]);
  });

  it("or with nothing at all is let go when it has said nothing for long", async () => {
    const mesh = await openSimMesh();
    const caller = await mesh.call(mesh.toOrders);
    await mesh.pass(LIMITS.keepAliveIdleMs + 1_000);
    expect(caller.isEnded).toBe(true);
    expect(mesh.flows()).toEqual([]);
  });

  it("or has not begun is let go when the sidecar drains", async () => {
    const mesh = await openSimMesh();
    const caller = await mesh.call(mesh.toOrders);
    const drained = mesh.web.sidecar.drain();
    await mesh.settle();
    expect(caller.isEnded).toBe(true);
    caller.connection.destroy();
    await mesh.settle();
    await drained;
  });
});

describe("an app that gives up a CONNECT before it is answered", () => {
  it("is not taken at the far end for one that has ended", async () => {
    const mesh = await openSimMesh();
    const caller = await mesh.call(mesh.proxy);
    const connect = rawFields(":method", "CONNECT", ":authority", "ledger:5432");
    send(caller, OPENING, ACK, headers(1, OPEN_STREAM, connect), reset(1, "CANCEL"));
    await mesh.settle();
    expect(mesh.web.flows).toMatchObject([{ verdict: "error", protocol: "tcp", reason: "downstream-reset" }]);
    expect(mesh.orders.flows.map(({ verdict }) => verdict)).not.toContain("allowed");
    expect(mesh.ledgerApp.filter((app) => app.isEnded)).toEqual([]);
  });
});

describe.each(["HTTP2", "GRPC"] as const)("an app whose port is declared %s", (ordersProtocol) => {
  it("is spoken to in HTTP/2 from the first octet, one connection for all", async () => {
    const mesh = await openSimMesh({ ordersProtocol });
    await mesh.call(mesh.toOrders, "GET /1 HTTP/1.1\r\nHost: o\r\n\r\n");
    await mesh.call(mesh.toOrders, "GET /2 HTTP/1.1\r\nHost: o\r\n\r\n");
    expect(mesh.ordersApp).toHaveLength(1);
    const [app] = mesh.ordersApp;
    // The second waits until the app has said how many it takes.
    expect(wordsOf(app!.chunks, PREFACE.length).filter((word) => word.includes(":path"))).toHaveLength(1);
    send(app!, rawFrame({ type: FRAME.SETTINGS }), ACK);
    await mesh.settle();
    expect(Buffer.concat(app!.chunks).subarray(0, PREFACE.length)).toEqual(PREFACE);
    expect(wordsOf(app!.chunks, PREFACE.length).filter((word) => word.includes(":path"))).toHaveLength(2);
  });

  it("is told of te: trailers, of nothing else in te, and when it was not said of nothing", async () => {
    const mesh = await openSimMesh({ ordersProtocol });
    for (const te of ["TE: gzip, trailers\r\nConnection: TE\r\n", "TE: gzip\r\nConnection: TE\r\n", ""]) {
      await mesh.call(mesh.toOrders, `GET / HTTP/1.1\r\nHost: o\r\n${te}\r\n`);
      if (te.includes("gzip, trailers")) send(mesh.ordersApp[0]!, rawFrame({ type: FRAME.SETTINGS }), ACK);
    }
    const heads = wordsOf(mesh.ordersApp[0]!.chunks, PREFACE.length).filter((word) => word.includes("HEADERS"));
    expect(heads.map((head) => / te=(\S+)/.exec(head)?.[1])).toEqual(["trailers", undefined, undefined]);
  });

  it("hears that its caller called a call off, and its neighbour does not", async () => {
    const { mesh, caller, app } = await openCall({ ordersProtocol });
    send(caller, headers(3, OPEN_STREAM, grpc("/pkg.Service/Other")));
    await mesh.settle();
    send(caller, reset(1, "CANCEL"));
    await mesh.settle();
    const resets = wordsOf(app.chunks, PREFACE.length).filter((word) => word.includes("RST"));
    expect(resets).toEqual([`1 RST ${ERROR_CODES.CANCEL}`]);
    for (const { flows } of [mesh.web, mesh.orders]) {
      expect(flows).toMatchObject([{ reason: "downstream-reset", endedBy: "downstream", status: null, grpcStatus: 1 }]);
    }
  });

  it("calls a call off within its answer, and the caller hears it as that", async () => {
    const { mesh, caller, app } = await openCall({ ordersProtocol });
    send(
      app,
      headers(1, OPEN_STREAM, rawFields(":status", "200", "content-type", "application/grpc")),
      reset(1, "CANCEL"),
    );
    await mesh.settle();
    expect(wordsOf(caller.chunks).at(-1)).toBe(`1 RST ${ERROR_CODES.CANCEL}`);
    for (const { flows } of [mesh.web, mesh.orders]) {
      expect(flows).toMatchObject([{ reason: "upstream-cancelled", endedBy: "upstream", grpcStatus: 1 }]);
    }
  });

  it("fails a call within its answer, and the caller does not take that for a cancellation", async () => {
    const { mesh, caller, app } = await openCall({ ordersProtocol });
    send(app, headers(1, OPEN_STREAM, rawFields(":status", "200")), reset(1, "ENHANCE_YOUR_CALM"));
    await mesh.settle();
    expect(wordsOf(caller.chunks).at(-1)).toBe(`1 RST ${ERROR_CODES.INTERNAL_ERROR}`);
    expect(mesh.web.flows).toMatchObject([{ reason: "upstream-reset", grpcStatus: 14 }]);
  });

  it("may end without a status, which is recorded as unknown", async () => {
    const { mesh, caller, app } = await openCall({ ordersProtocol });
    send(app, headers(1, WHOLE, rawFields(":status", "200", "content-type", "application/grpc")));
    await mesh.settle();
    expect(wordsOf(caller.chunks)[0]).toContain("1 HEADERS :status=200");
    expect(mesh.orders.flows).toMatchObject([{ verdict: "allowed", status: 200, grpcStatus: 2 }]);
  });

  it.each([
    ["an answer without a body", "200", "GET", "content-length: 0\r\n"],
    ["an answer to HEAD", "200", "HEAD", ""],
    ["a 204", "204", "GET", ""],
    ["a 304", "304", "GET", ""],
  ])("gives %s, which a caller of HTTP/1.1 can tell the end of", async (_name, status, method, length) => {
    const mesh = await openSimMesh({ ordersProtocol });
    const caller = await mesh.call(mesh.toOrders, `${method} / HTTP/1.1\r\nHost: o\r\n\r\n`);
    send(mesh.ordersApp[0]!, rawFrame({ type: FRAME.SETTINGS }), ACK, headers(1, WHOLE, rawFields(":status", status)));
    await mesh.settle();
    expect(caller.text()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^\r]*\r\n${length}\r\n$`));
    expect(caller.isEnded).toBe(false);
  });

  it("that speaks HTTP/1.1 all the same is refused, and nothing of it passed on", async () => {
    const mesh = await openSimMesh({ ordersProtocol });
    const caller = await mesh.call(mesh.toOrders, "GET / HTTP/1.1\r\nHost: o\r\n\r\n");
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret");
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 50[0-9] /);
    expect(caller.text()).not.toContain("secret");
    expect(mesh.orders.flows).toMatchObject([{ verdict: "error" }]);
  });
});

interface OpenCall {
  readonly mesh: SimMesh;
  readonly caller: Collected;
  readonly app: Collected;
}

/** A call on stream 1 that has come to the app, its request not ended. */
async function openCall(options: { readonly ordersProtocol: "HTTP2" | "GRPC" }): Promise<OpenCall> {
  const mesh = await openSimMesh(options);
  const caller = await mesh.call(mesh.toOrders);
  send(caller, OPENING, ACK, headers(1, OPEN_STREAM, grpc("/pkg.Service/Method")));
  await mesh.settle();
  const [app] = mesh.ordersApp;
  send(app!, rawFrame({ type: FRAME.SETTINGS }), ACK);
  await mesh.settle();
  return { mesh, caller, app: app! };
}

function send(to: Collected, ...frames: (RawFrame | Buffer)[]): void {
  to.connection.write(Buffer.concat(frames.map((frame) => (Buffer.isBuffer(frame) ? frame : rawFrame(frame)))));
}

function headers(streamId: number, flags: number, payload: Buffer): RawFrame {
  return { type: FRAME.HEADERS, flags, streamId, payload };
}

function reset(streamId: number, name: keyof typeof ERROR_CODES): RawFrame {
  return { type: FRAME.RST_STREAM, streamId, payload: ERROR_CODES[name].toString(16).padStart(8, "0") };
}

function request(method: string, path: string, authority: string): Buffer {
  return rawFields(":method", method, ":scheme", "http", ":path", path, ":authority", authority);
}

function grpc(path: string): Buffer {
  return Buffer.concat([
    request("POST", path, "orders"),
    rawFields("content-type", "application/grpc", "te", "trailers"),
  ]);
}

/** Requests, answers and resets that have come, in words, behind the first `from` octets. */
function wordsOf(chunks: readonly Buffer[], from = 0): string[] {
  const decoder = new HpackDecoder({ tableBytesMax: 4_096, listBytesMax: 65_536, countMax: 100 });
  const words: string[] = [];
  for (const { type, flags, streamId, payload } of readFrames(Buffer.concat(chunks).subarray(from))) {
    const end = (flags & FLAG.END_STREAM) === 0 ? "" : " END";
    const block = type === FRAME.HEADERS ? decoder.decode(payload) : null;
    if (block?.at === "fields") words.push(`${streamId} HEADERS ${pairsOf(block.fields)}${end}`);
    if (type === FRAME.DATA) words.push(`${streamId} DATA ${payload.toString("latin1")}${end}`);
    if (type === FRAME.RST_STREAM) words.push(`${streamId} RST ${payload.readUInt32BE(0)}`);
  }
  return words;
}

function pairsOf(fields: readonly string[]): string {
  return fields.map((text, i) => (i % 2 === 0 ? `${i === 0 ? "" : " "}${text}=` : text)).join("");
}
