import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { type ClientHelloReading, ClientHelloReader } from "../../../src/wire/client-hello.ts";

const numRuns = 300;
const hasGo = await hasProgram("go");

describe("the hello of a real client is read", () => {
  test("Node's, with post-quantum keys, in pieces of any size", async () => {
    const hello = await captured((port) => {
      tls
        .connect({
          host: "127.0.0.1",
          port,
          servername: "Orders.Shop.svc.cluster.local",
          ALPNProtocols: ["h2", "http/1.1"],
        })
        .on("error", () => {});
    });
    for (const bytes of [1, 2, 5, 100, 1_448, hello.length]) {
      expect(readInPieces(hello, bytes)).toEqual({
        at: "hello",
        hello: { sni: "orders.shop.svc.cluster.local", alpn: ["h2", "http/1.1"], isOuter: false },
      });
    }
  });

  test("and as much of it as is missing is waited for", async () => {
    const hello = await captured((port) => void tls.connect({ host: "127.0.0.1", port }).on("error", () => {}));
    expect(readInPieces(hello, 1)).toMatchObject({ at: "hello", hello: { sni: null, alpn: [] } });
    expect(readInPieces(hello.subarray(0, -1), 1)).toEqual({ at: "more" });
  });

  test.each([
    ["openssl, TLS 1.3", "openssl", ["-servername", "db.example.com", "-alpn", "postgresql"]],
    ["openssl, TLS 1.2", "openssl", ["-tls1_2", "-servername", "db.example.com", "-alpn", "postgresql"]],
    ["openssl without extensions that it can leave out", "openssl", ["-noservername", "-tls1_2"]],
  ])("%s", async (name, _program, flags) => {
    const hello = await captured((port) => {
      run("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, ...flags]);
    });
    const isBare = name.includes("without");
    expect(readInPieces(hello, 7)).toMatchObject({
      at: "hello",
      hello: isBare ? { sni: null, alpn: [] } : { sni: "db.example.com", alpn: ["postgresql"] },
    });
  });

  test("curl", async () => {
    const hello = await captured((port) => {
      run("curl", ["-sk", "--connect-to", `::127.0.0.1:${port}`, "https://shop.example.com/"]);
    });
    expect(readInPieces(hello, 11)).toMatchObject({ at: "hello", hello: { sni: "shop.example.com" } });
  });

  test.skipIf(!hasGo)("Go (skipped where there is none)", { timeout: 60_000 }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "cardea-hello-"));
    try {
      writeFileSync(join(directory, "main.go"), GO_CLIENT);
      const hello = await captured((port) => run("go", ["run", join(directory, "main.go"), `127.0.0.1:${port}`]));
      expect(readInPieces(hello, 13)).toMatchObject({
        at: "hello",
        hello: { sni: "go.example.com", alpn: ["h2"], isOuter: false },
      });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

describe("a hello of our own making", () => {
  test("may be spread over records of any length", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 50 }), (cuts) => {
        expect(readInPieces(inRecords(message(), cuts), 3)).toMatchObject({ at: "hello", hello: { sni: "a.example" } });
      }),
      { numRuns },
    );
  });

  test("tells that it is an outer one", () => {
    const ech = extension(0xfe0d, Buffer.from([0, 1, 2, 3]));
    expect(read(record(message([sni("public.example"), ech])))).toMatchObject({
      hello: { sni: "public.example", isOuter: true },
    });
    const inner = extension(0xfe0d, Buffer.from([1]));
    expect(read(record(message([sni("a.example"), inner])))).toMatchObject({ hello: { isOuter: false } });
  });

  test("may end without extensions, and be followed by other things", () => {
    expect(read(Buffer.concat([record(message(null)), Buffer.from("and early data")]))).toMatchObject({
      at: "hello",
      hello: { sni: null },
    });
  });
});

