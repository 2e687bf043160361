import { expect, test } from "vitest";
import { headerOf, type RequestTest, requestTestHolds } from "../../../src/policy/clause-test.ts";
import type { RequestFacts } from "../../../src/policy/facts.ts";
import { parsePathTemplate } from "../../../src/policy/path-template.ts";

function requestOf(fields: { readonly path?: string; readonly host?: string }): RequestFacts {
  const { path = "/", host = "" } = fields;
  return { method: "GET", path, host, header: (name) => (name === "host" ? "forged" : undefined), claims: null };
}

function holds(path: string, isWide: boolean): boolean {
  const asked: RequestTest = { of: "template", template: parsePathTemplate("/a/{*}"), isWide };
  return requestTestHolds(asked, requestOf({ path }));
}

test("one template of a clause holds for what it matches, and for nothing else", () => {
  for (const isWide of [true, false]) {
    for (const path of ["/b/x", "/a", "/a/x/y", "/"]) expect(holds(path, isWide), path).toBe(false);
    expect(holds("/a/x", isWide)).toBe(true);
  }
});

test("the header host is the authority, and absent where there is none, whatever fields were sent", () => {
  expect(headerOf(requestOf({}), "host")).toBeUndefined();
  expect(headerOf(requestOf({ host: "orders:8080" }), "host")).toBe("orders:8080");
  expect(headerOf(requestOf({ host: "mutant" }), "host")).toBe("mutant");
  expect(headerOf(requestOf({ host: "orders" }), "x-other")).toBeUndefined();
});
