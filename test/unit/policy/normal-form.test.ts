import { expect, test } from "vitest";
import { clausesOf, normalRule } from "../../../src/policy/normal-form.ts";
import { policyOf } from "../../support/policy-arbitraries.ts";
import { allow, from, isAllowed, policy } from "../../support/policy-world.ts";

// Compiler and interpreter read rules in this one form, so that neither can find a fault of it in the other.

const FAR = "spiffe://third.example/ns/shop/sa/web";
const NEAR = "spiffe://cluster.local/ns/shop/sa/web";

test.each<[string, object, boolean]>([
  ["none is named", { namespaces: ["shop"] }, false],
  ["theirs is named", { namespaces: ["shop"], trustDomains: ["third.example"] }, true],
  ["any is named", { namespaces: ["shop"], trustDomains: ["*"] }, true],
  ["another is named", { namespaces: ["shop"], trustDomains: ["far.example"] }, false],
  ["another is excluded", { namespaces: ["shop"], notTrustDomains: ["far.example"] }, false],
  ["one's own is excluded", { namespaces: ["shop"], notTrustDomains: ["cluster.local"] }, false],
  ["another is excluded, for accounts", { serviceAccounts: ["shop/web"], notTrustDomains: ["far.example"] }, false],
  ["theirs is named, for accounts", { serviceAccounts: ["shop/web"], trustDomains: ["third.example"] }, true],
])(
  "a namespace means callers of one's own trust domain unless a clause beside it names theirs: %s",
  (_n, source, wanted) => {
    expect(isAllowed([allow(from(source))], { principal: FAR })).toBe(wanted);
    // A clause of a condition stands beside all sources.
    const named = shopWhen("source.trustDomain", { values: ["third.example"] });
    expect(isAllowed([allow(named)], { principal: FAR })).toBe(true);
    const excluded = shopWhen("source.trustDomain", { notValues: ["far.example"] });
    expect(isAllowed([allow(excluded)], { principal: FAR })).toBe(false);
    expect(isAllowed([allow(excluded)], { principal: NEAR })).toBe(true);
    // And one of another source of the rule beside none.
    const other = { from: [{ source: { namespaces: ["shop"] } }, { source: { trustDomains: ["far.example"] } }] };
    expect(isAllowed([allow(other)], { principal: FAR })).toBe(false);
  },
);

test("a rule without sources or operations has one of each that asks nothing", () => {
  const document = policyOf(policy("p", { rules: [{}] }));
  expect(normalRule(document, document.rules[0]!)).toMatchObject({ sources: [[]], operations: [[]], conditions: [] });
  expect(clausesOf(document.rules[0]!)).toEqual([]);
});

test("all clauses of a rule are told, those of each source, of each operation, and the conditions", () => {
  const document = policyOf(
    policy("p", {
      rules: [
        {
          from: [{ source: { namespaces: ["a"] } }, { source: { notPrincipals: ["b"], ipBlocks: ["10.0.0.0/8"] } }],
          to: [{ operation: { methods: ["GET"] } }, { operation: { notPaths: ["/x"] } }],
          when: [{ key: "connection.sni", values: ["y"], notValues: ["z"] }],
        },
      ],
    }),
  );
  const told = clausesOf(document.rules[0]!).map(({ attribute, isNegated, values }) => [
    attribute,
    isNegated,
    ...values,
  ]);
  expect(told).toEqual([
    ["source.namespace", false, "a"],
    ["source.principal", true, "b"],
    ["source.ip", false, "10.0.0.0/8"],
    ["request.method", false, "GET"],
    ["request.path", true, "/x"],
    ["connection.sni", false, "y"],
    ["connection.sni", true, "z"],
  ]);
  const { sources, operations, conditions } = normalRule(document, document.rules[0]!);
  const attributes = (literals: typeof conditions) => literals.map(({ clause }) => clause.attribute);
  expect(sources.map(attributes)).toEqual([["source.namespace"], ["source.principal", "source.ip"]]);
  expect(operations.map(attributes)).toEqual([["request.method"], ["request.path"]]);
  expect(attributes(conditions)).toEqual(["connection.sni", "connection.sni"]);
  for (const literal of [...sources.flat(), ...operations.flat(), ...conditions])
    expect(literal).toMatchObject({ policy: document, namesTrustDomains: false });
});

function shopWhen(key: string, fields: object): object {
  return { ...from({ namespaces: ["shop"] }), when: [{ key, ...fields }] };
}
