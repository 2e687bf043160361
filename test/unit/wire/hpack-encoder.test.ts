import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HpackDecoder } from "../../../src/wire/hpack-decoder.ts";
import { HpackEncoder } from "../../../src/wire/hpack-encoder.ts";

const BOUNDS = { tableBytesMax: 4_096, listBytesMax: 1_000_000, countMax: 1_000 };

function octets(block: string): Buffer {
  return Buffer.from(block, "latin1");
}

/** An encoder and a decoder that have agreed on the default table. */
function pair(bytesCap = 4_096): {
  send: (headers: string[]) => { block: Buffer; fields: string[] };
  encoder: HpackEncoder;
} {
  const encoder = new HpackEncoder(bytesCap);
  const decoder = new HpackDecoder(BOUNDS);
  return {
    encoder,
    send(headers) {
      const block = octets(encoder.encode([], headers));
      const result = decoder.decode(block);
      if (result.at !== "fields") throw new Error(JSON.stringify(result));
      return { block, fields: result.fields };
    },
  };
}

describe("a field that must not be entered never is", () => {
  test.each([
    "authorization",
    "cookie",
    "set-cookie",
    "Proxy-Authorization",
    "x-api-key",
    "x-session-id",
    "x-user-token",
  ])("the secret %s is written so that no hop enters it", (name) => {
    const { send } = pair();
    const first = send([name, "secret"]).block;
    expect(first[0]! & 0xf0).toBe(0x10);
    expect(send([name, "secret"]).block).toEqual(first);
  });

  test.each([
    "traceparent",
    "x-request-id",
    "content-length",
    "date",
    "x-forwarded-client-cert",
    "etag",
    "grpc-timeout",
  ])("the volatile %s takes no room in the table", (name) => {
    const { send } = pair();
    const first = send([name, "1"]).block;
    expect(first[0]! & 0xf0).toBe(0);
    expect(send([name, "1"]).block).toEqual(first);
  });

  test("a path with a query, which may hold a secret", () => {
    const { send } = pair();
    expect(send([":path", "/a?token=b"]).block[0]! & 0xf0).toBe(0);
    expect(send([":path", "/a"]).block[0]! & 0xc0).toBe(0x40);
  });

  test("a value that would fill a quarter of the table", () => {
    const { send } = pair();
    expect(send(["x-large", "a".repeat(1_000)]).block[0]! & 0xf0).toBe(0);
  });

  test("a name whose values never come back, after a few", () => {
    const { send } = pair();
    const blocks = Array.from({ length: 20 }, (_, i) => send(["x-each", `value ${i}`]).block[0]! & 0xc0);
    expect(blocks.slice(0, 8)).toEqual(Array.from({ length: 8 }, () => 0x40));
    expect(blocks.slice(8)).toEqual(Array.from({ length: 12 }, () => 0));
  });
});

describe("a field that HTTP/2 does not have is left out", () => {
  test.each(["Connection", "keep-alive", "Transfer-Encoding", "upgrade", "proxy-connection", "HTTP2-Settings", "Host"])(
    "%s",
    (name) => {
      expect(pair().send([name, "a", "x", "y"]).fields).toEqual(["x", "y"]);
    },
  );
});

describe("a field that repeats", () => {
  test("is one octet from its second time on", () => {
    const { send } = pair();
    expect(send(["user-agent", "curl"]).block.length).toBeGreaterThan(5);
    expect(send(["User-Agent", "curl"]).block).toHaveLength(1);
  });

  test("is one octet at once when the static table has it", () => {
    expect(pair().send([":method", "GET", ":path", "/", ":scheme", "http", ":status", "200"]).block).toEqual(
      Buffer.from([0x82, 0x84, 0x86, 0x88]),
    );
  });

  test("is entered again when its values have become stable", () => {
    const { send } = pair();
    for (let i = 0; i < 20; i++) send(["x-each", `value ${i}`]);
    for (let i = 0; i < 3; i++) send(["x-each", "stable"]);
    expect(send(["x-each", "stable"]).block).toHaveLength(1);
  });

  test("keeps four values of one name at hand", () => {
    const { send } = pair();
    for (let round = 0; round < 2; round++) for (const value of ["a", "b", "c", "d"]) send(["x-tenant", value]);
    for (const value of ["a", "b", "c", "d"]) expect(send(["x-tenant", value]).block).toHaveLength(1);
  });
});

