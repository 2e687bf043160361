import { describe, expect, it } from "vitest";
import type { SecureConnection } from "../../src/core/ports.ts";
import { ERROR_CODES, FLAG, FRAME } from "../../src/wire/http2-codes.ts";
import { HpackDecoder } from "../../src/wire/hpack-decoder.ts";
import type { Collected } from "../support/collected.ts";
import { GET, OPENING, type RawFrame, rawFields, rawFrame, readFrames } from "../support/http2-frames.ts";
import { openSimMesh, say, type SimMesh } from "../support/sim-mesh.ts";
import { shopId } from "../support/test-authority.ts";

// Whoever holds a certificate of the mesh may still send what it likes, past the sidecar that it should use. The codec
// has tests of its own; these are of what the inbound port makes of it: refused, recorded, and nobody else harmed.

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const ACK = rawFrame({ type: FRAME.SETTINGS, flags: FLAG.ACK });

describe("over HTTP/2 the inbound port", () => {
  it.each(["h2", "istio-h2"])("serves a proved and permitted caller that offers %s", async (alpn) => {
    const { mesh, caller } = await open({ alpn: ["istio", alpn] });
    send(caller, get(1));
    await mesh.settle();
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(wordsOf(caller, 1)).toEqual(["HEADERS :status=200 content-length=2", "DATA hi END"]);
    expect(mesh.orders.flows).toMatchObject([
      { verdict: "allowed", status: 200, source: { principal: shopId("web") }, tls: { version: "TLSv1.3" } },
    ]);
  });

  it("answers a proved but not permitted caller with 403 and an id on that stream, and keeps its connection", async () => {
    const { mesh, caller } = await open({ name: "reports" });
    send(caller, get(1), get(3));
    await mesh.settle();
    const [flow] = mesh.orders.flows;
    expect(wordsOf(caller, 1)[0]).toBe(
      `HEADERS :status=403 content-type=text/plain x-cardea-denial=${flow!.id} content-length=20`,
    );
    expect(wordsOf(caller, 3)[0]).toContain(":status=403");
    expect(mesh.orders.flows.map((each) => each.reason)).toEqual(["no-allow-rule-matched", "no-allow-rule-matched"]);
    expect(caller.isEnded).toBe(false);
    expect(mesh.ordersApp).toEqual([]);
  });

  it.each([
    ["an upper-case name", ["X-Upper", "1"]],
    ["a connection header", ["connection", "close"]],
    ["transfer-encoding", ["transfer-encoding", "chunked"]],
    ["a te other than trailers", ["te", "gzip"]],
    ["another host", ["host", "admin"]],
    ["two lengths", ["content-length", "0", "content-length", "1"]],
    ["a line break in a value", ["x-split", "a\r\nx-forged: b"]],
    ["a colon in a name", ["x:y", "a"]],
    ["an unknown pseudo-header field", [":admin", "a"]],
  ])("refuses a request with %s, and its neighbours go on", async (_name, fields) => {
    const { mesh, caller } = await open({});
    send(caller, get(1), headers(3, Buffer.concat([GET, rawFields(...fields)])), get(5));
    await mesh.settle();
    expect(wordsOf(caller, 3)[0]).toContain(":status=400");
    expect(mesh.ordersApp).toHaveLength(2);
    for (const app of mesh.ordersApp) say(app, OK);
    await mesh.settle();
    expect(wordsOf(caller, 1).at(-1)).toBe("DATA hi END");
    expect(wordsOf(caller, 5).at(-1)).toBe("DATA hi END");
    expect(mesh.orders.flows.map((flow) => String(flow.status)).toSorted()).toEqual(["200", "200", "400"]);
    expect(mesh.ordersApp.map((app) => app.text()).join("")).not.toMatch(/forged|admin|upper/i);
  });

  it.each([
    ["CONNECT", rawFields(":method", "CONNECT", ":authority", "127.0.0.1:22"), "405"],
    ["an extended CONNECT to what is no WebSocket", extendedConnect("connect-udp"), "403"],
    ["a path that can be read in two ways", withPath("/a/%00"), "400"],
  ])("does not let %s choose where it goes", async (_name, block, status) => {
    const { mesh, caller } = await open({});
    send(caller, { type: FRAME.HEADERS, flags: FLAG.END_HEADERS, streamId: 1, payload: block });
    await mesh.settle();
    expect(wordsOf(caller, 1)[0]).toContain(`:status=${status}`);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.orders.flows).toMatchObject([{ status: Number(status) }]);
  });

  it("writes the caller's identity itself, whatever the caller says of it", async () => {
    const { mesh, caller } = await open({});
    const forged = rawFields("x-forwarded-client-cert", "URI=spiffe://evil", "x-cardea-x", "1", "x_envoy_y", "1");
    send(caller, headers(1, Buffer.concat([GET, forged])));
    await mesh.settle();
    expect(mesh.ordersApp[0]!.text()).not.toMatch(/evil|x-cardea-x|envoy/);
    expect(mesh.ordersApp[0]!.text()).toContain(`URI=${shopId("web")}`);
  });

  it("carries a WebSocket by the extended CONNECT, as the GET that policy and app know", async () => {
    const { mesh, caller } = await open({});
    send(caller, { type: FRAME.HEADERS, flags: FLAG.END_HEADERS, streamId: 1, payload: extendedConnect("websocket") });
    await mesh.settle();
    const app = mesh.ordersApp[0]!;
    expect(app.text()).toMatch(/^GET \/ws HTTP\/1\.1\r\n[^]*upgrade: websocket\r\n/);
    say(app, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfrom app");
    await mesh.settle();
    send(caller, { type: FRAME.DATA, streamId: 1, payload: Buffer.from("to app") });
    await mesh.settle();
    expect(app.text()).toMatch(/to app$/);
    expect(wordsOf(caller, 1)).toEqual(["HEADERS :status=200", "DATA from app"]);
  });

  it.each([
    ["no preface", [Buffer.from("GET / HTTP/1.1\r\nHost: o\r\n\r\n")], "http2-protocol-error", "PROTOCOL_ERROR"],
    ["a frame on a stream that it did not open", [OPENING, data(7)], "http2-protocol-error", "PROTOCOL_ERROR"],
    [
      "a table index that there is none of",
      [OPENING, headers(1, Buffer.from([0xff, 0x7f]))],
      "http2-protocol-error",
      "COMPRESSION_ERROR",
    ],
    [
      "a frame that is too long",
      [OPENING, { type: FRAME.DATA, streamId: 1, length: 1_000_000 }],
      "http2-protocol-error",
      "FRAME_SIZE_ERROR",
    ],
    ["requests and resets without end", [OPENING, ...rapidReset(1_000)], "http2-flood", "ENHANCE_YOUR_CALM"],
    ["PING without end", [OPENING, ...Array.from({ length: 5_000 }, ping)], "http2-flood", "ENHANCE_YOUR_CALM"],
  ] as const)(
    "tells and cuts off who sends %s, records why, and serves others",
    async (_name, frames, reason, code) => {
      const { mesh, caller } = await open({ opening: [] });
      send(caller, ...frames);
      await mesh.settle();
      const goaway = readFrames(Buffer.concat(caller.chunks)).find((frame) => frame.type === FRAME.GOAWAY);
      expect(goaway?.payload.readUInt32BE(4)).toBe(ERROR_CODES[code]);
      expect(caller.isEnded).toBe(true);
      expect(mesh.orders.flows.at(-1)).toMatchObject({ reason, source: { principal: shopId("web") } });
      const other = await mesh.call(mesh.toOrders, "GET /other HTTP/1.1\r\nHost: o\r\n\r\n");
      say(mesh.ordersApp.at(-1)!, OK);
      await mesh.settle();
      expect(other.text()).toMatch(/hi$/);
    },
  );
});

