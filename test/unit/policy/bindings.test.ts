import { expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { compilePolicy } from "../../../src/policy/compile.ts";
import { bindPeer, decideBound, decideRequest, decideTcp } from "../../../src/policy/decide.ts";
import { policyOf } from "../../support/policy-arbitraries.ts";
import { allow, type Asked, deny, from, policy, questionOf, to, when } from "../../support/policy-world.ts";

// What the peer alone decides is decided once, for all peers that no rule can tell apart, and for no others.

const HERE = { namespace: "shop", labels: {} };

function compiled(...documents: readonly object[]) {
  return compilePolicy(documents.map(policyOf), HERE, questionOf({}).settings);
}

test.each<[string, object, Asked, Asked]>([
  [
    "identities",
    from({ principals: ["cluster.local/ns/shop/sa/web"] }),
    {},
    { principal: "spiffe://cluster.local/ns/shop/sa/x" },
  ],
  ["an identity and none", from({ principals: ["*"] }), {}, { principal: null }],
  ["ports", to({ ports: ["8080"] }), { port: 8080 }, { port: 8081 }],
  ["source addresses", from({ ipBlocks: ["10.0.0.0/8"] }), { ip: "10.0.0.1" }, { ip: "11.0.0.1" }],
  ["remote addresses", from({ remoteIpBlocks: ["10.0.0.0/8"] }), { remoteIp: "10.0.0.1" }, { remoteIp: "11.0.0.1" }],
  [
    "destination addresses",
    when("destination.ip", { values: ["10.0.0.0/8"] }),
    { destinationIp: "10.0.0.1" },
    { destinationIp: "11.0.0.1" },
  ],
  ["server names", when("connection.sni", { values: ["orders"] }), { sni: "orders" }, { sni: "other" }],
  ["a server name and none", when("connection.sni", { values: ["*"] }), { sni: "orders" }, { sni: null }],
  // Whatever none is written as where peers are kept: a caller may choose that very name.
  ...["null", "undefined", "none", "mutant", "\n"].map((sni): [string, object, Asked, Asked] => [
    `a server name that reads like none (${JSON.stringify(sni)})`,
    when("connection.sni", { values: [sni] }),
    { sni },
    { sni: null },
  ]),
])("%s are told apart by rules that ask for them, whoever came first", (_name, rule, fits, other) => {
  for (const asked of [
    [fits, other],
    [other, fits],
  ]) {
    const shared = compiled(allow(rule));
    for (const each of asked) {
      const { peer, request } = questionOf(each);
      expect(decideRequest(shared, peer, request!).allow).toBe(each === fits);
      expect(decideTcp(shared, peer).allow).toBe(each === fits);
    }
  }
});

test("peers that no rule can tell apart share what is bound", () => {
  const { peer } = questionOf({ ip: "10.0.0.1", sni: "a" });
  const { peer: other } = questionOf({ ip: "10.9.9.9", sni: "b" });
  const plain = compiled(allow(from({ namespaces: ["shop"] })));
  expect(bindPeer(plain, other)).toBe(bindPeer(plain, peer));
  const asking = compiled(allow(from({ ipBlocks: ["10.0.0.0/8"] })));
  expect(bindPeer(asking, other)).not.toBe(bindPeer(asking, peer));
  expect(bindPeer(asking, { ...peer })).toBe(bindPeer(asking, peer));
  expect(bindPeer(asking, { ...peer, sni: "b" })).toBe(bindPeer(asking, peer));
  const naming = compiled(allow(when("connection.sni", { values: ["a"] })));
  expect(bindPeer(naming, other)).not.toBe(bindPeer(naming, peer));
  expect(bindPeer(naming, { ...other, sni: "a" })).toBe(bindPeer(naming, peer));
});

test("what is kept for peers is bounded", () => {
  const asking = compiled(allow(from({ ipBlocks: ["10.0.0.0/8"] })));
  const { peer } = questionOf({});
  const first = bindPeer(asking, peer);
  const others = Array.from({ length: LIMITS.peerBindingsMax - 1 }, (_, i) => ({
    ...peer,
    sourceIp: `10.1.${i >> 8}.${i & 255}`,
  }));
  for (const each of others) bindPeer(asking, each);
  expect(bindPeer(asking, peer)).toBe(first);
  bindPeer(asking, { ...peer, sourceIp: "10.2.0.0" });
  expect(bindPeer(asking, peer)).not.toBe(first);
  expect(decideBound(bindPeer(asking, peer), questionOf({}).request!).allow).toBe(true);
});

test("many rules that a peer fulfils are asked in the order in which they are reported, however they are put together", () => {
  // Conditions of several sizes: some with a tree of their own, more of these than are asked one after the other, and small ones.
  const rules = Array.from({ length: 600 }, (_, i) => ({
    ...from({ notNamespaces: [`other-${i % 7}`] }),
    ...to({ paths: [`/p-${i >> 1}/*`], methods: [i % 2 === 0 ? "GET" : "POST"] }),
  }));
  const small = Array.from({ length: 40 }, (_, i) => ({
    ...from({ notNamespaces: [`small-${i}`] }),
    ...to({ paths: [`/p-${i}/*`] }),
  }));
  const documents = [
    policy("a", { action: "DENY", rules: rules.slice(0, 300) }),
    policy("b", { action: "DENY", rules: rules.slice(300) }),
    policy("c", { action: "DENY", rules: small }),
  ];
  const all = compiled(...documents);
  const { peer } = questionOf({});
  const denialOf = (path: string, method: string) => decideRequest(all, peer, questionOf({ path, method }).request!);
  for (const i of [0, 1, 6, 149]) {
    expect(denialOf(`/p-${i}/x`, "GET")).toMatchObject({ policy: "shop/a", rule: 2 * i });
    expect(denialOf(`/p-${i}/x`, "POST")).toMatchObject({ policy: "shop/a", rule: 2 * i + 1 });
  }
  expect(denialOf("/p-299/x", "POST")).toMatchObject({ policy: "shop/b", rule: 299 });
  expect(denialOf("/p-39/x", "PUT")).toMatchObject({ policy: "shop/c", rule: 39 });
  expect(denialOf("/p-40/x", "PUT").policy).not.toBe("shop/c");
});

test("on bytes other than HTTP the first rule that can match them counts, whichever condition it stands under", () => {
  const documents = [
    deny({ ...from({ notNamespaces: ["x"] }), ...to({ methods: ["GET"] }) }, from({ notNamespaces: ["y"] }), {}),
    policy("allow", { rules: [to({ methods: ["GET"] }), from({ notNamespaces: ["x"] }), {}] }),
  ];
  const { peer } = questionOf({});
  expect(decideTcp(compiled(documents[0]!), peer)).toMatchObject({ policy: "shop/deny", rule: 0 });
  // An ALLOW rule with an HTTP clause never matches them.
  expect(decideTcp(compiled(documents[1]!), peer)).toMatchObject({ policy: "shop/allow", rule: 1 });
});

test("a service account without a namespace is of each policy's own, though the clauses read the same", () => {
  const web = from({ serviceAccounts: ["web"] });
  const both = compiled(
    policy("cardea-system/p", { rules: [{ ...web, ...to({ paths: ["/root"] }) }] }),
    policy("shop/p", { rules: [{ ...web, ...to({ paths: ["/own"] }) }] }),
  );
  const isAllowed = (namespace: string, path: string): boolean => {
    const { peer, request } = questionOf({ principal: `spiffe://cluster.local/ns/${namespace}/sa/web`, path });
    return decideRequest(both, peer, request!).allow;
  };
  expect([isAllowed("shop", "/own"), isAllowed("shop", "/root")]).toEqual([true, false]);
  expect([isAllowed("cardea-system", "/own"), isAllowed("cardea-system", "/root")]).toEqual([false, true]);
});

test("clauses that read the same mean what the trust domains beside them make of them", () => {
  const plain = { ...from({ namespaces: ["shop"] }), ...to({ paths: ["/plain"] }) };
  const named = { ...from({ namespaces: ["shop"], trustDomains: ["far.example"] }), ...to({ paths: ["/named"] }) };
  const byWhen = {
    ...from({ namespaces: ["shop"] }),
    ...to({ paths: ["/when"] }),
    ...when("source.trustDomain", { values: ["far.example"] }),
  };
  const all = compiled(allow(plain, named, byWhen));
  const allowed = (domain: string) =>
    ["/plain", "/named", "/when"].filter((path) => {
      const { peer, request } = questionOf({ principal: `spiffe://${domain}/ns/shop/sa/web`, path });
      return decideRequest(all, peer, request!).allow;
    });
  expect(allowed("cluster.local")).toEqual(["/plain"]);
  expect(allowed("far.example")).toEqual(["/named", "/when"]);
});

test("clauses that want and do not want the same values are told apart", () => {
  const wanted = { ...from({ namespaces: ["shop"] }), ...to({ paths: ["/wanted"] }) };
  const unwanted = { ...from({ notNamespaces: ["shop"] }), ...to({ paths: ["/unwanted"] }) };
  const both = compiled(allow(wanted, unwanted));
  const isAllowed = (namespace: string, path: string): boolean => {
    const { peer, request } = questionOf({ principal: `spiffe://cluster.local/ns/${namespace}/sa/web`, path });
    return decideRequest(both, peer, request!).allow;
  };
  expect([isAllowed("shop", "/wanted"), isAllowed("shop", "/unwanted")]).toEqual([true, false]);
  expect([isAllowed("ops", "/wanted"), isAllowed("ops", "/unwanted")]).toEqual([false, true]);
});

test("sources that take the same peers and different end users are told apart", () => {
  const sources = ["idp/ann", "idp/bob"].map((user) => ({
    source: { namespaces: ["shop"], requestPrincipals: [user] },
  }));
  const rule = compiled(allow({ from: sources }));
  const isAllowed = (sub: string): boolean => {
    const { peer, request } = questionOf({ claims: { iss: "idp", sub } });
    return decideRequest(rule, peer, request!).allow;
  };
  expect(["ann", "bob", "eve"].map(isAllowed)).toEqual([true, true, false]);
});

test("only texts of a claim match, whatever else it holds", () => {
  expect(claimAllows("request.auth.claims[groups]", ["7*"], { groups: ["7a"] })).toBe(true);
  expect(claimAllows("request.auth.claims[groups]", ["7*"], { groups: [7, null, {}] })).toBe(false);
  // A letter of a text is no member of it.
  expect(claimAllows("request.auth.claims[a][0]", ["x"], { a: "xyz" })).toBe(false);
  expect(claimAllows("request.auth.claims[a][0]", ["x"], { a: { 0: "x" } })).toBe(true);
});

function claimAllows(key: string, values: readonly string[], claims: object): boolean {
  const { peer, request } = questionOf({ claims: claims as never });
  return decideRequest(compiled(allow(when(key, { values }))), peer, request!).allow;
}
