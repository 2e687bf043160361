import { describe, expect, test } from "vitest";
import { bytes, duration, percent, rate, showText } from "../../../src/ui/format.ts";

describe("a text that was sent by others", () => {
  test.each([
    ["a terminal's colours", "\u001b[31mred", "\\u{1b}[31mred"],
    ["a word that turns what follows", "/pay\u202etxt.exe", "/pay\\u{202e}txt.exe"],
    ["isolates", "\u2066a\u2069", "\\u{2066}a\\u{2069}"],
    ["what has no width", "pay\u200bments\ufeff", "pay\\u{200b}ments\\u{feff}"],
    ["what looks empty", "a\u3164b\u2800c", "a\\u{3164}b\\u{2800}c"],
    ["lines", "a\nb\rc\u2028d", "a\\u{a}b\\u{d}c\\u{2028}d"],
    ["half of a pair", "a\ud800b", "a\\u{d800}b"],
    ["marks that change what stands before them", "a\ufe0fb\u{e0101}", "a\\u{fe0f}b\\u{e0101}"],
    ["a private character", "\ue000", "\\u{e000}"],
    ["tags", "\u{e0041}", "\\u{e0041}"],
    ["NUL", "\0", "\\u{0}"],
  ])("shows %s", (_name, text, shown) => expect(showText(text)).toBe(shown));

  test.each(["/orders?a=<script>alert(1)</script>", "größe 注文 заказ", "a & b", "🙂", "replacement \ufffd"])(
    "leaves %j as it is",
    (text) => expect(showText(text)).toBe(text),
  );

  test("of 8 KiB is shown whole", () => {
    expect(showText("/a".repeat(4_096))).toHaveLength(8_192);
  });
});

test.each([
  [0, 60, "0/s"],
  [600, 60, "10/s"],
  [90, 60, "1.5/s"],
  [3, 60, "3/min"],
  [1, 3_600, "1/h"],
  [1_200_000, 60, "20.0k/s"],
])("%i in %i s is %s", (count, seconds, text) => expect(rate(count, seconds)).toBe(text));

test("numbers are short, and say when they are none", () => {
  expect([duration(null), duration(0.4), duration(12.3), duration(1_500)]).toEqual(["–", "0.40 ms", "12 ms", "1.5 s"]);
  expect([bytes(0), bytes(1_536), bytes(5 * 1024 ** 3)]).toEqual(["0 B", "1.5 KiB", "5.0 GiB"]);
  expect([percent(0, 0), percent(1, 10_000), percent(1, 3)]).toEqual(["0 %", "< 0.1 %", "33 %"]);
});
