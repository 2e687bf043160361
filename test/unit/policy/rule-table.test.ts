import { expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { runSteps } from "../../../src/core/slices.ts";
import { bindRules } from "../../../src/policy/bound-rules.ts";
import { readPeer } from "../../../src/policy/clause-test.ts";
import type { PeerFacts } from "../../../src/policy/facts.ts";
import { layerTable } from "../../../src/policy/layered-table.ts";
import { compileTable, type RuleTable } from "../../../src/policy/rule-table.ts";
import { policyOf } from "../../support/policy-arbitraries.ts";
import { allow, from, policy, questionOf, to } from "../../support/policy-world.ts";

// How rules are put together: those that ask the same of a peer stand under one condition, which peers share in turn.

const { settings, peer } = questionOf({});

function tableOf(...documents: readonly object[]): RuleTable {
  return runSteps(compileTable(documents.map(policyOf), settings));
}

/** Of each condition the ways to fulfil it and the rules under it. */
function conditionsOf({ byPeer }: RuleTable): readonly (readonly [ways: number, candidates: number])[] {
  expect(byPeer.found).toBeNull();
  const conditions = [...new Set(byPeer.entries.map(({ condition }) => condition))];
  return conditions.map((each) => [
    byPeer.entries.filter(({ condition }) => condition === each).length,
    each.candidates.length,
  ]);
}

const shop = from({ namespaces: ["shop"] });

test.each<[string, readonly object[], readonly (readonly [number, number])[]]>([
  ["one rule", [allow(shop)], [[1, 1]]],
  ["rules of the same callers", [allow(shop, { ...shop, ...to({ methods: ["GET"] }) })], [[1, 2]]],
  [
    "operations of one rule",
    [allow({ ...shop, to: [{ operation: { methods: ["GET"] } }, { operation: { paths: ["/a"] } }] })],
    [[1, 2]],
  ],
  [
    "operations on ports, which are asked of the peer",
    [allow({ ...shop, to: [{ operation: { ports: ["80"] } }, { operation: { ports: ["81"] } }] })],
    [
      [1, 1],
      [1, 1],
    ],
  ],
  [
    "sources of one rule, each a way",
    [allow({ from: [{ source: { namespaces: ["a"] } }, { source: { namespaces: ["b"] } }] })],
    [[2, 1]],
  ],
  [
    "sources that ask different things of the request",
    [
      allow({
        from: [
          { source: { namespaces: ["a"], requestPrincipals: ["x/*"] } },
          { source: { namespaces: ["b"], requestPrincipals: ["y/*"] } },
        ],
      }),
    ],
    [
      [1, 1],
      [1, 1],
    ],
  ],
  [
    "sources that ask the same of the request",
    [
      allow({
        from: [
          { source: { namespaces: ["a"], requestPrincipals: ["x/*"] } },
          { source: { namespaces: ["b"], requestPrincipals: ["x/*"] } },
        ],
      }),
    ],
    [[2, 1]],
  ],
  [
    "rules of the same callers that ask different things of the request",
    [
      allow(
        from({ namespaces: ["a"], requestPrincipals: ["x/*"] }),
        from({ namespaces: ["a"], requestPrincipals: ["y/*"] }),
      ),
    ],
    [[1, 2]],
  ],
  ["policies of two namespaces", [policy("a/p", { rules: [shop] }), policy("b/p", { rules: [shop] })], [[1, 2]]],
  [
    "accounts without a namespace, of policies of two",
    [
      policy("a/p", { rules: [from({ serviceAccounts: ["web"] })] }),
      policy("b/p", { rules: [from({ serviceAccounts: ["web"] })] }),
    ],
    [
      [1, 1],
      [1, 1],
    ],
  ],
])("%s", (_name, documents, wanted) => {
  expect(conditionsOf(tableOf(...documents))).toEqual(wanted);
});

test("a condition of 64 rules has a tree of its own, and one of 63 has none", () => {
  const rules = Array.from({ length: 64 }, (_, i) => ({ ...shop, ...to({ paths: [`/${String(i)}`] }) }));
  expect(tableOf(allow(...rules.slice(1))).byPeer.entries[0]?.condition.tree).toBeNull();
  expect(tableOf(allow(...rules)).byPeer.entries[0]?.condition.tree).toMatchObject({ first: 0, entries: [] });
});

test.each([
  [15, 0],
  [16, 1],
  [31, 1],
  [32, 2],
])("while %d rules are compiled the clock is looked at %d times", (count, looks) => {
  const document = policyOf(allow(...Array.from({ length: count }, () => shop)));
  expect([...compileTable([document], settings)]).toHaveLength(looks);
});

/** Peers by their ports, of which each rule wants one. */
function portPeer(port: number): PeerFacts {
  return { ...peer, destinationPort: port };
}

test("peers that fulfil the same conditions share what is left to ask, so many of them and no more", () => {
  const count = LIMITS.peerBindingsMax + 1;
  const rules = Array.from({ length: count }, (_, i) => to({ ports: [String(i)], methods: ["GET"] }));
  const documents = Array.from({ length: Math.ceil(count / 512) }, (_, i) =>
    policyOf(policy(`p-${String(i)}`, { rules: rules.slice(i * 512, (i + 1) * 512) })),
  );
  const table = runSteps(layerTable(documents, settings, null));
  const sharedBy = (port: number, principal = peer.principal): unknown =>
    bindRules(table, readPeer({ ...portPeer(port), principal }))[0]?.rules;
  const first = sharedBy(0);
  expect(first).toBeDefined();
  expect(sharedBy(0, null)).toBe(first);
  for (let port = 1; port < LIMITS.peerBindingsMax; port++) expect(sharedBy(port)).not.toBe(first);
  expect(sharedBy(0)).toBe(first);
  const last = sharedBy(LIMITS.peerBindingsMax);
  expect(sharedBy(LIMITS.peerBindingsMax)).toBe(last);
  expect(sharedBy(0)).not.toBe(first);
});

test("peers that no condition fits are asked nothing", () => {
  const table = runSteps(layerTable([policyOf(allow(to({ ports: ["80"] })))], settings, null));
  expect(bindRules(table, readPeer(portPeer(80)))).toHaveLength(1);
  expect(bindRules(table, readPeer(portPeer(81)))).toEqual([]);
});
