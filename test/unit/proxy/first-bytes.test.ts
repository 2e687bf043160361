import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FirstBytes, type Sight } from "../../../src/proxy/first-bytes.ts";
import { PREFACE } from "../../../src/wire/http2-codes.ts";

const CASES: [bytes: string, speaks: Sight["speaks"]][] = [
  ["GET / HTTP/1.1\r\n", "http/1.1"],
  ["GET / HTTP/1.1\n", "http/1.1"],
  ["GET / HTTP/1.1\rHost", "http/1.1"],
  ["\r\n\r\nGET / HTTP/1.0\r\n", "http/1.1"],
  ["QUERY * HTTP/9\r\n", "http/1.1"],
  ["get\t/\thttp/1.1   \t\r\n", "http/1.1"],
  ["GET  /a b  HTTP/1.1\r\n", "http/1.1"],
  ["PRI * HTTP/2.0\r\n\r\nXX", "http/1.1"],
  [PREFACE.toString("latin1"), "h2"],
  ["GET /\r\n", "opaque"],
  ["GET\r\n", "opaque"],
  ["EHLO mail.example HTTP/x\r\n", "opaque"],
  ["EHLO mail.example\r\n", "opaque"],
  ["*1\r\n$4\r\n", "opaque"],
  ["SET a HTTP/1.1 is nice\r\n", "opaque"],
  ["SSH-2.0-OpenSSH_9.2\r\n", "opaque"],
  ["OPTIONS rtsp://a RTSP/1.0\r\n", "opaque"],
  ["<34>Oct 11 GET / HTTP/1.1\r\n", "opaque"],
  ["GET /\0 HTTP/1.1\r\n", "opaque"],
  [`${"A".repeat(70)} / HTTP/1.1\r\n`, "opaque"],
  ["\x16\x04", "opaque"],
  ["\x16\x03\x01\x00\x05\x02", "opaque"],
  ["\0\0\0\x08\x04\xd2\x16\x2f", "opaque"],
  ["\x80\x9e\x01\x03\x01", "opaque"],
];

describe("the first bytes", () => {
  test.each(CASES)("%j are those of %s, in whatever pieces they come", (bytes, speaks) => {
    const whole = Buffer.from(bytes, "latin1");
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 30 }), (cuts) => {
        const first = new FirstBytes();
        let sight: Sight = { speaks: "undecided" };
        for (let at = 0, i = 0; at < whole.length; i++) {
          const bytesNow = cuts[i % cuts.length]!;
          sight = first.feed(whole.subarray(at, at + bytesNow));
          at += bytesNow;
        }
        expect(sight.speaks).toBe(speaks);
        expect(first.bytes).toEqual(whole);
      }),
      { numRuns: 30 },
    );
  });

  test.each([
    ["", "opaque"],
    ["GET", "http/1.1"],
    ["GET / HTTP/1.1", "http/1.1"],
    ["\r\n", "http/1.1"],
    ["PRI * HTTP/2.0\r\n", "http/1.1"],
    ["\x16\x03\x01", "opaque"],
  ] as const)("when nothing follows %j, it is %s", (bytes, speaks) => {
    const first = new FirstBytes();
    if (bytes !== "") expect(first.feed(Buffer.from(bytes, "latin1")).speaks).toBe("undecided");
    expect(first.conclude().speaks).toBe(speaks);
  });
});
