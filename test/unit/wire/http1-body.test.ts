import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import {
  type BodyReading,
  type BodySide,
  createBodyReader,
  encodeChunk,
  encodeLastChunk,
  hasBody,
} from "../../../src/wire/http1-body.ts";
import type { BodyFraming } from "../../../src/wire/http1-head.ts";

const CHUNKED: BodyFraming = { kind: "chunked" };

interface Outcome {
  readonly body: string;
  /** `more`, `end`, or `code: message` of a refusal. */
  readonly end: string;
  readonly rest?: string;
  readonly trailers?: readonly string[];
}

/** Feeds the pieces until the body ends; what comes after its end is part of `rest`. */
function read(framing: BodyFraming, pieces: readonly string[], side: BodySide = "request"): Outcome {
  const reader = createBodyReader(framing, side);
  let body = "";
  for (const [i, piece] of pieces.entries()) {
    const reading = reader.feed(Buffer.from(piece, "latin1"));
    if (reading.at === "refused") return { body, end: `${reading.error.code}: ${reading.error.message}` };
    body += Buffer.concat(reading.pieces).toString("latin1");
    if (reading.at === "end") {
      const rest = reading.rest.toString("latin1") + pieces.slice(i + 1).join("");
      return { body, end: "end", rest, trailers: reading.trailers };
    }
  }
  return { body, end: "more" };
}

function refusal(coded: string): string {
  return read(CHUNKED, [coded]).end;
}

describe("a malformed chunked body is refused", () => {
  test.each<[string, string, RegExp]>([
    ["no size", "\r\n", /chunk size is not hexadecimal/],
    ["a size that is not hexadecimal", "g\r\n", /chunk size is not hexadecimal/],
    ["a size with 0x", "0x5\r\nhello\r\n", /chunk size is not hexadecimal/],
    ["a negative size", "-1\r\n", /chunk size is not hexadecimal/],
    ["a size with a sign", "+5\r\nhello\r\n", /chunk size is not hexadecimal/],
    ["a space before the size", " 5\r\nhello\r\n", /chunk size is not hexadecimal/],
    ["a space behind the size", "5 \r\nhello\r\n", /chunk size is not hexadecimal/],
    ["a tab behind the size", "5\t\r\nhello\r\n", /chunk size is not hexadecimal/],
    ["an underscore in the size", "1_0\r\n", /chunk size is not hexadecimal/],
    ["a size of 2^53", "20000000000000\r\n", /not below 2\^53/],
    ["a size that wraps around 64 bits", "10000000000000005\r\nhello\r\n", /not below 2\^53/],
    ["a bare LF behind the size", "5\nhello\r\n", /chunk size is not hexadecimal/],
    ["a bare CR behind the size", "5\rhello\r\n", /CR is not followed by LF/],
    ["data longer than the size", "5\r\nhello!\r\n", /longer than its size/],
    ["data shorter than the size", "6\r\nhello\r\n0\r\n\r\n", /longer than its size/],
    ["a bare LF behind the data", "5\r\nhello\n0\r\n\r\n", /longer than its size/],
    ["a bare CR behind the data", "5\r\nhello\r0\r\n\r\n", /CR is not followed by LF/],
    ["no CRLF behind the data", "5\r\nhello0\r\n\r\n", /longer than its size/],
    ["an extension without a name", "5;\r\nhello\r\n", /extension has no name/],
    ["a space before an extension", "5 ;a\r\nhello\r\n", /chunk size is not hexadecimal/],
    ["a space behind the semicolon", "5; a\r\nhello\r\n", /extension has no name/],
    ["an extension with an empty value", "5;a=\r\nhello\r\n", /value is empty/],
    ["an extension with a space in it", "5;a b\r\nhello\r\n", /name is not a token/],
    ["an extension with a bare LF", "5;a\nhello\r\n", /name is not a token/],
    ["an extension's value with a bare LF", "5;a=b\nhello\r\n", /value is not a token/],
    ["a quoted value with a bare LF", '5;a="b\nc"\r\nhello\r\n', /control character/],
    ["a quoted value over two lines", '5;a="b\r\nc"\r\nhello\r\n', /control character/],
    ["an escaped CR in a quoted value", '5;a="\\\r"\r\nhello\r\n', /escapes a control character/],
    ["text behind a quoted value", '5;a="b"c\r\nhello\r\n', /goes on behind its quoted value/],
    ["a quote inside a token", '5;a=b"c\r\nhello\r\n', /value is not a token/],
    ["an endless extension", `5;${"a".repeat(LIMITS.chunkLineBytesMax)}`, /line is too long/],
    ["long extensions over tiny chunks", `1;${"a".repeat(900)}\r\nx\r\n`.repeat(19), /more framing than data/],
    ["endless zeros", "0".repeat(LIMITS.chunkLineBytesMax + 1), /line is too long/],
    ["a bare LF for the last line", "0\r\n\n", /field name is not a token/],
    ["a bare CR for the last line", "0\r\n\rX", /CR is not followed by LF/],
    ["a folded trailer", "0\r\nA: b\r\n c\r\n\r\n", /folding/],
    ["a trailer without a colon", "0\r\nA\r\n\r\n", /field name is not a token/],
    ["a trailer with a NUL", "0\r\nA: \0\r\n\r\n", /control character/],
    ["a request for trailers", "0\r\nGET / HTTP/1.1\r\n\r\n", /field name is not a token/],
    ["too many trailers", `0\r\n${"A: b\r\n".repeat(LIMITS.headerCountMax + 1)}\r\n`, /too many fields/],
    ["too long trailers", `0\r\nA: ${"b".repeat(LIMITS.trailerBytesMax)}\r\n\r\n`, /trailer section is too long/],
  ])("%s", (_, coded, expected) => {
    expect(refusal(coded)).toMatch(/^bad-request: /);
    expect(refusal(coded)).toMatch(expected);
    expect(read(CHUNKED, coded.split("")).end).toBe(refusal(coded));
  });

  test("as the upstream's protocol error when it is an answer's", () => {
    expect(read(CHUNKED, ["x"], "response").end).toMatch(/^upstream-protocol-error: /);
  });
});

