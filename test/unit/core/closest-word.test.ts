import { expect, test } from "vitest";
import { closestWord } from "../../../src/core/closest-word.ts";

const FIELDS = ["principals", "notPrincipals", "namespaces", "ports", "paths", "hosts", "to", "from", "when"];

test.each([
  ["principal", "principals"],
  ["Principals", "principals"],
  ["pricnipals", "principals"],
  ["namepsaces", "namespaces"],
  ["prots", "ports"],
  ["form", "from"],
  ["port", "ports"],
  ["notprincipals", "notPrincipals"],
])("%s was meant to be %s", (word, wanted) => {
  expect(closestWord(word, FIELDS)).toBe(wanted);
});

test.each(["", "x", "t", "ot", "selector", "principalities", "a".repeat(10_000)])(
  "nothing is close to %.20s",
  (word) => {
    expect(closestWord(word, FIELDS)).toBeNull();
  },
);

test("of equally close words the first one listed wins", () => {
  expect(closestWord("pats", ["parts", "paths"])).toBe("parts");
});
