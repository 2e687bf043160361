import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { parseRequestHead } from "../../../src/wire/http1-head.ts";
import { continueRequest, createRequestScan } from "../../../src/wire/request-head.ts";
import { RequestHeadReader, ResponseHeadReader } from "../../../src/wire/http1-head-reader.ts";

const HEAD = "GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";

describe("heads that come in pieces", () => {
  test("are the same at every split, and what follows them is handed back", () => {
    const text = `${HEAD}body`;
    const whole = parseRequestHead(Buffer.from(text));
    for (let split = 0; split <= text.length; split++) {
      const reader = new RequestHeadReader();
      const pieces = [text.slice(0, split), text.slice(split)].map((piece) => Buffer.from(piece));
      const rests: string[] = [];
      for (const piece of pieces) {
        const reading = reader.feed(piece);
        if (reading.at !== "head") continue;
        expect({ at: "head", head: reading.head, bytes: reading.bytes }).toEqual(whole);
        rests.push(reading.rest.toString());
        break;
      }
      expect(rests).toEqual([
        split <= HEAD.length ? (split < HEAD.length ? "body" : "") : text.slice(HEAD.length, split),
      ]);
    }
  });

  test("are counted while they are held, and not afterwards", () => {
    const reader = new RequestHeadReader();
    expect(reader.heldBytes).toBe(0);
    reader.feed(Buffer.from(HEAD.slice(0, 10)));
    expect(reader.heldBytes).toBe(10);
    expect(reader.feed(Buffer.from(HEAD.slice(10))).at).toBe("head");
    expect(reader.heldBytes).toBe(0);
  });

  test("do not change when the caller reuses its buffer", () => {
    const reader = new RequestHeadReader();
    const chunk = Buffer.from(HEAD.slice(0, 30));
    reader.feed(chunk);
    chunk.fill(0);
    expect(reader.feed(Buffer.from(HEAD.slice(30)))).toMatchObject({ at: "head", head: { path: "/a", host: "a" } });
  });

  test("come one after the other from one chunk", () => {
    const reader = new RequestHeadReader();
    const first = reader.feed(Buffer.from(HEAD + HEAD.replace("/a", "/b")));
    if (first.at !== "head") throw new Error("not a head");
    expect(first.head.path).toBe("/a");
    expect(reader.feed(first.rest)).toMatchObject({ at: "head", head: { path: "/b" }, rest: Buffer.alloc(0) });
  });

  test("of answers obey the method that each answers", () => {
    const reader = new ResponseHeadReader();
    const text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    expect(reader.feed(Buffer.from(text), "HEAD")).toMatchObject({ at: "head", head: { framing: { kind: "none" } } });
    reader.feed(Buffer.from(text.slice(0, 20)), "GET");
    expect(reader.heldBytes).toBe(20);
    expect(reader.feed(Buffer.from(text.slice(20)), "GET")).toMatchObject({ head: { framing: { bytes: 5 } } });
  });

  test.each([1, 7, 4096])("over the limit are refused when they come by %i octets", (size) => {
    const reader = new RequestHeadReader();
    const endless = Buffer.from(`GET / HTTP/1.1\r\nX: ${"a".repeat(LIMITS.headBytesMax)}`);
    let fed = 0;
    for (;;) {
      const reading = reader.feed(endless.subarray(fed, fed + size));
      fed += size;
      if (reading.at === "incomplete") continue;
      expect(reading).toMatchObject({ at: "refused", error: { code: "head-too-large" } });
      break;
    }
    expect(fed).toBeLessThan(LIMITS.headBytesMax + size);
    expect(fed).toBeGreaterThanOrEqual(LIMITS.headBytesMax);
  });

  test("are looked at once, however slowly they come", () => {
    const head = Buffer.from(`GET /${"a".repeat(500)} HTTP/1.1\r\nHost: a\r\n${"X-Name: value \t\r\n".repeat(90)}`);
    const { octets, reads } = counted(head);
    const scan = createRequestScan();
    for (let end = 1; end <= head.length; end++) expect(continueRequest(scan, octets, end).at).toBe("incomplete");
    // Where one part ends and the next begins an octet is read again, and whitespace behind values from both sides.
    expect(reads()).toBeLessThan(3 * head.length);
    expect(reads()).toBeGreaterThanOrEqual(head.length);
  });
});

/** The octets, and how many of them have been read so far. */
function counted(octets: Buffer): { octets: Buffer; reads: () => number } {
  let count = 0;
  const get = (target: Buffer, key: string | symbol): unknown => {
    if (typeof key === "string" && /^[0-9]+$/.test(key)) count++;
    return Reflect.get(target, key) as unknown;
  };
  return { octets: new Proxy(octets, { get }), reads: () => count };
}