describe("the peer's table", () => {
  test("is announced at once when we use less of it", () => {
    expect(pair(100).send(["a", "b"]).block[0]! & 0xe0).toBe(0x20);
  });

  test("is not used when the peer has none", () => {
    const { send, encoder } = pair();
    encoder.limitTable(0);
    const { block } = send(["user-agent", "curl"]);
    expect(block[0]).toBe(0x20);
    expect(block[1]! & 0xf0).toBe(0x0f & 0xf0);
    expect(send(["user-agent", "curl"]).block[0]! & 0xc0).toBe(0);
  });

  test("shrinks and grows between two blocks: both are said, and what was entered before is not referred to", () => {
    const { send, encoder } = pair();
    send(["user-agent", "curl"]);
    encoder.limitTable(0);
    encoder.limitTable(4_096);
    const { block, fields } = send(["user-agent", "curl"]);
    expect(block.subarray(0, 4)).toEqual(Buffer.from([0x20, 0x3f, 0xe1, 0x1f]));
    expect(fields).toEqual(["user-agent", "curl"]);
  });

  test("is not said to be larger than we use, however large the peer allows", () => {
    const { send, encoder } = pair();
    encoder.limitTable(1_000_000);
    expect(send([":method", "GET"]).block).toEqual(Buffer.from([0x82]));
  });

  test("forgets the oldest entries as ours does, over thousands of blocks", () => {
    const { send } = pair();
    for (let i = 0; i < 3_000; i++) {
      const headers = [`x-${i % 97}`, `value ${i % 5}`, "x-tenant", `${i % 7}`, "user-agent", "a".repeat(i % 300)];
      expect(send(headers).fields).toEqual(headers);
    }
  });
});

test("whatever is encoded decodes to the same, names in lower case", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
  const value = fc.stringMatching(/^([!-~\x80-\xff]([ -~\x80-\xff]{0,200}[!-~\x80-\xff])?)?$/);
  const headers = fc.array(fc.tuple(name, value), { maxLength: 12 });
  const step = fc.oneof(headers, fc.nat(6_000));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const { send, encoder } = pair();
      for (const each of steps) {
        if (typeof each === "number") encoder.limitTable(each);
        else {
          const flat = each.filter(([text]) => !DROPPED.has(text)).flat();
          expect(send(flat).fields).toEqual(flat);
        }
      }
    }),
  );
});

const DROPPED = new Set([
  "connection",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

describe("a field that its sender wants no hop to index", () => {
  test("is told from others, and written so", () => {
    const decoder = new HpackDecoder(BOUNDS);
    const read = decoder.decode(octets("\x10\x05x-pin\x041234\x00\x01a\x01b\x14\x02/x"));
    expect(read).toEqual({
      at: "fields",
      fields: ["x-pin", "1234", "a", "b", ":path", "/x"],
      neverIndexed: ["x-pin", ":path"],
    });
    const encoder = new HpackEncoder(4_096);
    const headers = ["X-Pin", "1234", "accept-encoding", "gzip, deflate", "connection", "x"];
    for (let i = 0; i < 2; i++) {
      const block = encoder.encode([], headers, ["x-pin", "accept-encoding", "connection"]);
      expect(block).toBe("\x10\x05x-pin\x041234\x10\x0faccept-encoding\x0dgzip, deflate");
    }
  });

  test("and one that is refused with its block leaves nothing behind", () => {
    const decoder = new HpackDecoder(BOUNDS);
    expect(decoder.decode(octets("\x10\x01A\x01b")).at).toBe("malformed");
    expect(decoder.decode(octets("\x00\x01a\x01b"))).toEqual({ at: "fields", fields: ["a", "b"], neverIndexed: null });
  });
});
