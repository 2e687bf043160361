import { describe, expect, test } from "vitest";
import { type Claims, withWordLists } from "../../../src/policy/claims.ts";
import { isAllowed, policy, when } from "../../support/policy-world.ts";

const USER: Claims = { iss: "https://id.example", sub: "alice", aud: ["shop", "bank"], azp: "web" };

function mayPass(rule: object, claims: Claims | null): boolean {
  return isAllowed([policy("p", { rules: [rule] })], { claims });
}

function from(source: object): object {
  return { from: [{ source }] };
}

describe("requestPrincipals", () => {
  // requestPrincipalGenerator, pilot/pkg/security/authz/model/generator.go
  test.each<[string, boolean, Claims | null]>([
    ["*", true, USER],
    ["*", false, null],
    ["*", false, { ...USER, sub: "" }],
    ["*", false, { iss: "a" }],
    ["*", false, { sub: "a" }],
    ["*", false, { ...USER, sub: ["alice"] }],
    ["https://id.example/*", true, USER],
    ["https://id.example/*", false, { ...USER, iss: "https://id.example.evil" }],
    ["https://id.example/*", false, { ...USER, iss: "https://id.example/" }],
    ["https://id.example/al*", true, USER],
    ["https://id.example/bo*", false, USER],
    ["https://id.example/alice", true, USER],
    ["https://id.example/alice", false, { ...USER, sub: "alice2" }],
    ["https://id.example/Alice", false, USER],
    ["*/alice", true, USER],
    ["*/lice", false, USER],
    ["*.example/alice", true, USER],
    ["*.example/alice", false, { ...USER, iss: "https://id.elsewhere" }],
    ["*ice", true, USER],
    ["*ice", false, { ...USER, sub: "bob" }],
    ["https*", true, USER],
    ["https://id*", false, USER],
    ["id*", true, { iss: "idp", sub: "x" }],
    ["id*", false, { iss: "other", sub: "x" }],
    ["id", true, { iss: "id", sub: "" }],
    ["id", false, { iss: "id", sub: "x" }],
    // The last slash parts the two: a subject with a slash of its own is not reached by its issuer's name.
    ["id/a/b", false, { iss: "id", sub: "a/b" }],
    ["id/a/b", true, { iss: "id/a", sub: "b" }],
  ])("%s: %s", (value, isMatch, claims) => {
    expect(mayPass(from({ requestPrincipals: [value] }), claims)).toBe(isMatch);
    expect(mayPass(when("request.auth.principal", { values: [value] }), claims)).toBe(isMatch);
    expect(mayPass(from({ notRequestPrincipals: [value] }), claims)).toBe(!isMatch);
    const denied = [
      policy("d", { action: "DENY", rules: [from({ requestPrincipals: [value] })] }),
      policy("a", { rules: [{}] }),
    ];
    expect(isAllowed(denied, { claims })).toBe(!isMatch);
  });

  test("stand beside what the connection's source must be: both have to fit", () => {
    const both = from({ principals: ["cluster.local/ns/shop/sa/web"], requestPrincipals: ["*/alice"] });
    const documents = [policy("p", { rules: [both] })];
    expect(isAllowed(documents, { claims: USER })).toBe(true);
    expect(isAllowed(documents, { claims: { ...USER, sub: "bob" } })).toBe(false);
    expect(isAllowed(documents, { claims: USER, principal: "spiffe://cluster.local/ns/shop/sa/db" })).toBe(false);
  });

  test("of one source do not open another one", () => {
    const rule = { from: [{ source: { namespaces: ["bank"] } }, { source: { requestPrincipals: ["*/bob"] } }] };
    expect(mayPass(rule, USER)).toBe(false);
    expect(mayPass(rule, { ...USER, sub: "bob" })).toBe(true);
  });
});

describe("request.auth.audiences and .presenter are the claims aud and azp", () => {
  test.each<[string, string, boolean, Claims | null]>([
    ["request.auth.audiences", "shop", true, USER],
    ["request.auth.audiences", "bank", true, USER],
    ["request.auth.audiences", "ban*", true, USER],
    ["request.auth.audiences", "other", false, USER],
    ["request.auth.audiences", "shop", true, { ...USER, aud: "shop" }],
    ["request.auth.audiences", "*", false, { iss: "a", sub: "b" }],
    ["request.auth.presenter", "web", true, USER],
    ["request.auth.presenter", "*", true, USER],
    ["request.auth.presenter", "shop", false, USER],
    ["request.auth.presenter", "*", false, null],
  ])("%s %s: %s", (key, value, isMatch, claims) => {
    expect(mayPass(when(key, { values: [value] }), claims)).toBe(isMatch);
    expect(mayPass(when(key, { notValues: [value] }), claims)).toBe(!isMatch);
  });
});

