import { expect, test } from "vitest";
import type { AttemptReport } from "../../../../src/cli/local/breach-report.ts";
import { type Played, summarize } from "../../../../src/cli/local/summary.ts";
import { PAYMENTS, sampleFlow } from "../../../support/sample-flow.ts";

const ALLOWED = sampleFlow({ verdict: "allowed", reason: "allow-rule-matched", timeMs: 150 });
const DENIED_BY_BREACH = sampleFlow({ timeMs: 250 });
const ATTEMPT: AttemptReport = { attempt: "admin", tries: "…", denied: true, got: "403", denial: "0a", by: "p/q" };

function played(changes: Partial<Played>): Played {
  return { records: [], failures: [], attempts: [], traffic: { fromMs: 100, toMs: 200 }, ...changes };
}

test("what was seen is counted from the records", () => {
  const summary = summarize(played({ records: [ALLOWED, ALLOWED, DENIED_BY_BREACH], attempts: [ATTEMPT] }));
  expect(summary).toMatchObject({ allowed: 2, denied: 1, unexpected: 0, failures: [] });
  expect(summary.identities).toEqual([
    "spiffe://cluster.local/ns/shop/sa/payments",
    "spiffe://cluster.local/ns/shop/sa/web",
  ]);
});

test("a request is counted once, where it arrived", () => {
  const source = sampleFlow({ ...ALLOWED, reporter: "source", reason: "service-registered" });
  expect(summarize(played({ records: [ALLOWED, source] })).allowed).toBe(1);
});

test("an identity that was only ever denied is not one at work", () => {
  expect(summarize(played({ records: [DENIED_BY_BREACH] })).identities).toEqual([]);
});

test.each<[string, Partial<Played>, string | null]>([
  ["a visit that failed", { failures: ["GET / of web answered 500"] }, "GET / of web answered 500"],
  ["an attempt that was not denied", { attempts: [{ ...ATTEMPT, denied: false }] }, null],
  [
    "a denial that nobody played",
    { records: [sampleFlow({ timeMs: 150 })] },
    "denied (no-allow-rule-matched): spiffe://cluster.local/ns/shop/sa/web -> payments.shop.svc.cluster.local GET /admin/refunds",
  ],
  [
    "an error while the traffic went",
    {
      records: [
        sampleFlow({
          timeMs: 150,
          verdict: "error",
          reason: "upstream-reset",
          destination: { ...PAYMENTS, service: null },
        }),
      ],
    },
    "error (upstream-reset): spiffe://cluster.local/ns/shop/sa/web -> payments GET /admin/refunds",
  ],
])("%s is unexpected", (_, changes, failure) => {
  const summary = summarize(played(changes));
  expect(summary.unexpected).toBe(1);
  if (failure !== null) expect(summary.failures).toEqual([failure]);
});

test("an error while apps come up or go down is nobody's fault", () => {
  const early = sampleFlow({ timeMs: 99, verdict: "error", reason: "upstream-connect-failed" });
  const late = sampleFlow({ timeMs: 201, verdict: "error", reason: "upstream-reset" });
  expect(summarize(played({ records: [early, late] })).unexpected).toBe(0);
});
