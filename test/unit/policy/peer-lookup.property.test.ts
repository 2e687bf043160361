import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { parseSpiffeId } from "../../../src/core/spiffe-id.ts";
import type { PeerAttribute } from "../../../src/policy/attributes.ts";
import { compilePeerTest, isMatchedWide, type PeerView, readPeer } from "../../../src/policy/clause-test.ts";
import { buildTree } from "../../../src/policy/lookup/decision-tree.ts";
import type { Entry, Pattern } from "../../../src/policy/lookup/lookup.ts";
import { allFits } from "../../../src/policy/lookup/search-tree.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../../../src/policy/mesh-settings.ts";
import type { Literal } from "../../../src/policy/normal-form.ts";
import { PEER_CHECKS, type PeerCheck, peerCheck } from "../../../src/policy/peer-lookup.ts";
import { peers, policyOf, settings } from "../../support/policy-arbitraries.ts";
import { expectSeen, propertyRuns } from "../../support/property-runs.ts";

// What is looked up of a peer is what asking the clause itself finds: no less, or rules would be passed over, and no more
// than is written here.

vi.setConfig({ testTimeout: 60_000 });
const RUNS = propertyRuns(4_000);

const BLOCKS = ["10.0.0.0/8", "10.0.0.1", "192.168.0.0/16", "2001:db8::/32", "0.0.0.0/0", "::/0", "10.1.2.3/9", "::1"];
const VALUES: Readonly<Record<PeerAttribute, readonly string[]>> = {
  "source.principal": [
    "*",
    "cluster.local/ns/a/sa/web",
    "old.local/ns/a/sa/web",
    "far.example/ns/a/sa/web",
    "cluster.local/ns/a/*",
    "*/ns/b/sa/db",
    "*/sa/web",
    "far*",
    "far.example",
    "a*b",
  ],
  "source.namespace": ["a", "ab", "b", "a*", "*b", "*", "*a*", "r*t", "a/sa", "a/*", "ns", ""],
  "source.serviceAccount": ["web", "a/web", "b/db", "ab/web-2", "far/x"],
  "source.trustDomain": ["cluster.local", "far*", "*"],
  "source.ip": BLOCKS,
  "remote.ip": BLOCKS,
  "destination.ip": BLOCKS,
  "destination.port": ["0", "80", "0080", "8080", "9000"],
  "connection.sni": ["*", "orders", "outbound*", "*orders"],
};
const ATTRIBUTES = Object.keys(VALUES) as PeerAttribute[];

const policiesByAction = ["ALLOW", "DENY"].flatMap((action) =>
  ["a", "b"].map((namespace) =>
    policyOf({
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { name: "p", namespace },
      spec: { action, rules: [{}] },
    }),
  ),
);

const literalOn = (attribute: PeerAttribute): fc.Arbitrary<Literal> =>
  fc.record({
    policy: fc.constantFrom(...policiesByAction),
    namesTrustDomains: fc.boolean(),
    clause: fc.record({
      attribute: fc.constant(attribute),
      header: fc.constant(null),
      claim: fc.constant(null),
      isNegated: fc.constantFrom(false, false, true),
      values: fc.uniqueArray(fc.constantFrom(...VALUES[attribute]), { minLength: 1, maxLength: 3 }),
      field: fc.constant(""),
      line: fc.constant(null),
    }),
  });
const literals = fc.constantFrom(...ATTRIBUTES).chain(literalOn);

/** Federated shapes in which steps come more than once, or come last. */
const shaped = fc.constantFrom(
  ...["ns/a/ns/b/sa/web", "x/ns/a/sa/web/sa/db", "ns/a/sa/web/extra", "sa/web/ns/a", "ns/ns/a/x", "ns/ab"].flatMap(
    (path) => [`spiffe://far.example/${path}`, `spiffe://cluster.local/${path}`, `spiffe://ns/${path}`],
  ),
);
const views: fc.Arbitrary<PeerView> = fc
  .tuple(peers, fc.option(shaped.map(parseSpiffeId)))
  .map(([peer, principal]) => readPeer(principal === null ? peer : { ...peer, principal }));

function checkOf(literal: Literal, mesh: MeshSettings): PeerCheck {
  const attribute = literal.clause.attribute as PeerAttribute;
  const holds = compilePeerTest(literal.clause, attribute, { ...literal, settings: mesh });
  return peerCheck(literal, attribute, holds, mesh);
}

function isFound({ subject, patterns }: NonNullable<PeerCheck["lookup"]>, peer: PeerView): boolean {
  const text = subject.textOf(peer);
  const texts = text === undefined ? [] : typeof text === "string" ? [text] : text;
  return texts.some((each) => patterns.some((pattern) => fits(pattern, each)));
}

function fits({ kind, text }: Pick<Pattern<unknown>, "kind" | "text">, value: string): boolean {
  if (kind === "exact") return value === text;
  return kind === "prefix" ? value.startsWith(text) : kind === "suffix" && value.endsWith(text);
}

test("a clause finds the peers that it matches, and no others but by a step of their identity that it names", () => {
  const seen = { found: 0, passed: 0, more: 0, asked: 0 };
  fc.assert(
    fc.property(literals, settings, views, (literal, mesh, peer) => {
      const { lookup, holds } = checkOf(literal, mesh);
      if (lookup === null) {
        seen.asked += 1;
        return;
      }
      const wanted = holds(peer) || isOnlyNamed(literal, peer);
      expect(isFound(lookup, peer)).toBe(wanted);
      seen[wanted ? "found" : "passed"] += 1;
      if (wanted !== holds(peer)) seen.more += 1;
    }),
    { numRuns: RUNS },
  );
  for (const [what, count] of Object.entries(seen)) expectSeen(what, count, RUNS / 400);
});

