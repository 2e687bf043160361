import { describe, expect, test } from "vitest";
import { type Asked, ALLOW_ALL, allow, deny, from, isAllowed, policy, to, when } from "../../support/policy-world.ts";

// What Istio's documentation shows of policies on tokens; docs/istio-sentences/ refers to these by name. How a token comes to
// be believed is not in here.

const ALICE = { iss: "issuer-a", sub: "alice" };

function expectAllowed(documents: readonly object[], asked: Asked): void {
  expect(isAllowed(documents, asked), JSON.stringify(asked)).toBe(true);
}

function expectDenied(documents: readonly object[], asked: Asked): void {
  expect(isAllowed(documents, asked), JSON.stringify(asked)).toBe(false);
}

describe("ALLOW", () => {
  test("an account or a namespace, to read, with a token of one issuer", () => {
    const documents = [
      allow({
        from: [{ source: { principals: ["cluster.local/ns/shop/sa/curl"] } }, { source: { namespaces: ["dev"] } }],
        ...to({ methods: ["GET"] }),
        ...when("request.auth.claims[iss]", { values: ["issuer-a"] }),
      }),
    ];
    for (const principal of ["spiffe://cluster.local/ns/shop/sa/curl", "spiffe://cluster.local/ns/dev/sa/x"]) {
      expectAllowed(documents, { principal, claims: ALICE });
      expectDenied(documents, { principal, claims: { ...ALICE, iss: "issuer-b" } });
      expectDenied(documents, { principal, claims: null });
      expectDenied(documents, { principal, claims: ALICE, method: "POST" });
    }
    expectDenied(documents, { claims: ALICE });
  });

  test("whoever has a token, in the mesh's root namespace: all workloads want one", () => {
    const documents = [policy("cardea-system/tokens", { rules: [from({ requestPrincipals: ["*"] })] })];
    for (const namespace of ["far", "near"]) {
      expectAllowed(documents, { workload: { namespace, labels: {} }, claims: ALICE });
      expectDenied(documents, { workload: { namespace, labels: {} }, claims: null });
    }
  });

  test("one issuer's users on one host, another's on another", () => {
    const documents = [
      allow(
        { ...from({ requestPrincipals: ["issuer-a/*"] }), ...to({ hosts: ["example.com"] }) },
        { ...from({ requestPrincipals: ["issuer-b/*"] }), ...to({ hosts: ["another-host.com"] }) },
      ),
    ];
    const bob = { iss: "issuer-b", sub: "bob" };
    expectAllowed(documents, { claims: ALICE, host: "example.com" });
    expectAllowed(documents, { claims: bob, host: "another-host.com" });
    expectDenied(documents, { claims: ALICE, host: "another-host.com" });
    expectDenied(documents, { claims: bob, host: "example.com" });
    expectDenied(documents, { claims: null, host: "example.com" });
  });

  test("with a token everywhere, without one on one path", () => {
    const documents = [allow(from({ requestPrincipals: ["*"] }), to({ paths: ["/healthz"] }))];
    expectAllowed(documents, { claims: null, path: "/healthz" });
    expectAllowed(documents, { claims: ALICE, path: "/a" });
    expectDenied(documents, { claims: null, path: "/a" });
  });

  test("with a token on all paths but one: that one is then allowed to nobody by this rule", () => {
    const rule = { ...from({ requestPrincipals: ["*"] }), ...to({ notPaths: ["/healthz"] }) };
    expectAllowed([allow(rule)], { claims: ALICE, path: "/a" });
    expectDenied([allow(rule)], { claims: null, path: "/a" });
    expectDenied([allow(rule)], { claims: null, path: "/healthz" });
    expectDenied([allow(rule)], { claims: ALICE, path: "/healthz" });
    const health = policy("health", { rules: [to({ paths: ["/healthz"] })] });
    expectAllowed([allow(rule), health], { claims: null, path: "/healthz" });
  });

  test("a principal of the token, and one of its groups", () => {
    const documents = [
      allow({
        ...from({ requestPrincipals: ["issuer-a/alice"] }),
        ...when("request.auth.claims[groups]", { values: ["group1"] }),
      }),
    ];
    expectAllowed(documents, { claims: { ...ALICE, groups: ["group1", "group2"] } });
    expectAllowed(documents, { claims: { ...ALICE, groups: "group1" } });
    expectDenied(documents, { claims: { ...ALICE, groups: ["group2"] } });
    expectDenied(documents, { claims: ALICE });
    expectDenied(documents, { claims: { ...ALICE, sub: "bob", groups: ["group1"] } });
    expectDenied(documents, { claims: null });
  });

  test("quotes in the name of a claim are letters of it", () => {
    const documents = [allow(when('request.auth.claims["groups"]', { values: ["a"] }))];
    expectDenied(documents, { claims: { groups: "a" } });
    expectAllowed(documents, { claims: { '"groups"': "a" } });
  });

  test("without request principals anybody, with a token and without", () => {
    expectAllowed([allow(to({ methods: ["GET"] }))], { claims: null });
    expectAllowed([allow(to({ methods: ["GET"] }))], { claims: ALICE });
    expectDenied([allow(to({ methods: ["GET"] }))], { claims: ALICE, method: "POST" });
  });
});

describe("DENY", () => {
  test("one path without a token", () => {
    const documents = [ALLOW_ALL, deny({ ...from({ notRequestPrincipals: ["*"] }), ...to({ paths: ["/admin"] }) })];
    expectDenied(documents, { claims: null, path: "/admin" });
    expectDenied(documents, { claims: { iss: "issuer-a" }, path: "/admin" });
    expectAllowed(documents, { claims: ALICE, path: "/admin" });
    expectAllowed(documents, { claims: null, path: "/a" });
  });
});
