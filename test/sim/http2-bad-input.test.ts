import { afterEach, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/limits.ts";
import { processMemory } from "../../src/proxy/http2/process-memory.ts";
import { HpackDecoder } from "../../src/wire/hpack-decoder.ts";
import { ERROR_CODES, FLAG, FRAME, PREFACE } from "../../src/wire/http2-codes.ts";
import type { Collected } from "../support/collected.ts";
import { GET, OPENING, POST, type RawFrame, rawFields, rawFrame, readFrames } from "../support/http2-frames.ts";
import { openSimMesh, say, type SimMesh } from "../support/sim-mesh.ts";
import { shopId } from "../support/test-authority.ts";
import type { TestMeshOptions } from "../support/test-mesh.ts";

// The same bad input at both doors of HTTP/2: the plain one for our own app, and the one of mutual TLS for the mesh.

const ACK = rawFrame({ type: FRAME.SETTINGS, flags: FLAG.ACK });
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const BURST = LIMITS.http2ControlsPerSecondMax * 4 + 100;
const DOORS = ["the plain port", "the mTLS port"] as const;

afterEach(() => {
  expect(processMemory.bytes).toBe(0);
});

describe.each(DOORS)("at %s", (door) => {
  describe("who floods is told, cut off, counted and recorded, and others are served", () => {
    it.each<[string, (RawFrame | Buffer)[], string, keyof typeof ERROR_CODES]>([
      ["rapid resets", rapidReset(1_000), "http2-flood", "ENHANCE_YOUR_CALM"],
      [
        "streams that we have to reset",
        times(600, (i) => [post(2 * i + 1), frame(FRAME.WINDOW_UPDATE, 2 * i + 1, "00000000")]).flat(),
        "http2-flood",
        "ENHANCE_YOUR_CALM",
      ],
      ["SETTINGS", times(BURST, () => frame(FRAME.SETTINGS, 0, "")), "http2-flood", "ENHANCE_YOUR_CALM"],
      ["PING", times(BURST, () => frame(FRAME.PING, 0, "0102030405060708")), "http2-flood", "ENHANCE_YOUR_CALM"],
      ["PRIORITY", times(BURST, () => frame(FRAME.PRIORITY, 1, "0000000000")), "http2-flood", "ENHANCE_YOUR_CALM"],
      ["empty DATA", [post(1), ...times(BURST, () => frame(FRAME.DATA, 1, ""))], "http2-flood", "ENHANCE_YOUR_CALM"],
      [
        "window updates for nothing",
        times(BURST, () => frame(FRAME.WINDOW_UPDATE, 0, "00000001")),
        "http2-flood",
        "ENHANCE_YOUR_CALM",
      ],
      ["frames that nobody knows", times(BURST, () => frame(0xee, 0, "")), "http2-flood", "ENHANCE_YOUR_CALM"],
      [
        "CONTINUATION without end",
        [{ type: FRAME.HEADERS, streamId: 1, payload: GET }, ...times(100, () => frame(FRAME.CONTINUATION, 1, ""))],
        "http2-protocol-error",
        "ENHANCE_YOUR_CALM",
      ],
      [
        "a header block without end",
        [
          { type: FRAME.HEADERS, streamId: 1, payload: GET },
          ...times(8, () => ({ type: FRAME.CONTINUATION, streamId: 1, payload: Buffer.alloc(16_384, 0x82) })),
        ],
        "http2-protocol-error",
        "ENHANCE_YOUR_CALM",
      ],
      [
        "an integer without end in a header block",
        [{ ...get(1), payload: Buffer.concat([GET, Buffer.alloc(20, 0xff)]) }],
        "http2-protocol-error",
        "COMPRESSION_ERROR",
      ],
      [
        "a table larger than agreed",
        [{ ...get(1), payload: Buffer.concat([Buffer.from([0x3f, 0xe1, 0xff, 0x03]), GET]) }],
        "http2-protocol-error",
        "COMPRESSION_ERROR",
      ],
    ])("%s", async (_name, frames, reason, code) => {
      const { mesh, caller, own } = await open(door);
      send(caller, ...frames);
      await mesh.settle();
      expect(goawayOf(caller)).toBe(ERROR_CODES[code]);
      expect(caller.isEnded).toBe(true);
      await mesh.pass(LIMITS.lingerMs + 1_000);
      expect(own.sidecar.connectionCount).toBe(0);
      expect(own.flows.filter((flow) => flow.protocol === "tcp")).toMatchObject([{ verdict: "error", reason }]);
      expect(countOf(own, reason)).toBeGreaterThanOrEqual(1);
      const other = await mesh.call(mesh.toOrders, "GET /other HTTP/1.1\r\nHost: o\r\n\r\n");
      say(mesh.ordersApp.at(-1)!, OK);
      await mesh.settle();
      expect(other.text()).toMatch(/hi$/);
    });
  });

  describe("a request that is too large is refused alone", () => {
    it.each([
      ["by the number of its fields", Buffer.concat(times(LIMITS.headerCountMax + 1, (i) => rawFields(`a${i}`, "b")))],
      ["by their size", Buffer.concat(times(64, (i) => longField(`a${i}`, 1_000)))],
      ["by one entry of the table, again and again (an HPACK bomb)", bomb(3_000, 2_000)],
    ])("%s", async (_name, more) => {
      const { mesh, caller, own } = await open(door);
      const whole = Buffer.concat([GET, more]);
      send(caller, ...split(1, whole), get(3));
      await mesh.settle();
      expect(wordsOf(caller, 1)[0]).toContain(":status=431");
      await answerAll(mesh);
      expect(wordsOf(caller, 3).at(-1)).toBe("DATA hi END");
      expect(own.flows.map((flow) => flow.reason)).toContain("head-too-large");
      expect(countOf(own, "head-too-large")).toBe(1);
    });
  });

  describe("a request that would mean something else in HTTP/1.1 is refused, never translated, and its neighbours go on", () => {
    it.each<[string, Buffer]>([
      ["an upper-case name", fields("X-Upper", "1")],
      ["connection", fields("connection", "x-admin")],
      ["keep-alive", fields("keep-alive", "1")],
      ["proxy-connection", fields("proxy-connection", "close")],
      ["transfer-encoding", fields("transfer-encoding", "chunked")],
      ["upgrade", fields("upgrade", "websocket")],
      ["te of more than trailers", fields("te", "trailers, gzip")],
      ["a look-alike of a framing field", fields("transfer_encoding", "chunked")],
      ["another host", fields("host", "admin")],
      ["a host twice", fields("host", "orders", "host", "orders")],
      ["a CR in a value", fields("x-split", "a\rb")],
      ["an LF in a value", fields("x-split", "a\nb: c")],
      ["a NUL in a value", fields("x-split", "a\0b")],
      ["a CR in a name", fields("x\rb", "a")],
      ["an LF in a name", fields("x\nb", "a")],
      ["a NUL in a name", fields("x\0b", "a")],
      ["a colon in a name", fields("x:b", "a")],
      ["a space in a name", fields("x b", "a")],
      ["an empty name", fields("", "a")],
      ["whitespace around a value", fields("x", " a")],
      ["two lengths that are the same", fields("content-length", "0", "content-length", "0")],
      ["a length that is none", fields("content-length", "+1")],
      ["a length, and no DATA", fields("content-length", "5")],
      ["an unknown pseudo field", rawFields(...line("GET", "/", "orders"), ":admin", "1")],
      ["a pseudo field behind a regular one", fields("x", "1", ":path", "/admin")],
      ["the pseudo field of answers", rawFields(...line("GET", "/", "orders"), ":status", "200")],
      ["two :path", rawFields(...line("GET", "/", "orders"), ":path", "/admin")],
      ["two :authority", rawFields(...line("GET", "/", "orders"), ":authority", "orders")],
      ["two :method", rawFields(...line("GET", "/", "orders"), ":method", "GET")],
      ["no :method", rawFields(":scheme", "http", ":path", "/", ":authority", "orders")],
      ["no :scheme", rawFields(":method", "GET", ":path", "/", ":authority", "orders")],
      ["no :path", rawFields(":method", "GET", ":scheme", "http", ":authority", "orders")],
      ["an unknown scheme", rawFields(":method", "GET", ":scheme", "ftp", ":path", "/", ":authority", "orders")],
      ["neither authority nor host", rawFields(":method", "GET", ":scheme", "http", ":path", "/")],
      ["an empty :path", rawFields(...line("GET", "", "orders"))],
      ["a :path without a slash", rawFields(...line("GET", "admin", "orders"))],
      ["an absolute :path", rawFields(...line("GET", "http://admin/", "orders"))],
      ["an asterisk for GET", rawFields(...line("GET", "*", "orders"))],
      ["a space in :path", rawFields(...line("GET", "/ HTTP/1.1", "orders"))],
      ["a fragment in :path", rawFields(...line("GET", "/a#b", "orders"))],
      ["an LF in :path", rawFields(...line("GET", "/\nx: y", "orders"))],
      ["userinfo in :authority", rawFields(...line("GET", "/", "user@orders"))],
      ["a path in :authority", rawFields(...line("GET", "/", "orders/admin"))],
      ["a space in :method", rawFields(...line("GET /admin", "/", "orders"))],
      ["a lower-case :method", rawFields(...line("get", "/", "orders"))],
      ["CONNECT with a :path", rawFields(...line("CONNECT", "/", "orders:80"))],
      ["CONNECT without a port", rawFields(":method", "CONNECT", ":authority", "orders")],
      [":protocol without CONNECT", rawFields(...line("GET", "/", "orders"), ":protocol", "websocket")],
    ])("%s", async (_name, block) => {
      const { mesh, caller, own } = await open(door);
      send(caller, get(1), { ...get(3), payload: block }, get(5));
      await mesh.settle();
      const words = wordsOf(caller, 3);
      expect(words[0]).toContain(":status=400");
      expect(words.at(-1)).toBe(`RST ${ERROR_CODES.PROTOCOL_ERROR}`);
      await answerAll(mesh);
      expect(wordsOf(caller, 1).at(-1)).toBe("DATA hi END");
      expect(wordsOf(caller, 5).at(-1)).toBe("DATA hi END");
      expect(own.flows.filter((flow) => flow.reason === "bad-request")).toHaveLength(1);
      expect(countOf(own, "bad-request")).toBe(1);
      expect(mesh.ordersApp.map((app) => app.text()).join("")).not.toMatch(/admin|split|upper/i);
    });

    it.each([
      ["more DATA than its length says", "2", "abc"],
      ["less DATA than its length says", "9", "abc"],
    ])("%s", async (_name, length, body) => {
      const { mesh, caller, own } = await open(door);
      const payload = Buffer.concat([POST, rawFields("content-length", length)]);
      send(caller, get(1), { ...post(3), payload });
      await mesh.settle();
      send(caller, { type: FRAME.DATA, streamId: 3, flags: FLAG.END_STREAM, payload: Buffer.from(body) });
      await mesh.settle();
      expect(wordsOf(caller, 3).at(-1)).toBe(`RST ${ERROR_CODES.PROTOCOL_ERROR}`);
      const [first] = mesh.ordersApp;
      say(first!, OK);
      await mesh.settle();
      expect(wordsOf(caller, 1).at(-1)).toBe("DATA hi END");
      expect(own.flows.some((flow) => flow.reason === "bad-request")).toBe(true);
    });

    it("a gRPC caller whose head can be read, and is refused, hears it in gRPC's words", async () => {
      const { mesh, caller, own } = await open(door);
      const payload = Buffer.concat([POST, rawFields("content-type", "application/grpc", "connection", "close")]);
      send(caller, { ...post(1), payload });
      await mesh.settle();
      expect(wordsOf(caller, 1)[0]).toMatch(/:status=200 content-type=application\/grpc grpc-status=3 /);
      expect(own.flows).toMatchObject([{ verdict: "error", reason: "bad-request", grpcStatus: 3 }]);
    });
  });

  it("who opens no window gets no more than fits, and loses its stream after the stated time", async () => {
    const { mesh, caller, own } = await open(door);
    send(caller, frame(FRAME.SETTINGS, 0, "0004 00000000"), get(1));
    await mesh.settle();
    const app = mesh.ordersApp[0]!;
    say(app, "HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
    for (let i = 0; i < 50; i++) {
      app.connection.write(Buffer.alloc(100_000));
      await mesh.settle();
    }
    expect(app.connection.unsentBytes).toBeGreaterThan(3_000_000);
    for (let ms = 0; ms < LIMITS.http2WindowStallMs + 5_000; ms += 5_000) {
      send(caller, frame(FRAME.PING, 0, "0102030405060708"));
      await mesh.pass(5_000);
    }
    expect(wordsOf(caller, 1).at(-1)).toBe(`RST ${ERROR_CODES.CANCEL}`);
    expect(own.flows).toMatchObject([{ verdict: "error", reason: "idle-timeout" }]);
    expect(countOf(own, "idle-timeout")).toBe(1);
    expect(caller.isEnded).toBe(false);
  });
});

describe("between the sidecars", () => {
  it("names that a caller never wants indexed are never indexed by any hop; others are", async () => {
    const { mesh, caller } = await open("the plain port", { ordersProtocol: "HTTP2" });
    const never = Buffer.from("\x10\x05x-pin\x041234", "latin1");
    for (const streamId of [1, 3]) {
      send(caller, { ...get(streamId), payload: Buffer.concat([GET, never, rawFields("x-other", "5678")]) });
      await mesh.settle();
      // Until the app has said how many streams it takes, it gets one.
      if (streamId === 1) send(mesh.ordersApp[0]!, rawFrame({ type: FRAME.SETTINGS }), ACK);
    }
    const blocks = readFrames(Buffer.concat(mesh.ordersApp[0]!.chunks).subarray(PREFACE.length))
      .filter((each) => each.type === FRAME.HEADERS)
      .map((each) => each.payload.toString("latin1"));
    expect(blocks).toHaveLength(2);
    for (const block of blocks) expect(block).toContain("\x10\x05x-pin\x041234");
    expect(blocks[0]).toContain("x-other");
    expect(blocks[1]).not.toContain("x-other");
  });

  it("te: trailers reaches an app of HTTP/1.1 as this connection's", async () => {
    const { mesh, caller } = await open("the plain port");
    send(caller, { ...get(1), payload: Buffer.concat([GET, rawFields("te", "trailers")]) }, get(3));
    await mesh.settle();
    const [told, untold] = mesh.ordersApp.map((app) => app.text());
    expect(told).toMatch(/\r\nconnection: te\r\nte: trailers\r\n/i);
    expect(untold).not.toMatch(/\r\nte:|\r\nconnection:/i);
  });

  it("trailers behind an answer of length 0 arrive", async () => {
    const { mesh, caller } = await open("the plain port", { ordersProtocol: "HTTP2" });
    send(caller, { ...get(1), payload: Buffer.concat([GET, rawFields("te", "trailers")]) });
    await mesh.settle();
    const app = mesh.ordersApp[0]!;
    const head = rawFields(":status", "200", "content-length", "0");
    send(app, rawFrame({ type: FRAME.SETTINGS }), ACK);
    send(app, { type: FRAME.HEADERS, flags: FLAG.END_HEADERS, streamId: 1, payload: head });
    await mesh.settle();
    send(app, { ...get(1), payload: rawFields("x-checked", "yes") });
    await mesh.settle();
    expect(wordsOf(caller, 1)).toEqual(["HEADERS :status=200 content-length=0", "HEADERS x-checked=yes END"]);
  });
});

describe("the memory of the process", () => {
  it("has a bound: above it a stream that would hold more is reset, and recorded", async () => {
    const { mesh, caller } = await open("the mTLS port");
    send(caller, { ...post(1), flags: FLAG.END_HEADERS });
    await mesh.settle();
    mesh.ordersApp[0]!.connection.pause();
    processMemory.add(2 * LIMITS.http2ProcessBytesMax);
    try {
      for (let i = 0; i < 40 && !wordsOf(caller, 1).some((word) => word.startsWith("RST")); i++) {
        send(caller, { type: FRAME.DATA, streamId: 1, payload: Buffer.alloc(16_000) });
        await mesh.settle();
      }
      expect(wordsOf(caller, 1)).toEqual([`RST ${ERROR_CODES.ENHANCE_YOUR_CALM}`]);
      expect(mesh.orders.flows).toMatchObject([{ verdict: "error", reason: "overloaded" }]);
      expect(caller.isEnded).toBe(false);
    } finally {
      processMemory.remove(2 * LIMITS.http2ProcessBytesMax);
    }
    caller.connection.destroy();
    await mesh.settle();
  });
});

async function open(door: (typeof DOORS)[number], options: Partial<TestMeshOptions> = {}) {
  const mesh = await openSimMesh(options);
  const isPlain = door === "the plain port";
  const caller = isPlain
    ? await mesh.call(mesh.toOrders)
    : await mesh.callAs(mesh.authority.issue(shopId("web")), mesh.ordersInbound, { alpn: ["h2"] });
  send(caller, OPENING, ACK);
  await mesh.settle();
  return { mesh, caller, own: isPlain ? mesh.web : mesh.orders };
}

async function answerAll(mesh: SimMesh): Promise<void> {
  for (const app of mesh.ordersApp) say(app, OK);
  await mesh.settle();
}

function send(to: Collected, ...frames: readonly (RawFrame | Buffer)[]): void {
  to.connection.write(Buffer.concat(frames.map((each) => (Buffer.isBuffer(each) ? each : rawFrame(each)))));
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

function frame(type: number, streamId: number, payload: string): RawFrame {
  return { type, streamId, payload };
}

function get(streamId: number): RawFrame {
  return { type: FRAME.HEADERS, flags: FLAG.END_HEADERS | FLAG.END_STREAM, streamId, payload: GET };
}

function post(streamId: number): RawFrame {
  return { type: FRAME.HEADERS, flags: FLAG.END_HEADERS, streamId, payload: POST };
}

function rapidReset(count: number): RawFrame[] {
  return times(count, (i) => [get(2 * i + 1), frame(FRAME.RST_STREAM, 2 * i + 1, "00000008")]).flat();
}

function line(method: string, path: string, authority: string): string[] {
  return [":method", method, ":scheme", "http", ":path", path, ":authority", authority];
}

function fields(...more: readonly string[]): Buffer {
  return Buffer.concat([GET, rawFields(...more)]);
}

/** A literal whose value has a length of two octets. */
function longField(name: string, bytes: number): Buffer {
  const rest = bytes - 127;
  const length = Buffer.from([127, (rest & 0x7f) | 0x80, rest >> 7]);
  return Buffer.concat([
    Buffer.from(`\0${String.fromCharCode(name.length)}${name}`),
    length,
    Buffer.alloc(bytes, 0x61),
  ]);
}

/** One field that is entered, and then named by one octet many times. */
function bomb(bytes: number, repeats: number): Buffer {
  const entered = longField("a", bytes);
  entered[0] = 0x40;
  return Buffer.concat([entered, Buffer.alloc(repeats, 0xbe)]);
}

/** A request's block in a HEADERS frame and as many others as it takes. */
function split(streamId: number, block: Buffer): RawFrame[] {
  const parts = times(Math.ceil(block.length / 16_384), (i) => block.subarray(i * 16_384, (i + 1) * 16_384));
  return parts.map((payload, i) => ({
    type: i === 0 ? FRAME.HEADERS : FRAME.CONTINUATION,
    flags: (i === 0 ? FLAG.END_STREAM : 0) | (i === parts.length - 1 ? FLAG.END_HEADERS : 0),
    streamId,
    payload,
  }));
}

function goawayOf(caller: Collected): number | undefined {
  return readFrames(Buffer.concat(caller.chunks))
    .find((each) => each.type === FRAME.GOAWAY)
    ?.payload.readUInt32BE(4);
}

/** What cardea_decisions_total says of a reason. */
function countOf({ metrics }: SimMesh["web"], reason: string): number {
  const lines = [...metrics.families("text")].flatMap((family) => [...family.samples]);
  const own = lines.filter((each) => each.startsWith("cardea_decisions_total") && each.includes(`reason="${reason}"`));
  return own.reduce((sum, each) => sum + Number(each.trim().split(" ").at(-1)), 0);
}

/** What has come on a stream, as words. */
function wordsOf(caller: Collected, streamId: number): string[] {
  const decoder = new HpackDecoder({ tableBytesMax: 4_096, listBytesMax: 65_536, countMax: 100 });
  const words: string[] = [];
  for (const each of readFrames(Buffer.concat(caller.chunks))) {
    // Every block, since the table is the connection's.
    const block = each.type === FRAME.HEADERS ? decoder.decode(each.payload) : null;
    if (each.streamId !== streamId) continue;
    const end = (each.flags & FLAG.END_STREAM) === 0 ? "" : " END";
    if (block?.at === "fields") words.push(`HEADERS ${pairsOf(block.fields)}${end}`);
    if (each.type === FRAME.DATA) words.push(`DATA ${each.payload.toString("latin1")}${end}`);
    if (each.type === FRAME.RST_STREAM) words.push(`RST ${each.payload.readUInt32BE(0)}`);
  }
  return words;
}

function pairsOf(list: readonly string[]): string {
  return list.map((text, i) => (i % 2 === 0 ? `${i === 0 ? "" : " "}${text}=` : text)).join("");
}
