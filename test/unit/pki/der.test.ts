import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CardeaError } from "../../../src/core/errors.ts";
import { constructedContextTag, openSequence, readDer, readElements, TAG } from "../../../src/pki/der.ts";
import {
  readAscii,
  readBoolean,
  readInteger,
  readNamedBits,
  readOctetAlignedBits,
  readOid,
  readSmallInteger,
  readTime,
} from "../../../src/pki/der-types.ts";
import {
  writeBits,
  writeDer,
  writeNamedBits,
  writeOid,
  writeSequence,
  writeSmallInteger,
  writeTime,
  writeUnsigned,
} from "../../../src/pki/der-write.ts";

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(" ", ""), "hex");
}

function refusalOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof CardeaError) return error.code;
    throw error;
  }
  return "accepted";
}

describe("readDer refuses", () => {
  it.each([
    ["nothing", ""],
    ["a tag alone", "30"],
    ["a length beyond the end", "04 05 00"],
    ["a byte after the value", "05 00 00"],
    ["an indefinite length", "30 80 05 00 00 00"],
    ["a long form for a short length", "04 81 01 00"],
    ["a length with a leading zero octet", `04 82 00 80 ${"00".repeat(128)}`],
    ["a length of five octets", "04 85 00 00 00 00 01 00"],
    ["a long length that is cut off", "04 82 01"],
    ["a length of 0xffffffff", "04 84 ff ff ff ff 00"],
    ["a tag number in more octets", "1f 81 01 00"],
    ["the reserved first length octet", "04 ff 00"],
  ])("%s", (_what, bytes) => {
    expect(refusalOf(() => readDer(hex(bytes)))).toBe("der-invalid");
  });

  it("a tag other than the one that belongs there", () => {
    expect(refusalOf(() => readDer(hex("02 01 00"), TAG.sequence))).toBe("der-invalid");
  });
});

describe("a sequence", () => {
  it("refuses to end with an element left", () => {
    const sequence = openSequence(readDer(hex("30 06 02 01 00 02 01 01")));
    sequence.next();
    expect(refusalOf(() => sequence.end())).toBe("der-invalid");
  });

  it("refuses an element that goes beyond its own end, although bytes follow it", () => {
    const outer = openSequence(readDer(hex("30 07 30 02 04 05 02 01 00")));
    const inner = openSequence(outer.next());
    expect(refusalOf(() => inner.next())).toBe("der-invalid");
  });

  it("gives null for an optional element that is not there, and consumes nothing", () => {
    const sequence = openSequence(readDer(hex("30 03 02 01 07")));
    expect(sequence.nextIf(TAG.boolean)).toBeNull();
    expect(readSmallInteger(sequence.next(TAG.integer))).toBe(7);
    expect(sequence.nextIf(TAG.integer)).toBeNull();
  });
});

