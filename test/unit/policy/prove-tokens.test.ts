import { describe, expect, test } from "vitest";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { spiffeIdFor } from "../../../src/core/spiffe-id.ts";
import type { KnownWorkload } from "../../../src/policy/analysis/known-workload.ts";
import { prove } from "../../../src/policy/analysis/prove.ts";
import { DEFAULT_MESH_SETTINGS as settings } from "../../../src/policy/mesh-settings.ts";

// What tokens say is one more thing that policies tell apart; an invariant may speak of it, and must not be held too lightly.

const ORDERS: KnownWorkload = {
  name: "shop/orders",
  namespace: "shop",
  labels: { app: "orders" },
  principal: spiffeIdFor(settings.trustDomain, "shop", "orders"),
  ports: [{ port: 8080, protocols: ["http"] }],
  hosts: [],
};

/** What becomes of `never` under ALLOW rules. */
function outcome(rules: string, never: string) {
  const text = `
{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: p, namespace: shop}, spec: {rules: ${rules}}}
---
{apiVersion: cardea.dev/v1, kind: Invariant, metadata: {name: i}, spec: {to: [shop/orders], never: ${never}}}`;
  const { documents, invariants, faults } = parsePolicyFiles([{ path: "p.yaml", text }]);
  expect(faults).toEqual([]);
  return prove(invariants, { documents, settings, workloads: [ORDERS] })[0]!;
}

const WITHOUT_TOKEN = '[{from: [{source: {notRequestPrincipals: ["*"]}}]}]';
const claim = (path: string, lists: string): string => `[{when: [{key: "request.auth.claims${path}", ${lists}}]}]`;

describe("nobody without a token", () => {
  test("holds where every rule asks for one", () => {
    expect(outcome('[{from: [{source: {requestPrincipals: ["*"]}}]}]', WITHOUT_TOKEN).result).toBe("holds");
    expect(outcome('[{from: [{source: {requestPrincipals: ["id/*"]}}]}]', WITHOUT_TOKEN).result).toBe("holds");
  });

  test("is broken by one source of several that does not", () => {
    const rules = '[{from: [{source: {requestPrincipals: ["*"]}}, {source: {namespaces: [bank]}}]}]';
    const proof = outcome(rules, WITHOUT_TOKEN);
    expect(proof.result).toBe("broken");
    expect(proof.counterexamples[0]!.facts.claims).toBeNull();
  });

  test("is broken by a rule that asks for a claim to be another: who has no token has no such claim", () => {
    expect(outcome(claim("[group]", "notValues: [guest]"), WITHOUT_TOKEN).result).toBe("broken");
  });

  test("is broken where the subject alone is asked for: a token may lack its issuer, and then has no principal", () => {
    const proof = outcome(claim("[sub]", "values: [alice]"), WITHOUT_TOKEN);
    expect(proof.result).toBe("broken");
    expect(proof.counterexamples[0]!.facts.claims).toEqual({ sub: "alice" });
  });
});

describe("nobody but admins", () => {
  const NOT_ADMIN = claim("[groups]", "notValues: [admin]");

  test("holds where the very group is asked for", () => {
    expect(outcome(claim("[groups]", "values: [admin]"), NOT_ADMIN).result).toBe("holds");
  });

  test("is broken by a pattern that takes more, with a group that shows it", () => {
    const proof = outcome(claim("[groups]", 'values: ["admin*"]'), NOT_ADMIN);
    expect(proof.counterexamples[0]!.facts.claims?.["groups"]).toMatch(/^admin./);
  });

  test("a list may be in several groups at once", () => {
    const guests = claim("[groups]", "values: [guest]");
    const proof = outcome(claim("[groups]", "values: [admin]"), guests);
    expect(proof.result).toBe("broken");
    expect(proof.counterexamples[0]!.facts.claims?.["groups"]).toEqual(expect.arrayContaining(["admin", "guest"]));
  });

  test("what is in a map is another claim than the map, and not there where it is a text", () => {
    const both =
      '[{when: [{key: "request.auth.claims[realm]", values: [a]}, {key: "request.auth.claims[realm][roles]", values: [b]}]}]';
    expect(outcome(both, "[{}]").result).toBe("holds");
    expect(outcome(claim("[realm][roles]", "values: [b]"), "[{}]").counterexamples[0]!.facts.claims).toEqual({
      realm: { roles: "b" },
    });
  });
});

test("where claims have more kinds than can be looked at, the answer is not known", () => {
  const groups = Array.from({ length: 12 }, (_, i) => claim("[groups]", `values: [g${i}]`).slice(1, -1));
  expect(outcome(`[${groups.join(", ")}]`, WITHOUT_TOKEN).result).toBe("unknown");
});