interface Opened {
  readonly mesh: SimMesh;
  readonly caller: Collected<SecureConnection>;
}

async function open({ name = "web", alpn = ["h2"], opening = [OPENING, ACK] }: OpenOptions): Promise<Opened> {
  const mesh = await openSimMesh();
  const caller = await mesh.callAs(mesh.authority.issue(shopId(name)), mesh.ordersInbound, { alpn });
  send(caller, ...opening);
  await mesh.settle();
  return { mesh, caller };
}

interface OpenOptions {
  readonly name?: string;
  readonly alpn?: readonly string[];
  readonly opening?: readonly Buffer[];
}

function send(caller: Collected, ...frames: readonly (RawFrame | Buffer)[]): void {
  for (const frame of frames) caller.connection.write(Buffer.isBuffer(frame) ? frame : rawFrame(frame));
}

function headers(streamId: number, payload: Buffer): RawFrame {
  return { type: FRAME.HEADERS, flags: FLAG.END_HEADERS | FLAG.END_STREAM, streamId, payload };
}

function get(streamId: number): RawFrame {
  return headers(streamId, GET);
}

function data(streamId: number): RawFrame {
  return { type: FRAME.DATA, streamId, payload: Buffer.from("abc") };
}

function ping(): RawFrame {
  return { type: FRAME.PING, payload: "0102030405060708" };
}

function rapidReset(count: number): RawFrame[] {
  return Array.from({ length: count }, (_, i) => {
    const streamId = 2 * i + 1;
    return [get(streamId), { type: FRAME.RST_STREAM, streamId, payload: "00000008" }];
  }).flat();
}

function withPath(path: string): Buffer {
  return rawFields(":method", "GET", ":scheme", "http", ":path", path, ":authority", "orders");
}

function extendedConnect(protocol: string): Buffer {
  const target = [":scheme", "http", ":path", "/ws", ":authority", "orders"];
  return rawFields(":method", "CONNECT", ":protocol", protocol, ...target);
}

/** What has come on a stream, as words. */
function wordsOf(caller: Collected, streamId: number): string[] {
  const decoder = new HpackDecoder({ tableBytesMax: 4_096, listBytesMax: 65_536, countMax: 100 });
  const words: string[] = [];
  for (const frame of readFrames(Buffer.concat(caller.chunks))) {
    // Every block, since the table is the connection's.
    const block = frame.type === FRAME.HEADERS ? decoder.decode(frame.payload) : null;
    if (frame.streamId !== streamId) continue;
    const end = (frame.flags & FLAG.END_STREAM) === 0 ? "" : " END";
    if (block?.at === "fields") words.push(`HEADERS ${pairsOf(block.fields)}${end}`);
    if (frame.type === FRAME.DATA) words.push(`DATA ${frame.payload.toString("latin1")}${end}`);
    if (frame.type === FRAME.RST_STREAM) words.push(`RST ${frame.payload.readUInt32BE(0)}`);
  }
  return words;
}

function pairsOf(fields: readonly string[]): string {
  return fields.map((text, i) => (i % 2 === 0 ? `${i === 0 ? "" : " "}${text}=` : text)).join("");
}
