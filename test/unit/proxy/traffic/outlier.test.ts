import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { OutlierDetection } from "../../../../src/traffic/service-traffic.ts";
import { openBackend, type TestBackend } from "../../../support/traffic.ts";

const RULES: OutlierDetection = {
  consecutive5xxErrors: 3,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 2,
  splitExternalLocalOriginErrors: false,
  intervalMs: 10_000,
  baseEjectionTimeMs: 30_000,
  maxEjectionPercent: 100,
  minHealthPercent: 0,
};

function open(rules: Partial<OutlierDetection>, count: number): TestBackend {
  const ports = Array.from({ length: count }, (_, index) => index + 1);
  return openBackend({ outlierDetection: { ...RULES, ...rules } }, ports);
}

function answer(test: TestBackend, port: number, ...statuses: number[]): void {
  for (const status of statuses) test.backend.report(test.memberAt(port).target, { from: "workload", status });
}

function fail(test: TestBackend, port: number, count: number): void {
  for (let i = 0; i < count; i++) test.backend.report(test.memberAt(port).target, { from: "local", status: 503 });
}

/** The ports that get requests. */
function serving({ backend }: TestBackend): Set<number> {
  return new Set(Array.from({ length: 200 }, () => backend.pick(null).target.dialPort));
}

describe("failures in a row", () => {
  it("eject at the threshold, and not before", () => {
    const test = open({}, 3);
    answer(test, 1, 500, 500);
    expect(serving(test)).toEqual(new Set([1, 2, 3]));
    answer(test, 1, 500);
    expect(serving(test)).toEqual(new Set([2, 3]));
    expect(test.told).toEqual(["ejected 1 consecutive-5xx 30000"]);
  });

  it("are forgotten after one answer that is none", () => {
    const test = open({}, 3);
    answer(test, 1, 500, 500, 200, 500, 500, 404, 500, 500);
    expect(test.told).toEqual([]);
  });

  it("of one do not count for another", () => {
    const test = open({}, 3);
    answer(test, 1, 500, 500);
    answer(test, 2, 500, 500);
    expect(test.told).toEqual([]);
  });

  it.each([
    [[502, 503, 504], true],
    [[500, 500, 500], false],
    [[502, 503, 500, 504], false],
    [[502, 503, 200, 504], false],
  ])("gateway errors %j: %s", (statuses, isEjected) => {
    const test = open({ consecutive5xxErrors: 0, consecutiveGatewayErrors: 3 }, 2);
    answer(test, 1, ...statuses);
    expect(test.told.length === 1).toBe(isEjected);
  });

  it("without split, what never answered counts as a 503", () => {
    const test = open({}, 2);
    fail(test, 1, 3);
    expect(test.told).toEqual(["ejected 1 consecutive-5xx 30000"]);
  });

  it("with split, they have a count of their own", () => {
    const test = open({ splitExternalLocalOriginErrors: true }, 3);
    fail(test, 1, 1);
    answer(test, 1, 500, 500);
    expect(test.told).toEqual([]);
    fail(test, 1, 1);
    // An answer in between, even a bad one, shows that it can be reached.
    expect(test.told).toEqual([]);
    fail(test, 1, 1);
    expect(test.told).toEqual(["ejected 1 consecutive-local-origin-failures 30000"]);
  });

  it("0 switches a count off", () => {
    const test = open({ consecutive5xxErrors: 0, consecutiveLocalOriginFailures: 0 }, 2);
    answer(test, 1, ...Array.from({ length: 50 }, () => 500));
    fail(test, 1, 50);
    expect(test.told).toEqual([]);
  });

  it("of nobody who is known are nobody's", () => {
    const test = open({}, 2);
    const { target } = test.memberAt(1);
    test.register([2]);
    for (let i = 0; i < 5; i++) test.backend.report(target, { from: "workload", status: 500 });
    expect(test.told).toEqual([]);
  });
});

