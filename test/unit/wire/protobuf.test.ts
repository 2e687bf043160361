import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { field, mapOf, message, repeated } from "../../../src/wire/protobuf-fields.ts";
import { messageOf } from "../../../src/wire/protobuf-message.ts";
import { BOOL, BYTES, enumOf, INT32, INT64, STRING, UINT32 } from "../../../src/wire/protobuf-values.ts";

// Bytes as the encoding's description has them (protobuf.dev/programming-guides/encoding), written out by hand.

const INNER = messageOf({ text: field(1, STRING), count: field(2, UINT32) });

const SAMPLE = messageOf(
  {
    count: field(1, UINT32),
    text: field(2, STRING),
    inner: message(3, INNER),
    numbers: repeated(4, UINT32),
    signed: field(5, INT32),
    long: field(6, INT64),
    isSet: field(7, BOOL),
    kind: field(8, enumOf({ NONE: 0, SOME: 1 })),
    bytes: field(9, BYTES),
    names: mapOf(10, STRING),
    left: message(11, INNER),
    right: message(12, INNER),
  },
  ["left", "right"],
);

const EMPTY = SAMPLE.deserialize(Buffer.alloc(0));

describe("a message is read", () => {
  test.each<[string, string, object]>([
    ["the guide's own number", "089601", { count: 150 }],
    ["the guide's own text", "120774657374696e67", { text: "testing" }],
    ["the guide's own packed list", "2206038e029ea705", { numbers: [3, 270, 86_942] }],
    ["the same list, not packed", "2003208e02209ea705", { numbers: [3, 270, 86_942] }],
    ["a list in both forms", "200122020203", { numbers: [1, 2, 3] }],
    ["a negative number of 32 bits", "28ffffffffffffffffff01", { signed: -1 }],
    ["a negative number of 64 bits", "30feffffffffffffffff01", { long: -2 }],
    ["the largest safe number", "30ffffffffffffff0f", { long: Number.MAX_SAFE_INTEGER }],
    ["more bits than a 32-bit number has, as other readers do", "08ffffffffff01", { count: 4_294_967_295 }],
    ["a number in more octets than it needs", "08818000", { count: 1 }],
    ["a number with its zero written out", "0800", { count: 0 }],
    ["true in more than a bit", "388002", { isSet: true }],
    ["a known word", "4001", { kind: "SOME" }],
    ["an unknown word, as its number", "4007", { kind: 7 }],
    ["the last of a field that comes twice", "08010802", { count: 2 }],
    ["a message in two parts, put together", "1a030a01611a021005", { inner: { text: "a", count: 5 } }],
    ["an entry without its value", "52030a0161", { names: new Map([["a", ""]]) }],
    ["an entry without its key", "5203120162", { names: new Map([["", "b"]]) }],
    ["the last of two entries", "52060a016112016252060a0161120163", { names: new Map([["a", "c"]]) }],
    ["an entry with the key __proto__", "520e0a095f5f70726f746f5f5f120178", { names: new Map([["__proto__", "x"]]) }],
    ["the last of a oneof", "5a0062020a00", { left: null, right: { text: "", count: 0 } }],
    ["beside unknown fields of every kind", "a00601a10600000000000000000801a20602ffffa50600000000", { count: 1 }],
  ])("%s", (_what, hex, expected) => {
    expect(SAMPLE.deserialize(Buffer.from(hex, "hex"))).toEqual({ ...EMPTY, ...expected });
  });
});

describe("no message is made of", () => {
  test.each([
    ["a tag without its value", "08"],
    ["a number that does not end", "0880"],
    ["a number of eleven octets", "088080808080808080808001"],
    ["a number of more than 64 bits", "08ffffffffffffffffff02"],
    ["a number that is not safe", "3080808080808080808001"],
    ["a text that is longer than the message", "1205616263"],
    ["a text of a length that no message has", "12ffffffff0f61"],
    ["a text of a length beyond all numbers", "12ffffffffffffffffff0161"],
    ["a text that is not UTF-8", "1201ff"],
    ["a surrogate in UTF-8", "1203eda080"],
    ["a key that is not UTF-8", "52030a01ff"],
    ["a message that reaches beyond its end", "1a020a05616263646566"],
    ["a message with half a number in it", "1a011008"],
    ["a packed list that ends within a number", "220180"],
    ["field number 0", "0001"],
    ["a field number beyond the largest", "8080808010"],
    ["a group", "0b0c"],
    ["an end of a group", "0c"],
    ["wire type 6", "0e"],
    ["wire type 7", "0f"],
    ["a number where a text belongs", "1001"],
    ["a text where a number belongs", "0a0161"],
    ["a number where a message belongs", "1801"],
    ["a number where an entry belongs", "5001"],
    ["an entry whose key is a number", "52020801"],
    ["an entry whose value is a number", "52021001"],
    ["32 fixed bits where a number belongs", "0d00000000"],
    ["fixed bits that are cut short", "a106000000"],
    ["an unknown text that is cut short", "a206ff01"],
  ])("%s", (_what, hex) => {
    expect(() => SAMPLE.deserialize(Buffer.from(hex, "hex"))).toThrow(expect.objectContaining({ code: "bad-input" }));
  });

  test.each([
    ["a list", Buffer.from([0x20, 1])],
    ["a packed list", Buffer.concat([Buffer.from([0x22, 2, 1, 1])])],
  ])("%s with more elements than anybody means", (_what, piece) => {
    const each = piece[0] === 0x20 ? 1 : 2;
    const bytes = Buffer.concat(Array.from({ length: LIMITS.messageElementsMax / each }, () => piece));
    expect(SAMPLE.deserialize(bytes).numbers).toHaveLength(LIMITS.messageElementsMax);
    expect(() => SAMPLE.deserialize(Buffer.concat([bytes, piece]))).toThrow("too many elements");
  });
});

describe("a message is written", () => {
  test.each<[string, Parameters<typeof SAMPLE.serialize>[0], string]>([
    ["without what absence says", { count: 0, text: "", numbers: [], kind: "NONE", bytes: Buffer.alloc(0) }, ""],
    ["without what is null", { inner: null, count: 150 }, "089601"],
    ["with a message that is empty, since it is there", { inner: {} }, "1a00"],
    ["with a packed list", { numbers: [3, 270, 86_942] }, "2206038e029ea705"],
    ["with negative numbers", { signed: -1, long: -2 }, "28ffffffffffffffffff0130feffffffffffffffff01"],
    ["with words and numbers of an enumeration", { kind: "SOME" }, "4001"],
    ["in the order of its numbers", { text: "a", count: 1 }, "0801120161"],
    ["with entries", { names: new Map([["a", ""]]) }, "52050a01611200"],
  ])("%s", (_what, value, hex) => {
    expect(SAMPLE.serialize(value).toString("hex")).toBe(hex);
  });
});