/** Where any trust domain is taken, namespaces and accounts are found by the step alone; the rest is asked afterwards. */
function isOnlyNamed({ clause, policy, namesTrustDomains }: Literal, { principal }: PeerView): boolean {
  if (!isMatchedWide(clause, policy) && !namesTrustDomains) return false;
  if (clause.attribute === "source.namespace") {
    const names = principal?.match(/(?<=\/ns\/)[^/]+/g) ?? [];
    return clause.values.some((value) => names.some((name) => isNamed(value, name)));
  }
  if (clause.attribute !== "source.serviceAccount") return false;
  const accounts = clause.values.map((value) => value.replace(/^.*\//, ""));
  return (principal?.match(/(?<=\/sa\/)[^/]+/g) ?? []).some((name) => accounts.includes(name));
}

function isNamed(value: string, name: string): boolean {
  return value.endsWith("*") ? name.startsWith(value.slice(0, -1)) : name === value;
}

test("only clauses that no text tells of are asked one by one", () => {
  fc.assert(
    fc.property(literals, settings, (literal, mesh) => {
      const isAsked = literal.clause.isNegated || literal.clause.values.some((value) => isUntold(value, literal));
      expect(checkOf(literal, mesh).lookup === null).toBe(isAsked);
    }),
    { numRuns: RUNS },
  );
});

function isUntold(value: string, { clause, policy, namesTrustDomains }: Literal): boolean {
  const { attribute } = clause;
  if (attribute === "source.trustDomain") return true;
  if (attribute === "source.principal" || attribute === "connection.sni") return value === "*";
  if (attribute !== "source.namespace") return false;
  const isAnyDomain = isMatchedWide(clause, policy) || namesTrustDomains;
  // A star in the middle, or more than one; a slash would be of another step. A wide end may stand anywhere.
  return !/^\*?[^*/]+$|^[^*/]+\*$/.test(value) || (isAnyDomain && value.startsWith("*"));
}

test("what is found is still asked in whole, and in no other way", () => {
  fc.assert(
    fc.property(literals, settings, views, (literal, mesh, peer) => {
      const check = checkOf(literal, mesh);
      expect(PEER_CHECKS.lookupOf(check)).toBe(check.lookup);
      expect(PEER_CHECKS.holds(check, peer)).toBe(check.holds(peer));
      for (const { confirm } of check.lookup?.patterns ?? [])
        expect(confirm).toEqual({ holds: check.holds, lookup: null });
      expect(check.lookup?.isNegated ?? false).toBe(false);
    }),
    { numRuns: RUNS / 10 },
  );
});

test("subjects of the same key look at the same, and of other keys at something else", () => {
  // A peer of which each subject says something of its own.
  const peer = readPeer({
    principal: parseSpiffeId("spiffe://cluster.local/ns/a/sa/web"),
    sourceIp: "10.0.0.1",
    remoteIp: "10.0.0.2",
    destinationIp: "10.0.0.3",
    destinationPort: 8080,
    sni: "orders",
  });
  const keys = new Map<string, string>();
  fc.assert(
    fc.property(literals, (literal) => {
      const subject = checkOf(literal, DEFAULT_MESH_SETTINGS).lookup?.subject;
      if (subject === undefined) return;
      const text = JSON.stringify(subject.textOf(peer));
      expect(keys.get(subject.key) ?? text).toBe(text);
      keys.set(subject.key, text);
    }),
    { numRuns: 1_000 },
  );
  expect(keys.size).toBe(new Set(keys.values()).size);
  expect([...keys.keys()].toSorted()).toEqual([
    "account",
    "any account",
    "any namespace",
    "destination ip",
    "namespace",
    "port",
    "principal",
    "remote ip",
    "sni",
    "source ip",
  ]);
});

test("of many conditions a peer finds those that it fulfils", () => {
  const seen = { none: 0, some: 0, trees: 0 };
  const ways = fc.array(fc.array(literals, { minLength: 1, maxLength: 3 }), {
    minLength: 5,
    maxLength: 40,
    size: "max",
  });
  fc.assert(
    fc.property(ways, settings, fc.array(views, { minLength: 4, maxLength: 4 }), (all, mesh, asked) => {
      const entries = all.map((own, order) => ({ order, tests: own.map((literal) => checkOf(literal, mesh)) }));
      const tree = buildTree<Entry<PeerCheck>, PeerCheck, PeerView>(entries, PEER_CHECKS);
      if (tree.found !== null) seen.trees += 1;
      for (const peer of asked) {
        const wanted = entries.filter(({ tests }) => tests.every(({ holds }) => holds(peer))).map(({ order }) => order);
        expect(new Set(allFits(tree, peer, PEER_CHECKS).map(({ order }) => order))).toEqual(new Set(wanted));
        seen[wanted.length === 0 ? "none" : "some"] += 1;
      }
    }),
    { numRuns: RUNS / 10 },
  );
  for (const [what, count] of Object.entries(seen)) expectSeen(what, count, RUNS / 400);
});