describe("a chunked body is read", () => {
  const sound =
    '5\r\nhello\r\n00A;x;y=z;q="a\\"b;\t"\r\n 123456789\r\n0;last\r\nX-Sum: 1 \r\nGrpc-Status: 0\r\n\r\nGET /next';

  test("with its extensions dropped and its trailers kept", () => {
    expect(read(CHUNKED, [sound])).toEqual({
      body: "hello 123456789",
      end: "end",
      rest: "GET /next",
      trailers: ["X-Sum", "1", "Grpc-Status", "0"],
    });
  });

  test("alike at every split, and octet by octet", () => {
    const whole = read(CHUNKED, [sound]);
    for (let split = 1; split < sound.length; split++) {
      expect(read(CHUNKED, [sound.slice(0, split), sound.slice(split)])).toEqual(whole);
    }
    expect(read(CHUNKED, sound.split(""))).toEqual(whole);
  });

  test.each([
    "Content-Length",
    "Transfer-Encoding",
    "Host",
    "Authorization",
    "Cookie",
    "Set-Cookie",
    "Content-Type",
    "Trailer",
    "TE",
    "If-Match",
    "X-Forwarded-Client-Cert",
    "X_Forwarded_Client_Cert",
    "Traceparent",
  ])("without the trailer %s, which comes too late to be obeyed", (name) => {
    expect(read(CHUNKED, [`0\r\nA: 1\r\n${name}: 2\r\nB: 3\r\n\r\n`]).trailers).toEqual(["A", "1", "B", "3"]);
  });

  test("without copying: the pieces lie in the chunk that was fed", () => {
    const input = Buffer.from("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nX");
    const reading = createBodyReader(CHUNKED, "request").feed(input);
    if (reading.at !== "end") throw new Error("the body does not end");
    const places = reading.pieces.map((piece) => [piece.buffer === input.buffer, piece.byteOffset - input.byteOffset]);
    expect(places).toEqual([
      [true, 3],
      [true, 13],
    ]);
    expect(reading.rest.byteOffset - input.byteOffset).toBe(input.length - 1);
  });

  test("never with empty pieces", () => {
    const reader = createBodyReader(CHUNKED, "request");
    const readings = ["", "2\r\n", "a", "", "b", "\r\n0\r\n\r\n"].map((piece) => reader.feed(Buffer.from(piece)));
    expect(readings.flatMap((reading) => (reading.at === "refused" ? [] : reading.pieces)).map(String)).toEqual([
      "a",
      "b",
    ]);
  });

  test("tiny chunks by the thousand, since plain framing is no abuse", () => {
    expect(read(CHUNKED, [`${"1\r\nx\r\n".repeat(10_000)}0\r\n\r\n`])).toMatchObject({ end: "end" });
  });

  test("an extension now and then, however long the body is", () => {
    const coded = `${`400;${"a".repeat(900)}\r\n${"x".repeat(1_024)}\r\n`.repeat(100)}0\r\n\r\n`;
    expect(read(CHUNKED, [coded])).toMatchObject({ end: "end" });
  });

  test("a chunk beyond 4 GiB is counted down rightly", () => {
    const reader = createBodyReader(CHUNKED, "request");
    reader.feed(Buffer.from("100000001\r\n"));
    const block = Buffer.alloc(2 ** 20);
    for (let i = 0; i < 4_096; i++) expect(reader.feed(block).at).toBe("more");
    expect(reader.feed(Buffer.from("x\r\n0\r\n\r\n"))).toMatchObject({ at: "end", pieces: [Buffer.from("x")] });
  });
});

