import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { backoffMs } from "../../../../src/proxy/traffic/backoff.ts";
import { Breaker, budgetOf, type RetryKind } from "../../../../src/proxy/traffic/breaker.ts";
import { DEFAULT_TRAFFIC_POLICY } from "../../../../src/traffic/default-traffic.ts";
import { seededRandom } from "../../../support/traffic.ts";

const POOL = DEFAULT_TRAFFIC_POLICY.connectionPool;

describe("requests under way", () => {
  it("are bounded, and one that ends makes room", () => {
    const breaker = new Breaker({ ...POOL, maxRequests: 2 });
    breaker.enter();
    breaker.enter();
    expect(() => breaker.enter()).toThrow(expect.objectContaining({ code: "upstream-overflow" }));
    breaker.leave();
    expect(() => breaker.enter()).not.toThrow();
  });

  it("none at all may be allowed", () => {
    expect(() => new Breaker({ ...POOL, maxRequests: 0 }).enter()).toThrow(/maxRequests/);
  });
});

describe("retries under way", () => {
  it("maxRetries bounds both kinds", () => {
    const breaker = new Breaker({ ...POOL, maxRetries: 2 });
    expect(breaker.beginRetry("was-not-served", 1_000)).toBe("allowed");
    expect(breaker.beginRetry("may-have-been-served", 1_000)).toBe("allowed");
    expect(breaker.beginRetry("was-not-served", 1_000)).toBe("limit");
    expect(breaker.beginRetry("may-have-been-served", 1_000)).toBe("limit");
  });

  it("the budget bounds what may have been served, and nothing else", () => {
    const breaker = new Breaker(POOL);
    for (let i = 0; i < 100; i++) expect(breaker.beginRetry("was-not-served", 5)).toBe("allowed");
    for (let i = 0; i < 3; i++) expect(breaker.beginRetry("may-have-been-served", 5)).toBe("allowed");
    expect(breaker.beginRetry("may-have-been-served", 5)).toBe("budget");
    expect(breaker.beginRetry("may-have-been-served", 20)).toBe("allowed");
  });

  it.each([
    [0, 3],
    [15, 3],
    [19, 3],
    [20, 4],
    [100, 20],
  ])("of %d requests under way %d may be retries", (active, budget) => expect(budgetOf(active)).toBe(budget));

  it("is never over the budget, whatever begins and ends, as a count by hand has it", () => {
    const kinds = fc.constantFrom<RetryKind>("may-have-been-served", "was-not-served");
    const steps = fc.array(fc.tuple(fc.boolean(), kinds, fc.nat(200)), { maxLength: 300 });
    fc.assert(
      fc.property(steps, fc.option(fc.integer({ min: 0, max: 20 })), (list, max) => {
        const breaker = new Breaker({ ...POOL, maxRetries: max ?? Number.POSITIVE_INFINITY });
        const open: RetryKind[] = [];
        const served = () => open.filter((kind) => kind === "may-have-been-served").length;
        for (const [begins, kind, active] of list) {
          if (begins) {
            const isOver = max !== null && open.length >= max;
            const isOverBudget = kind === "may-have-been-served" && served() >= budgetOf(active);
            const expected = isOver ? "limit" : isOverBudget ? "budget" : "allowed";
            expect(breaker.beginRetry(kind, active)).toBe(expected);
            if (expected === "allowed") open.push(kind);
          } else if (open.length > 0) breaker.endRetry(open.shift()!);
          expect(breaker.retries).toBe(open.length);
        }
      }),
    );
  });
});

describe("the wait before a retry", () => {
  it("lies anywhere below twice the one before, and below ten times the first", () => {
    const random = seededRandom(3);
    const highest = [25, 75, 175, 250, 250];
    for (const [index, bound] of highest.entries()) {
      const waits = Array.from({ length: 500 }, () => backoffMs(index + 1, 25, random));
      expect(Math.max(...waits)).toBeLessThanOrEqual(bound);
      expect(Math.max(...waits)).toBeGreaterThan(bound * 0.9);
      expect(Math.min(...waits)).toBeLessThan(bound * 0.1);
    }
  });
});
