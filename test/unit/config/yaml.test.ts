import { describe, expect, test } from "vitest";
import { parseYaml } from "../../../src/config/yaml.ts";
import { LIMITS } from "../../../src/core/limits.ts";
import { type Fault, formatFault } from "../../../src/core/located.ts";
import { lookUp, plainOf } from "../../../src/core/schema.ts";

function read(text: string): { plain: unknown[]; faults: string[] } {
  const faults: Fault[] = [];
  const documents = parseYaml(text, "f.yaml", faults);
  return { plain: documents.map(plainOf), faults: faults.map(formatFault) };
}

function level(name: string, of: string): string {
  return `${name}: &${name} [${Array(9).fill(`*${of}`).join(",")}]`;
}

describe("what is read", () => {
  test.each<[string, string, unknown[]]>([
    ["several documents, empty ones left out", "a: 1\n---\n---\nb: 2\n---\n", [{ a: 1 }, { b: 2 }]],
    [
      "YAML 1.2's core schema",
      "a: yes\nb: 0o17\nc: 0x1F\nd: 1e3\ne: ~\nf: 017",
      [{ a: "yes", b: 15, c: 31, d: 1000, e: null, f: 17 }],
    ],
    ["JSON, tabs and escapes too", '{\n\t"a": ["\\ud83d\\ude00"],\n\t"b": null}', [{ a: ["😀"], b: null }]],
    ["a byte order mark", "\uFEFFa: 1", [{ a: 1 }]],
    ["CRLF", "a: 1\r\nb: 2\r\n", [{ a: 1, b: 2 }]],
    ["a number as a key, as it was written", "080: x\n80: y", [{ "080": "x", "80": "y" }]],
    ["an anchor used now and then", "a: &x [1]\nb: *x", [{ a: [1], b: [1] }]],
    ["a tag of the core schema", "a: !!str 80", [{ a: "80" }]],
    ["a quoted << is a key", '"<<": 1', [{ "<<": 1 }]],
  ])("%s", (_name, text, wanted) => {
    expect(read(text)).toEqual({ plain: wanted, faults: [] });
  });
});

describe("what is refused", () => {
  test.each<[string, string, string]>([
    ["an empty file", "", "f.yaml:1:1: empty file"],
    ["nothing but comments", "# nothing\n\n", "f.yaml:1:1: empty file"],
    ["nothing but separators", "---\n---\n", "f.yaml:1:1: empty file"],
    ["an open list", "a: [1, 2\nb: 3\n", "f.yaml:2:1: not valid YAML: "],
    ["a tab as indentation", "a:\n\tb: 1\n", "f.yaml:2:1: not valid YAML: Tabs are not allowed as indentation"],
    ["two JSON objects in a row", '{"a":1}{"b":2}', "f.yaml:1:8: not valid YAML: "],
    ["a merge key", "a: &x {b: 1}\nc:\n  <<: *x\n", "f.yaml:3:3: merge keys are YAML 1.1"],
    ["an alias to nothing", "a: *x", "f.yaml:1:4: there is no anchor &x before this"],
    ["an alias across documents", "a: &x 1\n---\nb: *x", "f.yaml:3:4: there is no anchor &x before this"],
    ["an alias to itself", "a: &x\n  b: *x\n", "is nested deeper than 64 levels"],
    ["a tag that JSON cannot say", "a: !!binary aGk=", "the tag tag:yaml.org,2002:binary is not taken"],
    ["a tag of somebody's own", "a: !secret x", "the tag !secret is not taken"],
    ["YAML 1.1", "%YAML 1.1\n---\na: yes\n", "is read as YAML 1.2 only"],
    ["a list as a key", "? [a]\n: b\n", "f.yaml:1:3: a map's keys must be plain words"],
    ["an empty key", ": b\n", "a map's keys must be plain words"],
    ["deep nesting", "[".repeat(65) + "]".repeat(65), "f.yaml:1:65: is nested deeper than 64 levels"],
    ["nesting that exhausts the stack", "[".repeat(100_000), "is nested deeper than 64 levels"],
    ["the same, closed", "[".repeat(20_000) + "]".repeat(20_000), "is nested deeper than 64 levels"],
    ["a file over the limit", `a: ${"x".repeat(LIMITS.documentBytesMax)}`, "is larger than 1048576 bytes"],
  ])("%s", (_name, text, message) => {
    const { plain, faults } = read(text);
    expect(plain).toEqual([]);
    expect(faults[0]).toContain(message);
  });

  test("a bomb of aliases, by its second level", () => {
    const text = ["a: &a [x,x,x,x,x,x,x,x,x]", level("b", "a"), level("c", "b"), level("d", "c"), level("e", "d")];
    expect(read(text.join("\n"))).toEqual({ plain: [], faults: ["f.yaml: uses more than 100 aliases"] });
  });

  test("a few aliases to something huge", () => {
    const huge = `a: &a [${"1,".repeat(20_000)}]`;
    const text = [huge, ...Array.from({ length: 60 }, (_, i) => `b${i}: *a`)].join("\n");
    expect(read(text).faults).toEqual(["f.yaml: its aliases expand to too many values"]);
  });

  test("one bad document refuses the others of its file", () => {
    expect(read("a: 1\n---\nb: [\n").plain).toEqual([]);
  });
});

test("every value knows its line and column, and so does an empty one", () => {
  const [document] = parseYaml("a:\n  - b: x\n    c:\n", "f.yaml", []);
  const item = lookUp(document!, "a")!;
  expect(item.at).toEqual({ line: 2, column: 3 });
  const fields = item.kind === "list" ? item.items[0]! : item;
  expect(lookUp(fields, "b")?.at).toEqual({ line: 2, column: 8 });
  expect(lookUp(fields, "c")?.at).toEqual({ line: 3, column: 7 });
});