describe("a body with a length is read", () => {
  test.each<[number, string[], Outcome]>([
    [0, ["GET"], { body: "", end: "end", rest: "GET", trailers: [] }],
    [5, ["hello"], { body: "hello", end: "end", rest: "", trailers: [] }],
    [5, ["helloGET"], { body: "hello", end: "end", rest: "GET", trailers: [] }],
    [5, ["he", "", "lloG", "ET"], { body: "hello", end: "end", rest: "GET", trailers: [] }],
    [6, ["hello"], { body: "hello", end: "more" }],
  ])("%i octets from %j", (bytes, pieces, expected) => {
    expect(read({ kind: "length", bytes }, pieces)).toEqual(expected);
  });

  test("none has no octets", () => {
    expect(read({ kind: "none" }, ["GET"])).toEqual({ body: "", end: "end", rest: "GET", trailers: [] });
  });

  test.each<[BodyFraming, boolean]>([
    [{ kind: "none" }, false],
    [{ kind: "length", bytes: 0 }, false],
    [{ kind: "length", bytes: 1 }, true],
    [{ kind: "chunked" }, true],
    [{ kind: "until-close" }, true],
  ])("%j has octets: %s", (framing, expected) => {
    expect(hasBody(framing)).toBe(expected);
  });
});

function finish(framing: BodyFraming, fed: string, side: BodySide): BodyReading {
  const reader = createBodyReader(framing, side);
  reader.feed(Buffer.from(fed));
  return reader.finish();
}

describe("when the connection ends", () => {
  test("a body until close is whole", () => {
    expect(read({ kind: "until-close" }, ["a", "", "b"])).toEqual({ body: "ab", end: "more" });
    expect(finish({ kind: "until-close" }, "ab", "response").at).toBe("end");
  });

  test("a body with all its octets is whole", () => {
    expect(finish({ kind: "length", bytes: 2 }, "ab", "request").at).toBe("end");
  });

  test.each<[string, BodyFraming, string]>([
    ["a length that is not reached", { kind: "length", bytes: 3 }, "ab"],
    ["chunks without the last one", CHUNKED, "2\r\nab\r\n"],
    ["a last chunk without its empty line", CHUNKED, "0\r\n"],
  ])("%s is cut off by whoever sent it", (_, framing, fed) => {
    expect(finish(framing, fed, "request")).toMatchObject({ at: "refused", error: { code: "downstream-reset" } });
    expect(finish(framing, fed, "response")).toMatchObject({ at: "refused", error: { code: "upstream-reset" } });
  });
});

describe("a chunked body is written", () => {
  test("pieces as one chunk, and nothing for nothing, since an empty chunk would end the body", () => {
    expect(encodeChunk([Buffer.from("hello "), Buffer.from("w")]).toString()).toBe("7\r\nhello w\r\n");
    expect(encodeChunk([Buffer.alloc(0x1a, "x")]).toString()).toBe(`1a\r\n${"x".repeat(26)}\r\n`);
    expect(encodeChunk([])).toHaveLength(0);
    expect(encodeChunk([Buffer.alloc(0)])).toHaveLength(0);
  });

  test("and what is written is read again", () => {
    const coded = [
      encodeChunk([Buffer.from("ab")]),
      encodeChunk([Buffer.alloc(300, "c")]),
      encodeLastChunk(["X", "1"]),
    ];
    expect(read(CHUNKED, [Buffer.concat(coded).toString("latin1")])).toEqual({
      body: `ab${"c".repeat(300)}`,
      end: "end",
      rest: "",
      trailers: ["X", "1"],
    });
    expect(encodeLastChunk([]).toString()).toBe("0\r\n\r\n");
  });

  test.each([
    ["a line end in a value", "X", "1\r\nY: 2"],
    ["a line end in a name", "X\r\nY", "1"],
    ["a character beyond latin-1 whose low octet is LF", "X", "\u010a"],
    ["an empty name", "", "1"],
    ["a forbidden name", "Content-Length", "1"],
  ])("never with %s in a trailer", (_, name, value) => {
    expect(() => encodeLastChunk([name, value])).toThrowError(expect.objectContaining({ code: "internal" }));
  });
});
