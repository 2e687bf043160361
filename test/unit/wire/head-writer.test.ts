import { describe, expect, test } from "vitest";
import {
  parseRequestHead,
  parseResponseHead,
  serializeRequestHead,
  serializeResponseHead,
} from "../../../src/wire/http1-head.ts";

describe("a head is written", () => {
  test("as a request", () => {
    const head = serializeRequestHead({ method: "GET", target: "/a?b", headers: ["Host", "a"], added: ["x-id", "1"] });
    expect(head.toString("latin1")).toBe("GET /a?b HTTP/1.1\r\nHost: a\r\nx-id: 1\r\n\r\n");
  });

  test("as an answer", () => {
    const head = serializeResponseHead({ status: 404, reason: "Not Found", headers: ["X", ""], added: ["y", ""] });
    expect(head.toString("latin1")).toBe("HTTP/1.1 404 Not Found\r\nX: \r\ny: \r\n\r\n");
  });

  test("with every octet of a value as it came", () => {
    const value = Buffer.from(Array.from({ length: 128 }, (_, i) => i + 128)).toString("latin1");
    const head = serializeResponseHead({ status: 200, reason: "\xe8", headers: ["X", value] });
    expect(parseResponseHead(head, "GET")).toMatchObject({
      at: "head",
      head: { reason: "\xe8", headers: ["X", value] },
    });
  });

  test("so that it parses to the same", () => {
    const text = "PUT /a HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\nX:  y\r\nX: z\r\n\r\n";
    const first = parseRequestHead(Buffer.from(text));
    if (first.at !== "head") throw new Error("not accepted");
    const again = parseRequestHead(serializeRequestHead(first.head));
    expect(again).toMatchObject({ at: "head", head: first.head });
  });
});

describe("a field that is added cannot smuggle a line", () => {
  test.each([
    ["CRLF in the value", "x", "1\r\nHost: b"],
    ["a bare CR in the value", "x", "1\r"],
    ["a bare LF in the value", "x", "\n1"],
    ["a NUL in the value", "x", "\0"],
    ["a character beyond latin-1 whose low octet is CR", "x", "\u010d"],
    ["CRLF in the name", "x\r\ny", "1"],
    ["a colon in the name", "x:", "1"],
    ["a space in the name", "x ", "1"],
    ["an empty name", "", "1"],
  ])("%s", (_, name, value) => {
    const expected = expect.objectContaining({ code: "internal" });
    expect(() => serializeRequestHead({ method: "GET", target: "/", headers: [], added: [name, value] })).toThrowError(
      expected,
    );
    expect(() => serializeResponseHead({ status: 200, reason: "", headers: [], added: [name, value] })).toThrowError(
      expected,
    );
  });
});
