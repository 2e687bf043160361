import { expect, test } from "vitest";
import { type Fault, locatePlain } from "../../../src/core/located.ts";
import { CLAIMS, type Claims, claimTexts, requestPrincipalOf, withWordLists } from "../../../src/policy/claims.ts";

test.each<[string, Claims | null, string | null]>([
  ["issuer and subject", { iss: "id", sub: "alice" }, "id/alice"],
  ["both empty", { iss: "", sub: "" }, "/"],
  ["an issuer that is an URL", { iss: "https://id.example/a", sub: "b" }, "https://id.example/a/b"],
  ["no token", null, null],
  ["no subject", { iss: "id" }, null],
  ["no issuer", { sub: "alice" }, null],
  ["a subject that is no text", { iss: "id", sub: 7 }, null],
  ["an issuer that is no text", { iss: ["id"], sub: "alice" }, null],
  ["neither", {}, null],
])("an end user is named by issuer and subject: %s", (_name, claims, wanted) => {
  expect(requestPrincipalOf(claims)).toBe(wanted);
});

test("a claim's texts are itself or those of its list", () => {
  const claims = { one: "a", many: ["a", 7, "b", null], none: 7, deep: { down: ["x"] } };
  expect(claimTexts(claims, ["one"])).toEqual(["a"]);
  expect(claimTexts(claims, ["many"])).toEqual(["a", "b"]);
  expect(claimTexts(claims, ["deep", "down"])).toEqual(["x"]);
  for (const path of [["none"], ["deep"], ["other"], ["one", "more"], ["constructor"]])
    expect(claimTexts(claims, path)).toEqual([]);
  expect(claimTexts(null, ["one"])).toEqual([]);
});

test("texts that are lists of words are taken apart, and all else stays what it is", () => {
  const claims = { scope: "read  write ", empty: "", list: ["a b"], "a.b": "x y", other: "x y" };
  expect(withWordLists(claims, ["scope", "empty", "list", "a.b", "missing"])).toEqual({
    scope: ["read", "write"],
    empty: [],
    list: ["a b"],
    "a.b": ["x", "y"],
    other: "x y",
  });
  expect(withWordLists(claims, ["list", "missing"])).toBe(claims);
  expect(withWordLists(claims, [])).toBe(claims);
});

test("claims are read as they are written, and have to be a map", () => {
  const claims = { sub: "alice", groups: ["a", 7, null], realm: { roles: [] } };
  expect(read(claims)).toEqual({ claims, faults: 0 });
  expect(read({})).toEqual({ claims: {}, faults: 0 });
  for (const value of [["a"], "a", 7, null]) expect(read(value)).toEqual({ claims: undefined, faults: 1 });
});

function read(value: unknown): { readonly claims: Claims | undefined; readonly faults: number } {
  const faults: Fault[] = [];
  return { claims: CLAIMS(locatePlain(value), { file: "a.yaml", field: "claims", faults }), faults: faults.length };
}