describe("request.auth.claims", () => {
  test.each<[string, string, boolean, Claims | null]>([
    ["[group]", "admin", true, { group: "admin" }],
    ["[group]", "admin", true, { group: ["user", "admin"] }],
    ["[group]", "adm*", true, { group: ["admin"] }],
    ["[group]", "*min", true, { group: "admin" }],
    ["[group]", "*", true, { group: ["x"] }],
    ["[group]", "*", false, { group: [] }],
    ["[group]", "*", false, { group: "" }],
    ["[group]", "*", false, { other: "x" }],
    ["[group]", "*", false, null],
    ["[group]", "Admin", false, { group: "admin" }],
    // Only texts and lists of texts are looked at.
    ["[level]", "7", false, { level: 7 }],
    ["[level]", "7", false, { level: [7] }],
    ["[level]", "true", false, { level: true }],
    ["[level]", "*", false, { level: 7 }],
    ["[level]", "*", false, { level: null }],
    ["[level]", "*", false, { level: { x: "y" } }],
    ["[level]", "a", false, { level: [["a"]] }],
    ["[realm][roles]", "ops", true, { realm: { roles: ["ops"] } }],
    ["[realm][roles]", "ops", true, { realm: { roles: "ops" } }],
    ["[realm][roles]", "ops", false, { realm: { roles: { ops: "ops" } } }],
    ["[realm][roles]", "ops", false, { realm: ["roles"] }],
    ["[realm][roles]", "ops", false, { "realm][roles": "ops" }],
    ["[a.b/c]", "x", true, { "a.b/c": "x" }],
    ["[a.b]", "x", false, { a: { b: "x" } }],
    ["[a[b]]", "x", true, { "a[b]": "x" }],
    ["[__proto__]", "*", false, { a: "x" }],
    ["[constructor][name]", "*", false, { a: "x" }],
  ])("%s %s: %s", (name, value, isMatch, claims) => {
    expect(mayPass(when(`request.auth.claims${name}`, { values: [value] }), claims)).toBe(isMatch);
    expect(mayPass(when(`request.auth.claims${name}`, { notValues: [value] }), claims)).toBe(!isMatch);
  });

  test("with values and notValues must fit the one and none of the other", () => {
    const both = when("request.auth.claims[group]", { values: ["a*"], notValues: ["admin"] });
    expect(mayPass(both, { group: ["auditor"] })).toBe(true);
    expect(mayPass(both, { group: ["auditor", "admin"] })).toBe(false);
  });
});

describe("bytes that are not HTTP have no token", () => {
  test("an ALLOW rule that asks for one never matches them", () => {
    const rules = [from({ requestPrincipals: ["*"] }), from({ notRequestPrincipals: ["*"] })];
    expect(isAllowed([policy("p", { rules })], { isTcp: true })).toBe(false);
    expect(
      isAllowed([policy("p", { rules: [when("request.auth.claims[a]", { notValues: ["b"] })] })], { isTcp: true }),
    ).toBe(false);
  });

  test("of a DENY rule that clause is dropped, and the rest denies", () => {
    const rule = { ...from({ requestPrincipals: ["*"] }), to: [{ operation: { ports: ["8080"] } }] };
    const documents = [policy("d", { action: "DENY", rules: [rule] }), policy("a", { rules: [{}] })];
    expect(isAllowed(documents, { isTcp: true, port: 8080 })).toBe(false);
    expect(isAllowed(documents, { isTcp: true, port: 9090 })).toBe(true);
  });
});

test("a text that is a list of words is matched word by word, where it is named as one", () => {
  const claims = withWordLists({ scope: "read  write", roles: "a b", list: ["x y"] }, ["scope", "list"]);
  expect(claims).toEqual({ scope: ["read", "write"], roles: "a b", list: ["x y"] });
  expect(mayPass(when("request.auth.claims[scope]", { values: ["write"] }), claims)).toBe(true);
  expect(mayPass(when("request.auth.claims[scope]", { values: ["read  write"] }), claims)).toBe(false);
});