describe("who is ejected", () => {
  it("comes back with the first interval after its time, with a clean record", () => {
    const test = open({}, 2);
    answer(test, 1, 500, 500, 500);
    test.clock.advance(29_999);
    expect(serving(test)).toEqual(new Set([2]));
    test.clock.advance(1);
    expect(serving(test)).toEqual(new Set([1, 2]));
    answer(test, 1, 500, 500);
    expect(test.told).toEqual(["ejected 1 consecutive-5xx 30000", "returned 1"]);
  });

  it("stays away longer each time, and less long again after good intervals", () => {
    const test = open({}, 2);
    for (const _ of [1, 2, 3]) {
      answer(test, 1, 500, 500, 500);
      while (test.memberAt(1).health.ejectedAtMs !== null) test.clock.advance(1_000);
    }
    test.clock.advance(20_000);
    answer(test, 1, 500, 500, 500);
    expect(test.told.filter((told) => told.startsWith("ejected"))).toEqual([
      "ejected 1 consecutive-5xx 30000",
      "ejected 1 consecutive-5xx 60000",
      "ejected 1 consecutive-5xx 90000",
      "ejected 1 consecutive-5xx 60000",
    ]);
  });

  it("never longer than five minutes", () => {
    const test = open({ baseEjectionTimeMs: 200_000 }, 2);
    answer(test, 1, 500, 500, 500);
    test.clock.advance(200_000);
    answer(test, 1, 500, 500, 500);
    expect(test.told.at(-1)).toBe("ejected 1 consecutive-5xx 300000");
  });

  it("stays ejected when the registry changes, and is forgotten when it leaves", () => {
    const test = open({}, 3);
    answer(test, 1, 500, 500, 500);
    test.register([1, 2, 3, 4]);
    expect(serving(test)).toEqual(new Set([2, 3, 4]));
    test.register([2, 3, 4]);
    test.register([1, 2, 3, 4]);
    expect(serving(test)).toEqual(new Set([1, 2, 3, 4]));
    expect(test.told).toEqual(["ejected 1 consecutive-5xx 30000", "left"]);
  });
});

describe("how many are ejected", () => {
  it.each([
    [10, 1, 0],
    [10, 2, 0],
    [10, 9, 0],
    [10, 10, 1],
    [10, 19, 1],
    [10, 20, 2],
    [49, 2, 0],
    [50, 2, 1],
    [33, 3, 0],
    [34, 3, 1],
    [99, 1, 0],
    [100, 1, 1],
  ])("at most %i %% of %i: %i", (maxEjectionPercent, count, ejected) => {
    const test = open({ maxEjectionPercent }, count);
    for (let port = 1; port <= count; port++) answer(test, port, 500, 500, 500);
    expect(test.told).toHaveLength(ejected);
  });

  it("the only one is not, and goes on serving", () => {
    const test = open({ maxEjectionPercent: 10 }, 1);
    answer(test, 1, 500, 500, 500, 500);
    fail(test, 1, 10);
    expect(serving(test)).toEqual(new Set([1]));
    expect(test.told).toEqual([]);
  });

  it("one that may not be ejected yet is, once others have come beside it", () => {
    const test = open({ maxEjectionPercent: 50 }, 1);
    answer(test, 1, 500, 500, 500);
    test.register([1, 2]);
    answer(test, 1, 500);
    expect(serving(test)).toEqual(new Set([2]));
  });

  it("none where none may be", () => {
    const test = open({ maxEjectionPercent: 0 }, 2);
    for (const port of [1, 2]) answer(test, port, 500, 500, 500);
    expect(test.told).toEqual([]);
  });

  it("all of them leave nobody, and that is said", () => {
    const test = open({}, 2);
    for (const port of [1, 2]) answer(test, port, 500, 500, 500);
    expect(() => test.backend.pick(null)).toThrow(/2 workloads, and all are ejected/);
  });

  it("below minHealthPercent ejections are ignored", () => {
    const test = open({ minHealthPercent: 50 }, 4);
    for (const port of [1, 2]) answer(test, port, 500, 500, 500);
    expect(serving(test)).toEqual(new Set([3, 4]));
    answer(test, 3, 500, 500, 500);
    expect(serving(test)).toEqual(new Set([1, 2, 3, 4]));
  });

  it("never more than the share that is allowed, whatever fails", () => {
    const events = fc.array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.boolean(), fc.nat(20_000)), {
      maxLength: 300,
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 100 }), events, (count, percent, list) => {
        const test = open({ maxEjectionPercent: percent, consecutive5xxErrors: 2 }, count);
        for (const [draw, isGood, ms] of list) {
          answer(test, ((draw - 1) % count) + 1, isGood ? 200 : 503);
          test.clock.advance(ms);
          const ejected = test.backend.members.filter(({ health }) => health.ejectedAtMs !== null).length;
          expect(ejected).toBeLessThanOrEqual(Math.floor((count * percent) / 100));
        }
        const [out, back] = ["ejected", "returned"].map(
          (word) => test.told.filter((told) => told.startsWith(word)).length,
        );
        const ejected = test.backend.members.filter(({ health }) => health.ejectedAtMs !== null).length;
        expect(out! - back!).toBe(ejected);
      }),
      { numRuns: 60 },
    );
  });
});
