import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type HeaderBlock, HpackDecoder } from "../../../src/wire/hpack-decoder.ts";
import { encodeHuffman } from "../../support/huffman.ts";

const BOUNDS = { tableBytesMax: 4_096, listBytesMax: 65_536, countMax: 100 };

function decoder(bounds: Partial<typeof BOUNDS> = {}): HpackDecoder {
  return new HpackDecoder({ ...BOUNDS, ...bounds });
}

/** Hexadecimal, spaces ignored. */
function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ""), "hex");
}

function decode(text: string, by = decoder()): HeaderBlock {
  return by.decode(hex(text));
}

/** `name: value` lines. */
function lines(block: HeaderBlock): string[] {
  if (block.at !== "fields") throw new Error(`not accepted: ${JSON.stringify(block)}`);
  return block.fields.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${block.fields[i + 1]}`] : []));
}

/** A literal that is not entered, its name and value not Huffman-coded. */
function literal(name: string, value: string): string {
  return `00${plain(name)}${plain(value)}`;
}

function plain(text: string): string {
  return Buffer.concat([Buffer.of(text.length), Buffer.from(text, "latin1")]).toString("hex");
}

describe("a header block is refused", () => {
  test.each([
    ["index 0", "80", /index 0/],
    ["an index beyond the static table", "be", /beyond the table/],
    ["an index far beyond", "ff ff ff 7f", /beyond the table/],
    ["a name's index beyond the table", "7e 01 61", /name's index/],
    ["an integer that goes on without end", "ff 80 80 80 80 80", /integer/],
    ["an integer above what can be valid", "ff ff ff ff ff 0f", /integer/],
    ["an integer that is cut off", "ff", /integer/],
    ["a literal without a name", "40", /string is missing/],
    ["a literal without a value", "40 01 61", /string is missing/],
    ["a name beyond the block", "40 05 61", /beyond the block/],
    ["a value beyond the block", "40 01 61 03 61", /beyond the block/],
    ["a length that is cut off", "40 7f", /integer/],
    ["Huffman-coded EOS", "00 01 61 84 ff ff ff ff", /Huffman/],
    ["a table size update behind a field", "82 20", /behind a field/],
    ["three table size updates", "20 20 20 82", /more than two/],
    ["a table size update above the limit", "3f e2 1f", /above the limit/],
    ["a table size update that is cut off", "3f", /integer/],
  ])("with %s", (_, block, why) => {
    expect(decode(block)).toEqual({ at: "refused", why: expect.stringMatching(why) as string });
  });

  test("that does not begin with the update which a lower limit demands", () => {
    const by = decoder();
    by.limitTable(100);
    expect(decode("82", by)).toMatchObject({ at: "refused" });
  });

  test("whose update stays above a lower limit", () => {
    const by = decoder();
    by.limitTable(100);
    expect(decode("3f 46 82", by)).toMatchObject({ at: "refused", why: expect.stringContaining("above") as string });
  });

  test("that refers to an entry which an update has driven out", () => {
    const by = decoder();
    expect(lines(decode("40 01 61 01 62", by))).toEqual(["a: b"]);
    expect(lines(decode("be", by))).toEqual(["a: b"]);
    expect(decode("20 be", by)).toMatchObject({ at: "refused" });
  });
});

describe("a message is malformed, and the connection goes on", () => {
  test.each([
    ["an upper-case name", literal("Host", "a")],
    ["an empty name", literal("", "a")],
    ["a space in a name", literal("a b", "a")],
    ["a colon within a name", literal("a:b", "c")],
    ["CR in a name", literal("a\r", "c")],
    ["an octet of 0x80 in a name", literal("a\x80", "c")],
    ["NUL in a value", literal("a", "b\0c")],
    ["CR in a value", literal("a", "b\rc")],
    ["LF in a value", literal("a", "b\nc")],
    ["DEL in a value", literal("a", "\x7f")],
    ["a space before a value", literal("a", " b")],
    ["a tab behind a value", literal("a", "b\t")],
    ["a value of nothing but a space", literal("a", " ")],
    [
      "LF in a Huffman-coded value",
      `000161${Buffer.of(0x80 | encodeHuffman(Buffer.from("\n")).length).toString("hex")}${encodeHuffman(Buffer.from("\n")).toString("hex")}`,
    ],
  ])("with %s", (_, block) => {
    const by = decoder();
    expect(decode(`${block}82`, by)).toMatchObject({ at: "malformed" });
    expect(lines(decode("82", by))).toEqual([":method: GET"]);
  });

  test("when it repeats a malformed field from the table", () => {
    const by = decoder();
    expect(decode("40 01 41 01 62", by)).toMatchObject({ at: "malformed" });
    expect(decode("be", by)).toMatchObject({ at: "malformed" });
  });

  test("but a sound value under the name of a field whose value was not is accepted", () => {
    const by = decoder();
    expect(decode("40 01 61 01 0a", by)).toMatchObject({ at: "malformed" });
    expect(lines(decode("7e 01 62", by))).toEqual(["a: b"]);
  });
});

describe("a header list is too large, and the tables stay in step", () => {
  test("by its octets", () => {
    const by = decoder({ listBytesMax: 100 });
    expect(decode(`${literal("a", "b".repeat(40))}4001610162${literal("a", "b".repeat(40))}`, by).at).toBe("too-large");
    expect(lines(decode("be", by))).toEqual(["a: b"]);
  });

  test("by its fields", () => {
    expect(decode("82".repeat(101)).at).toBe("too-large");
    expect(lines(decode("82".repeat(100)))).toHaveLength(100);
  });

  test("when a small block repeats a large entry over and over", () => {
    const by = decoder({ countMax: 1_000_000 });
    const entering = Buffer.concat([hex("40 01 61 7f 81 1d"), Buffer.alloc(3_840, 0x62)]);
    expect(by.decode(entering).at).toBe("fields");
    // 16 KiB would unfold to 60 MiB.
    expect(by.decode(Buffer.alloc(16_384, 0xbe)).at).toBe("too-large");
  });
});

describe("the examples of RFC 7541 appendix C", () => {
  const REQUESTS = [
    [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
    [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
    [":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"],
  ];
  const RESPONSES = [
    [
      ":status: 302",
      "cache-control: private",
      "date: Mon, 21 Oct 2013 20:13:21 GMT",
      "location: https://www.example.com",
    ],
    [
      ":status: 307",
      "cache-control: private",
      "date: Mon, 21 Oct 2013 20:13:21 GMT",
      "location: https://www.example.com",
    ],
    [
      ":status: 200",
      "cache-control: private",
      "date: Mon, 21 Oct 2013 20:13:22 GMT",
      "location: https://www.example.com",
      "content-encoding: gzip",
      "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ],
  ];

  test.each([
    ["C.2.1", "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key: custom-header"],
    ["C.2.2", "040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path"],
    ["C.2.3", "1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret"],
    ["C.2.4", "82", ":method: GET"],
  ])("%s", (_, block, line) => {
    expect(lines(decode(block))).toEqual([line]);
  });

  test.each([
    [
      "C.3, requests without Huffman coding",
      4_096,
      REQUESTS,
      [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
      ],
    ],
    [
      "C.4, requests with Huffman coding",
      4_096,
      REQUESTS,
      [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      ],
    ],
    [
      "C.5, responses without Huffman coding, with evictions",
      256,
      RESPONSES,
      [
        `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32
         3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
        "4803 3330 37c1 c0bf",
        `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970
         7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61
         6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
      ],
    ],
    [
      "C.6, responses with Huffman coding, with evictions",
      256,
      RESPONSES,
      [
        `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad
         1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
        "4883 640e ffc1 c0bf",
        `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2
         e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
      ],
    ],
  ])("%s", (_, tableBytesMax, expected, blocks) => {
    const by = decoder({ tableBytesMax });
    expect(blocks.map((block) => lines(decode(block, by)))).toEqual(expected);
  });
});

describe("the dynamic table", () => {
  test("is emptied by an entry that is larger than it, which is delivered all the same", () => {
    const by = decoder({ tableBytesMax: 64 });
    expect(lines(decode("40 01 61 01 62", by))).toEqual(["a: b"]);
    const large = "c".repeat(40);
    expect(lines(by.decode(Buffer.from(`\x40\x01d\x28${large}`, "latin1")))).toEqual([`d: ${large}`]);
    expect(decode("be", by).at).toBe("refused");
  });

  test("keeps a field whose name is an entry that its own insertion drives out", () => {
    const by = decoder({ tableBytesMax: 34 });
    expect(lines(decode("40 01 61 01 62", by))).toEqual(["a: b"]);
    expect(lines(decode("7e 01 63", by))).toEqual(["a: c"]);
    expect(lines(decode("be", by))).toEqual(["a: c"]);
  });

  test("shrinks and grows as two updates in one block say", () => {
    const by = decoder();
    expect(lines(decode("40 01 61 01 62", by))).toEqual(["a: b"]);
    expect(decode("20 3f e1 1f be", by).at).toBe("refused");
  });

  test("has no entry of more memory than it counts", () => {
    const by = decoder({ tableBytesMax: 128 });
    for (let i = 0; i < 1_000; i++) expect(decode("40 01 61 01 62", by).at).toBe("fields");
    // 128 octets are three entries of 34.
    expect(lines(decode("c0", by))).toEqual(["a: b"]);
    expect(decode("c1", by).at).toBe("refused");
  });
});

test("whatever comes is decoded or refused, and never more than the bounds", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }), (blocks) => {
      const by = decoder({ listBytesMax: 512, countMax: 8 });
      for (const block of blocks) {
        const result = by.decode(Buffer.from(block));
        if (result.at === "refused") return;
        if (result.at !== "fields") continue;
        const bytes = result.fields.reduce((sum, text) => sum + text.length + 16, 0);
        expect(bytes).toBeLessThanOrEqual(512);
        expect(result.fields.length).toBeLessThanOrEqual(16);
      }
    }),
    { numRuns: 2_000 },
  );
});