describe("a type's reader refuses", () => {
  it.each([
    ["an empty INTEGER", () => readInteger(readDer(hex("02 00")))],
    ["an INTEGER with a needless zero octet", () => readInteger(readDer(hex("02 02 00 7f")))],
    ["an INTEGER with a needless ff octet", () => readInteger(readDer(hex("02 02 ff 80")))],
    ["a negative small INTEGER", () => readSmallInteger(readDer(hex("02 01 80")))],
    ["a small INTEGER of five octets", () => readSmallInteger(readDer(hex("02 05 01 00 00 00 00")))],
    ["TRUE written as 01", () => readBoolean(readDer(hex("01 01 01")))],
    ["a BOOLEAN of two octets", () => readBoolean(readDer(hex("01 02 ff ff")))],
    ["a BIT STRING without its first octet", () => readOctetAlignedBits(readDer(hex("03 00")))],
    ["a BIT STRING that does not hold whole octets", () => readOctetAlignedBits(readDer(hex("03 02 01 fe")))],
    ["named bits with eight unused", () => readNamedBits(readDer(hex("03 02 08 00")))],
    ["named bits whose padding is not zero", () => readNamedBits(readDer(hex("03 02 05 a1")))],
    ["named bits with a trailing zero bit", () => readNamedBits(readDer(hex("03 02 04 a0")))],
    ["no named bits with unused ones", () => readNamedBits(readDer(hex("03 01 01")))],
    ["an empty OBJECT IDENTIFIER", () => readOid(readDer(hex("06 00")))],
    ["an OBJECT IDENTIFIER that ends inside an arc", () => readOid(readDer(hex("06 02 2a 86")))],
    ["an arc with a leading 80", () => readOid(readDer(hex("06 03 2a 80 01")))],
    ["an arc beyond 2^53", () => readOid(readDer(hex("06 0a 2a ff ff ff ff ff ff ff ff 7f")))],
    ["a character that is not ASCII", () => readAscii(hex("c3 a9"))],
    ["a UTCTime without seconds", () => readTime(readDer(writeDer(TAG.utcTime, Buffer.from("2601010000Z"))))],
    ["a UTCTime with an offset", () => readTime(readDer(writeDer(TAG.utcTime, Buffer.from("260101000000+0100"))))],
    ["30 February", () => readTime(readDer(writeDer(TAG.utcTime, Buffer.from("260230000000Z"))))],
    ["month 13", () => readTime(readDer(writeDer(TAG.utcTime, Buffer.from("261301000000Z"))))],
    ["month 0", () => readTime(readDer(writeDer(TAG.utcTime, Buffer.from("260001000000Z"))))],
    ["day 0", () => readTime(readDer(writeDer(TAG.utcTime, Buffer.from("260100000000Z"))))],
    ["29 February of a common year", () => readTime(readDer(writeDer(TAG.utcTime, Buffer.from("270229000000Z"))))],
    ["second 60", () => readTime(readDer(writeDer(TAG.utcTime, Buffer.from("260101000060Z"))))],
    ["hour 24", () => readTime(readDer(writeDer(TAG.utcTime, Buffer.from("260101240000Z"))))],
    [
      "a GeneralizedTime before 2050",
      () => readTime(readDer(writeDer(TAG.generalizedTime, Buffer.from("20260101000000Z")))),
    ],
    [
      "a GeneralizedTime with a fraction",
      () => readTime(readDer(writeDer(TAG.generalizedTime, Buffer.from("20500101000000.5Z")))),
    ],
    [
      "a time that is an OCTET STRING",
      () => readTime(readDer(writeDer(TAG.octetString, Buffer.from("260101000000Z")))),
    ],
  ])("%s", (_what, read) => {
    expect(refusalOf(read)).toBe("der-invalid");
  });
});

describe("what was written is read", () => {
  it.each(["1.2.840.10045.4.3.2", "2.5.29.17", "1.3.6.1.5.5.7.3.1", "2.999.1", "0.9"])(
    "OBJECT IDENTIFIER %s",
    (oid) => {
      expect(readOid(readDer(writeOid(oid)))).toBe(oid);
    },
  );

  it.each([
    "1950-01-01T00:00:00Z",
    "1999-12-31T23:59:59Z",
    "2028-02-29T12:00:00Z",
    "2026-06-01T00:00:00Z",
    "2049-12-31T23:59:59Z",
    "2050-01-01T00:00:00Z",
  ])("time %s", (iso) => {
    expect(readTime(readDer(writeTime(Date.parse(iso))))).toBe(Date.parse(iso));
  });

  it("named bits, a bit string, an unsigned integer with its top bit set", () => {
    expect(readNamedBits(readDer(writeNamedBits(0b110_0001)))).toBe(0b110_0001);
    expect(readNamedBits(readDer(writeNamedBits(0)))).toBe(0);
    expect(readOctetAlignedBits(readDer(writeBits(hex("80 01"))))).toEqual(hex("80 01"));
    expect(readInteger(readDer(writeUnsigned(hex("00 00 ff"))))).toEqual(hex("00 ff"));
    expect(readInteger(readDer(writeUnsigned(hex("00"))))).toEqual(hex("00"));
  });

  it("nested values of any length", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 5 }), (contents) => {
        const written = writeSequence(...contents.map((content) => writeDer(TAG.octetString, Buffer.from(content))));
        const tagged = readDer(writeDer(constructedContextTag(0), written), constructedContextTag(0));
        const read = readElements(readDer(tagged.content)).map((element) => new Uint8Array(element.content));
        expect(read).toEqual(contents);
      }),
      { seed: 7, numRuns: 200 },
    );
  });
});

describe("any bytes at all", () => {
  it("are read as they would be written again, or refused, and never more than that", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
        const buffer = Buffer.from(bytes);
        try {
          const value = readDer(buffer);
          expect(writeDer(value.tag, value.content)).toEqual(buffer);
        } catch (error) {
          expect(error).toMatchObject({ code: "der-invalid" });
        }
      }),
      { seed: 7, numRuns: 5_000 },
    );
  });

  it("small integers keep their value", () => {
    expect(readSmallInteger(readDer(writeSmallInteger(127)))).toBe(127);
  });
});
