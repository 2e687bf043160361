import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeHuffman } from "../../../src/wire/hpack-huffman.ts";
import { codeOf, encodeHuffman, fromBits } from "../../support/huffman.ts";

const into = Buffer.alloc(4_096);

/** The decoded octets as latin-1, or null when they are refused. */
function decode(coded: Buffer): string | null {
  const length = decodeHuffman(coded, 0, coded.length, into);
  return length < 0 ? null : into.toString("latin1", 0, length);
}

const EOS = "1".repeat(30);

describe("a Huffman-coded string is refused", () => {
  test.each([
    ["that holds EOS", fromBits(EOS + "11")],
    ["that holds EOS behind a symbol", fromBits(`${codeOf(0x61)}${EOS}11111`)],
    ["that ends with EOS", fromBits(`00${codeOf(0x26)}00${EOS}`.padEnd(48, "1"))],
    ["with eight bits of padding", Buffer.concat([encodeHuffman(Buffer.from("&")), Buffer.from([0xff])])],
    ["of nothing but eight bits of padding", Buffer.from([0xff])],
    ["padded by zeros", encodeHuffman(Buffer.from("a"), "0000000")],
    ["padded by ones and a zero", encodeHuffman(Buffer.from("a"), "110")],
    ["that ends within a symbol", fromBits(codeOf(0).slice(0, 8))],
  ])("%s", (_, coded) => {
    expect(decode(coded)).toBeNull();
  });
});

describe("a Huffman-coded string is decoded", () => {
  test("every octet by itself", () => {
    for (let octet = 0; octet < 256; octet++) {
      expect(decode(encodeHuffman(Buffer.of(octet)))).toBe(String.fromCharCode(octet));
    }
  });

  test("the empty string", () => {
    expect(decode(Buffer.alloc(0))).toBe("");
  });

  test("a symbol that fills its octet, without padding", () => {
    expect(decode(encodeHuffman(Buffer.from("&")))).toBe("&");
  });

  test("any octets", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
        expect(decode(encodeHuffman(octets))).toBe(Buffer.from(octets).toString("latin1"));
      }),
    );
  });

  test("or refused, whatever comes: what is decoded encodes to the same octets", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (octets) => {
        const text = decode(Buffer.from(octets));
        if (text !== null) expect(encodeHuffman(Buffer.from(text, "latin1"))).toEqual(Buffer.from(octets));
      }),
    );
  });

  test("within its bounds: what stands before and behind is not looked at", () => {
    const coded = encodeHuffman(Buffer.from("abc"));
    const around = Buffer.concat([Buffer.from([0]), coded, Buffer.from([0])]);
    expect(decodeHuffman(around, 1, 1 + coded.length, into)).toBe(3);
  });
});
