import * as fc from "fast-check";
import { expect, test } from "vitest";
import { diffJson, pointerSteps } from "../../../../src/control/inject/json-patch.ts";
import type { JsonValue } from "../../../../src/core/json-value.ts";
import { applyJsonPatch } from "../../../support/json-patch.ts";

const named = fc.uniqueArray(
  fc.record({ name: fc.constantFrom("a", "b", "c", "d"), v: fc.integer({ max: 2, min: 0 }) }),
  {
    selector: (item) => item.name,
  },
);
const json = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<JsonValue[]>(null, true, 0, "", "a/b~c"),
    named as fc.Arbitrary<JsonValue>,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom("", "a", "a/b", "m~n", "~1", "__proto__", "name"), tie("value"), { maxKeys: 4 }),
  ),
})).value;

test("the patch makes the one of the other, whatever they are", () => {
  fc.assert(
    fc.property(json, json, (before, after) => {
      expect(applyJsonPatch(before, diffJson(before, after))).toEqual(after);
    }),
    { numRuns: 2_000 },
  );
});

test("between equals there is nothing to do", () => {
  fc.assert(
    fc.property(json, (value) => {
      expect(diffJson(value, JSON.parse(JSON.stringify(value)) as JsonValue)).toEqual([]);
    }),
  );
});

test.each<[string, JsonValue, JsonValue, object[]]>([
  [
    "an item put before the others is one addition",
    { l: [{ name: "b" }] },
    { l: [{ name: "a" }, { name: "b" }] },
    [{ op: "add", path: "/l/0", value: { name: "a" } }],
  ],
  [
    "a parent that is absent is made with what is in it",
    {},
    { m: { a: "1" } },
    [{ op: "add", path: "/m", value: { a: "1" } }],
  ],
  ["a key with a slash is escaped", { m: {} }, { m: { "a/b~": 1 } }, [{ op: "add", path: "/m/a~1b~0", value: 1 }]],
  ["an item in the middle goes alone", [1, 2, 3], [1, 2], [{ op: "remove", path: "/2" }]],
  [
    "a named item is changed where it is",
    [
      { name: "a", v: 1 },
      { name: "b", v: 1 },
    ],
    [{ name: "b", v: 2 }],
    [
      { op: "remove", path: "/0" },
      { op: "replace", path: "/0/v", value: 2 },
    ],
  ],
  [
    "items in another order are written anew",
    [{ name: "a" }, { name: "b" }],
    [{ name: "b" }, { name: "a" }],
    [{ op: "replace", path: "", value: [{ name: "b" }, { name: "a" }] }],
  ],
])("%s", (_, before, after, patch) => {
  expect(diffJson(before, after)).toEqual(patch);
});

test("a path is read back as it was meant", () => {
  expect(pointerSteps("/a~1b~0/0/~01")).toEqual(["a/b~", "0", "~1"]);
});

// The applier itself: each of these is an error at the API server.
test.each([
  ["a parent that is absent", { op: "add", path: "/m/a", value: 1 }],
  ["an item beyond the end", { op: "add", path: "/l/2", value: 1 }],
  ["a removal of what is not there", { op: "remove", path: "/x" }],
  ["an index with a sign", { op: "add", path: "/l/+1", value: 1 }],
])("a patch on %s is refused", (_, operation) => {
  expect(() => applyJsonPatch({ l: [1] }, [operation])).toThrow(operation.path);
});
