import { describe, expect, test } from "vitest";
import { type Fault, formatFault, type Located, locatePlain } from "../../../src/core/located.ts";
import {
  boolean,
  ignored,
  integer,
  listOf,
  lookUp,
  mapOf,
  object,
  oneOf,
  optional,
  parsed,
  placed,
  plainOf,
  refused,
  required,
  type Schema,
  string,
  withDefault,
} from "../../../src/core/schema.ts";

function read<T>(schema: Schema<T>, value: unknown): { value: T | undefined; faults: string[] } {
  return readLocated(schema, locatePlain(value));
}

function readLocated<T>(schema: Schema<T>, located: Located): { value: T | undefined; faults: string[] } {
  const faults: Fault[] = [];
  const value = schema(located, { file: "f", field: "", faults });
  return { value, faults: faults.map(formatFault) };
}

function scalar(value: string): Located {
  return { kind: "scalar", at: { line: 1, column: 1 }, value };
}

const person = object({
  name: required(string()),
  age: optional(integer({ min: 0, max: 150 })),
  role: withDefault(oneOf("admin", "user"), "user"),
  tags: optional(listOf(string(), { minCount: 1 })),
  extra: ignored(),
  token: refused("is not yet supported"),
});

test("an object with what it must have takes the rest by default", () => {
  expect(read(person, { name: "ann", extra: { any: ["thing"] } })).toEqual({
    value: { name: "ann", age: null, role: "user", tags: null, extra: null, token: null },
    faults: [],
  });
});

test("every fault is named in one reading, in the order of the fields", () => {
  const { value, faults } = read(person, { age: 200, role: "admn", tags: ["a", 7, ""], token: 1, nam: "x" });
  expect(value).toBeUndefined();
  expect(faults).toEqual([
    "f: nam: unknown field; did you mean `name`?",
    "f: name: is required",
    "f: age: expected a whole number from 0 to 150, found 200",
    'f: role: expected one of admin, user, found "admn"; did you mean `admin`?',
    'f: tags[1]: expected a string, found the number 7 (as a string it is written "7")',
    "f: tags[2]: must not be empty",
    "f: token: is not yet supported",
  ]);
});

describe("a value of another type says what was found", () => {
  test.each<[string, Schema<unknown>, unknown, string]>([
    ["a map for a string", string(), {}, "f: expected a string, found a map"],
    ["a list for a string", string(), [], "f: expected a string, found a list"],
    ["null for a string", string(), null, "f: expected a string, found nothing (null)"],
    ["a boolean for a string", string(), true, 'found the boolean true (as a string it is written "true")'],
    ["a text for a list", listOf(string()), "a", 'f: expected a list, found the text "a"'],
    ["null for a list", listOf(string()), null, "f: expected a list, found nothing (null)"],
    ["a list for a map", mapOf(string()), [], "f: expected a map, found a list"],
    ["a list for an object", person, ["a"], "f: expected a map, found a list"],
    ["a text for a boolean", boolean(), "yes", 'f: expected true or false, found the text "yes"'],
    ["a text for a number", integer({ min: 1, max: 2 }), "1", "expected a whole number from 1 to 2"],
    ["a broken number", integer({ min: 1, max: 2 }), 1.5, "expected a whole number from 1 to 2"],
    ["a number for a word", oneOf("a", "b"), 1, "f: expected one of a, b, found the number 1"],
    ["an empty list", listOf(string(), { minCount: 1 }), [], "must not be an empty list"],
    ["a long text, cut", listOf(string()), "x".repeat(100), `"${"x".repeat(60)}…"`],
  ])("%s", (_name, schema, value, message) => {
    const { value: result, faults } = read(schema, value);
    expect(result).toBeUndefined();
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(message);
  });
});

test("a field given twice is a fault at the second one", () => {
  const entries = [
    { key: "name", keyAt: { line: 1, column: 1 }, value: scalar("a") },
    { key: "name", keyAt: { line: 2, column: 1 }, value: scalar("b") },
  ];
  const located: Located = { kind: "map", at: { line: 1, column: 1 }, entries };
  expect(readLocated(person, located)).toEqual({
    value: undefined,
    faults: ["f:2:1: name: is given twice (first on line 1)"],
  });
  expect(readLocated(mapOf(string()), located).faults).toEqual(["f:2:1: name: is given twice (first on line 1)"]);
});

test("a name from the prototype is an unknown field like any other", () => {
  const { faults } = read(person, JSON.parse('{"name": "a", "__proto__": {}, "constructor": 1}'));
  expect(faults.map((fault) => fault.split(";")[0])).toEqual([
    "f: __proto__: unknown field",
    "f: constructor: unknown field",
  ]);
});

test("a map keeps keys from the prototype as plain keys", () => {
  const { value } = read(mapOf(string()), JSON.parse('{"__proto__": "a", "toString": "b"}'));
  expect(value?.get("__proto__")).toBe("a");
  expect([...(value?.keys() ?? [])]).toEqual(["__proto__", "toString"]);
});

test("a parser's own complaint becomes a fault at its value", () => {
  const even = parsed(integer({ min: 0, max: 9 }), (value) => {
    if (value % 2 === 1) throw new Error(`expected an even number, found ${value}`);
    return value / 2;
  });
  expect(read(object({ n: required(even) }), { n: 4 }).value).toEqual({ n: 2 });
  expect(read(object({ n: required(even) }), { n: 3 }).faults).toEqual(["f: n: expected an even number, found 3"]);
});

test("a placed value knows its field, and names that are no words are quoted in it", () => {
  const schema = object({ "istio.io/dry-run": required(listOf(placed(string()))) });
  const { value } = read(schema, { "istio.io/dry-run": ["a"] });
  expect(value?.["istio.io/dry-run"][0]).toEqual({ value: "a", at: null, field: '["istio.io/dry-run"][0]' });
});

test("plain values come back as they were, and can be looked into", () => {
  const plain = { a: [1, "x", null, { b: true }] };
  expect(plainOf(locatePlain(plain))).toEqual(plain);
  expect(lookUp(locatePlain(plain), "a")?.kind).toBe("list");
  expect(lookUp(locatePlain(plain), "b")).toBeNull();
  expect(lookUp(locatePlain([1]), "a")).toBeNull();
});
