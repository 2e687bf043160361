import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import type { RequestAttribute } from "../../../src/policy/attributes.ts";
import { compileRequestTest, type RequestTest, requestTestHolds } from "../../../src/policy/clause-test.ts";
import type { Clause } from "../../../src/policy/clause.ts";
import type { RequestFacts } from "../../../src/policy/facts.ts";
import type { Pattern } from "../../../src/policy/lookup/lookup.ts";
import { PatternIndex } from "../../../src/policy/lookup/pattern-index.ts";
import { REQUEST_TESTS } from "../../../src/policy/request-lookup.ts";
import { policyOf, requests } from "../../support/policy-arbitraries.ts";
import { expectSeen, propertyRuns } from "../../support/property-runs.ts";

// What is looked up of a request is what asking the clause itself finds, to the letter.

vi.setConfig({ testTimeout: 60_000 });
const RUNS = propertyRuns(4_000);

const VALUES: Readonly<Record<RequestAttribute, readonly string[]>> = {
  "request.method": ["*", "GET", "POST", "P*", "*T", "get"],
  "request.path": ["*", "/a", "/a/*", "*/b", "/a/{*}", "/a/{**}", "/{**}/b", "/{*}/{*}/", "/admin/{*}", "/{**}"],
  "request.host": ["*", "orders", "ORDERS*", "*.shop", "Orders:8080"],
  "request.headers": ["*", "admin", "admin*", "*s", "orders"],
  "request.auth.principal": ["*", "id/*"],
  "request.auth.audiences": ["*", "admin"],
  "request.auth.presenter": ["admin"],
  "request.auth.claims": ["admin*"],
};
const ATTRIBUTES = Object.keys(VALUES) as RequestAttribute[];
const HEADERS = ["x-role", "x-team", "host"];

const policiesOf = ["ALLOW", "DENY"].map((action) =>
  policyOf({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "p", namespace: "a" },
    spec: { action, rules: [{}] },
  }),
);

const clauseOn = (attribute: RequestAttribute): fc.Arbitrary<Clause> =>
  fc.record({
    attribute: fc.constant(attribute),
    header: attribute === "request.headers" ? fc.constantFrom(...HEADERS) : fc.constant(null),
    claim: fc.constant(attribute.startsWith("request.auth") ? ["groups"] : null),
    isNegated: fc.boolean(),
    values: fc.uniqueArray(fc.constantFrom(...VALUES[attribute]), { minLength: 1, maxLength: 6, size: "max" }),
    field: fc.constant(""),
    line: fc.constant(null),
  });
const tests: fc.Arbitrary<{ readonly clause: Clause; readonly compiled: RequestTest }> = fc
  .tuple(fc.constantFrom(...ATTRIBUTES).chain(clauseOn), fc.constantFrom(...policiesOf))
  .map(([clause, policy]) => ({
    clause,
    compiled: compileRequestTest(clause, clause.attribute as RequestAttribute, policy),
  }));

/** Some with a character that no narrow wildcard takes. */
const asked: fc.Arbitrary<RequestFacts> = fc
  .tuple(requests, fc.constantFrom(null, null, "/a/x|y", "/a|/b"))
  .map(([request, path]) => (path === null ? request : { ...request, path }));

test("a clause finds the requests that it matches, and no others, once what is left open is asked", () => {
  const seen = { holds: 0, not: 0, confirmed: 0, refused: 0 };
  fc.assert(
    fc.property(tests, asked, ({ clause, compiled }, request) => {
      const lookup = REQUEST_TESTS.lookupOf(compiled);
      const isAsked = clause.attribute.startsWith("request.auth") || clause.values.includes("*");
      expect(lookup === null).toBe(isAsked);
      if (lookup === null) return;
      const text = lookup.subject.textOf(request);
      const met = text === undefined ? [] : lookup.patterns.filter((pattern) => finds(pattern, text as string));
      for (const { confirm } of met)
        if (confirm !== null) seen[requestTestHolds(confirm, request) ? "confirmed" : "refused"] += 1;
      const isMet = met.some(({ confirm }) => confirm === null || requestTestHolds(confirm, request));
      const wanted = requestTestHolds(compiled, request);
      expect(isMet !== lookup.isNegated).toBe(wanted);
      seen[wanted ? "holds" : "not"] += 1;
    }),
    { numRuns: RUNS },
  );
  for (const [what, count] of Object.entries(seen)) expectSeen(what, count, RUNS / 200);
});

/** By the index that trees use, with one pattern in it. */
function finds(pattern: Pattern<unknown>, text: string): boolean {
  const index = new PatternIndex<true>();
  index.set(pattern, true);
  const found: true[] = [];
  index.pushMatches(text, found);
  return found.length > 0;
}

test("each value of a clause is a pattern of its own: texts as they are read, templates as they are written", () => {
  fc.assert(
    fc.property(tests, ({ clause, compiled }) => {
      const patterns = REQUEST_TESTS.lookupOf(compiled)?.patterns;
      if (patterns === undefined) return;
      const isHost = clause.attribute === "request.host";
      const written = clause.values.map((value) => (isHost ? value.toLowerCase() : value));
      const read = patterns.map(({ kind, text }) =>
        kind === "prefix" ? `${text}*` : kind === "suffix" ? `*${text}` : text,
      );
      expect(read.toSorted()).toEqual([...new Set(written)].toSorted());
      for (const { kind, text, confirm } of patterns) {
        expect(kind === "template").toBe(text.includes("{"));
        expect(confirm === null).toBe(kind !== "template");
      }
    }),
    { numRuns: RUNS / 4 },
  );
});

test("subjects of the same key look at the same, and of other keys at something else; what was looked up once is kept", () => {
  const request: RequestFacts = {
    method: "GET",
    path: "/a",
    host: "Orders",
    header: (name) => name.toUpperCase(),
    claims: null,
  };
  const texts = new Map<string, unknown>();
  fc.assert(
    fc.property(tests, ({ compiled }) => {
      const lookup = REQUEST_TESTS.lookupOf(compiled);
      expect(REQUEST_TESTS.lookupOf(compiled)).toBe(lookup);
      if (lookup === null) return;
      const text = lookup.subject.textOf(request);
      expect(texts.get(lookup.subject.key) ?? text).toBe(text);
      texts.set(lookup.subject.key, text);
    }),
    { numRuns: 1_000 },
  );
  expect(new Set(texts.values())).toEqual(new Set(["GET", "/a", "orders", "Orders", "X-ROLE", "X-TEAM"]));
  const headers = HEADERS.map((name) => `header ${name}`);
  expect(new Set(texts.keys())).toEqual(new Set(["method", "path", "host", ...headers]));
});