describe("a hello is refused", () => {
  test.each<[string, Buffer]>([
    ["when it is HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["when it is an alert", Buffer.from([21, 3, 1, 0, 2, 1, 0])],
    ["with another version of records", Buffer.from([22, 2])],
    ["in an empty record", Buffer.from([22, 3, 1, 0, 0])],
    ["in a record that is too long", Buffer.from([22, 3, 1, 0x40, 1])],
    ["when it is a ServerHello", record(Buffer.from([2, 0, 0, 0]))],
    ["when it says that it is too long", record(Buffer.from([1, 0, 0x40, 1, 3, 3]))],
    ["with a version that there is none of", record(message([], (made) => made.writeUInt8(2, 0)))],
    ["with a long session id", record(message([], (made) => made.writeUInt8(33, 34)))],
    ["with half a cipher suite", record(message([], (made) => made.writeUInt16BE(3, 35)))],
    ["with an extension twice", record(message([sni("a"), sni("b")]))],
    ["with two names", record(message([extension(0, list(Buffer.concat([nameOf("a"), nameOf("b")])))]))],
    ["with an empty name", record(message([extension(0, list(nameOf("")))]))],
    ["with no name in its list", record(message([extension(0, list(Buffer.alloc(0)))]))],
    ["with an empty server_name", record(message([extension(0, Buffer.alloc(0))]))],
    ["with a name of another type", record(message([extension(0, list(Buffer.from([1, 0, 1, 0x61])))]))],
    ["with a NUL in its name", record(message([sni("a.example\0.evil")]))],
    ["with a line break in its name", record(message([sni("a.example\nx")]))],
    ["with a slash in its name", record(message([sni("a/b")]))],
    ["with a name that is too long", record(message([sni("a".repeat(256))]))],
    ["with something behind the name", record(message([extension(0, Buffer.concat([list(nameOf("a")), EXTRA]))]))],
    ["with an empty protocol", record(message([extension(16, list(Buffer.from([0])))]))],
    ["with no protocols", record(message([extension(16, list(Buffer.alloc(0)))]))],
    ["with a protocol that reaches too far", record(message([extension(16, list(Buffer.from([9, 0x61])))]))],
    ["with something behind its extensions", record(handshake(Buffer.concat([body([sni("a")]), EXTRA])))],
    ["cut off within its extensions", record(handshake(body([sni("a")]).subarray(0, -1)))],
  ])("%s", (_name, bytes) => {
    for (const size of [1, bytes.length]) expect(readInPieces(bytes, size)).toMatchObject({ at: "refused" });
  });

  test("when records of one octet go on without end", () => {
    const hello = handshake(Buffer.alloc(LIMITS.clientHelloBytesMax + 1));
    expect(readInPieces(inRecords(hello, [1]), 1_000)).toMatchObject({ at: "refused" });
  });
});

test("whatever comes, it is read to the same end in whatever pieces", () => {
  const whole = record(message([sni("a.example"), extension(16, list(Buffer.from([2, 0x68, 0x32])))]));
  const changes = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 });
  fc.assert(
    fc.property(changes, fc.integer({ min: 1, max: 20 }), fc.nat(whole.length), (edits, size, keep) => {
      const bytes = Buffer.from(whole.subarray(0, keep));
      for (const [at, octet] of edits) if (at < bytes.length) bytes[at] = octet;
      const reading = readInPieces(bytes, size);
      expect(reading).toEqual(readInPieces(bytes, Math.max(1, bytes.length)));
      if (reading.at === "hello" && reading.hello.sni !== null) expect(reading.hello.sni).toMatch(/^[a-z0-9_.-]+$/);
    }),
    { numRuns: 2_000 },
  );
});

const EXTRA = Buffer.from("x");
const GO_CLIENT = `package main
import ("crypto/tls"; "os")
func main() {
	tls.Dial("tcp", os.Args[1], &tls.Config{ServerName: "go.example.com", NextProtos: []string{"h2"}, InsecureSkipVerify: true})
}
`;

function read(bytes: Buffer): ClientHelloReading {
  return readInPieces(bytes, bytes.length);
}

function readInPieces(bytes: Buffer, size: number): ClientHelloReading {
  const reader = new ClientHelloReader();
  for (let at = 0; at < bytes.length; at += size) {
    const reading = reader.feed(bytes.subarray(at, at + size));
    if (reading.at !== "more") return reading;
  }
  return { at: "more" };
}

/** The first flight of a client that `connect` starts. */
async function captured(connect: (port: number) => void): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const server = net.createServer((socket) => {
    const reader = new ClientHelloReader();
    const chunks: Buffer[] = [];
    socket
      .on("error", () => {})
      .on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        if (reader.feed(chunk).at === "more") return;
        socket.destroy();
        resolve(Buffer.concat(chunks));
      });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  connect((server.address() as net.AddressInfo).port);
  const hello = await promise;
  server.close();
  return hello;
}

function run(program: string, args: readonly string[]): void {
  // It fails, since nobody answers its hello.
  execFile(program, [...args], () => {}).stdin?.end();
}

function hasProgram(program: string): Promise<boolean> {
  return new Promise((resolve) => execFile(program, ["version"], (error) => resolve(error === null)));
}

function message(extensions: readonly Buffer[] | null = [sni("a.example")], edit?: (made: Buffer) => void): Buffer {
  const made = body(extensions);
  edit?.(made);
  return handshake(made);
}

function handshake(made: Buffer): Buffer {
  const header = Buffer.from([1, 0, 0, 0]);
  header.writeUIntBE(made.length, 1, 3);
  return Buffer.concat([header, made]);
}

/** Version, random, no session id, one cipher suite, no compression, extensions. */
function body(extensions: readonly Buffer[] | null): Buffer {
  const fixed = Buffer.concat([Buffer.from([3, 3]), Buffer.alloc(32, 7), Buffer.from([0, 0, 2, 0x13, 1, 1, 0])]);
  return extensions === null ? fixed : Buffer.concat([fixed, list(Buffer.concat(extensions))]);
}

function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 255]), list(content)]);
}

function sni(name: string): Buffer {
  return extension(0, list(nameOf(name)));
}

function nameOf(name: string): Buffer {
  return Buffer.concat([Buffer.from([0]), list(Buffer.from(name, "latin1"))]);
}

/** With its length before it, in two octets. */
function list(content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([content.length >> 8, content.length & 255]), content]);
}

function record(content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([22, 3, 1, content.length >> 8, content.length & 255]), content]);
}

/** The message in records of these lengths, over and over. */
function inRecords(content: Buffer, lengths: readonly number[]): Buffer {
  const records: Buffer[] = [];
  for (let at = 0, i = 0; at < content.length; i++) {
    const bytes = lengths[i % lengths.length]!;
    records.push(record(content.subarray(at, at + bytes)));
    at += bytes;
  }
  return Buffer.concat(records);
}
