import { expect, test } from "vitest";
import { holdsAt, nextChangeMs, policiesAt } from "../../../src/policy/grant-times.ts";
import { policyOf } from "../../support/policy-arbitraries.ts";
import { allow, isAllowed } from "../../support/policy-world.ts";

const NOON = Date.parse("2026-03-01T12:00:00Z");
const HOUR_MS = 3_600_000;

function grant(name: string, from: number | null, until: number | null, extra: object = {}) {
  const annotations = { ...timeOf(from, "cardea.dev/valid-from"), ...timeOf(until, "cardea.dev/expires"), ...extra };
  return policyOf({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name, namespace: "shop", annotations },
    spec: { rules: [{}] },
  });
}

function timeOf(ms: number | null, annotation: string): object {
  return ms === null ? {} : { [annotation]: new Date(ms).toISOString() };
}

test.each<[number | null, number | null, number, boolean]>([
  [null, null, NOON, true],
  [null, null, -1, true],
  // It begins when it is to, and has ended when its end is reached.
  [NOON, null, NOON - 1, false],
  [NOON, null, NOON, true],
  [NOON, null, NOON + 1, true],
  [null, NOON, NOON - 1, true],
  [null, NOON, NOON, false],
  [null, NOON, NOON + 1, false],
  [NOON, NOON + 2, NOON - 1, false],
  [NOON, NOON + 2, NOON + 1, true],
  [NOON, NOON + 2, NOON + 2, false],
  // A time before 1970 is one like any other.
  [null, 5, -1, true],
  [-5, null, -6, false],
])("a grant from %s until %s, at %d: %s", (fromMs, untilMs, atMs, wanted) => {
  const terms = { fromMs, untilMs, ticket: null, requestedBy: null, isBreakGlass: false };
  expect(holdsAt(terms, atMs)).toBe(wanted);
});

test("a grant that has ended, or has not begun, allows nothing, whatever stands beside it", () => {
  const ended = grant("ended", null, NOON);
  const later = grant("later", NOON + HOUR_MS, null);
  const now = grant("now", NOON - 1, null);
  const always = policyOf(allow({ to: [{ operation: { paths: ["/open"] } }] }));
  const rulesOf = (...documents: Parameters<typeof policiesAt>[0]) =>
    policiesAt(documents, NOON).map(({ name, rules }) => [name, rules.length]);
  expect(rulesOf(ended, later, now, always)).toEqual([
    ["ended", 0],
    ["later", 0],
    ["now", 1],
    ["allow", 1],
  ]);
  expect(rulesOf(always, ended)).toEqual([
    ["allow", 1],
    ["ended", 0],
  ]);
  expect(rulesOf(ended)).toEqual([["ended", 0]]);
  // The very same list where no time plays a part, and the very same policies where it does: they are compiled once.
  const plain = [always, always];
  expect(policiesAt(plain, NOON)).toBe(plain);
  expect(policiesAt([always, ended, now], NOON)[0]).toBe(always);
  expect(policiesAt([always, ended, now], NOON)[2]).toBe(now);
});

test("without a rule it is still an ALLOW policy, so that its end closes where the default lets in", () => {
  const settings = { defaultAction: "ALLOW" as const };
  const [ended] = policiesAt([grant("ended", null, NOON)], NOON);
  expect(ended).toMatchObject({ action: "ALLOW", rules: [] });
  expect(isAllowed([{ ...(ended!.raw as object), spec: { rules: [] } }], { settings })).toBe(false);
  expect(isAllowed([], { settings })).toBe(true);
});

test("the next change is the first beginning or end that lies ahead", () => {
  const documents = [
    grant("a", NOON, NOON + 3),
    grant("b", NOON + 1, NOON + 9),
    grant("c", null, NOON - 5),
    grant("d", null, null, { "cardea.dev/ticket": "T-1" }),
    policyOf(allow({})),
  ];
  const next = (atMs: number) => nextChangeMs(documents, atMs);
  expect(next(NOON - 10)).toBe(NOON - 5);
  expect(next(NOON - 5)).toBe(NOON);
  expect(next(NOON)).toBe(NOON + 1);
  expect(next(NOON + 1)).toBe(NOON + 3);
  expect(next(NOON + 3)).toBe(NOON + 9);
  expect(next(NOON + 9)).toBeNull();
  expect(nextChangeMs([], NOON)).toBeNull();
  // Before 1970, where what is not there must not be taken for the epoch.
  expect(nextChangeMs(documents.slice(3), -1)).toBeNull();
});
