import { integer, assert, property } from "fast-check";
import { describe, expect, test } from "vitest";
import { Allowance } from "../../../../src/proxy/spans/allowance.ts";
import { isWithinRatio } from "../../../../src/proxy/spans/trace-ratio.ts";
import { WallTimes } from "../../../../src/proxy/spans/wall-times.ts";
import { propertyRuns } from "../../../support/property-runs.ts";
import { seededRandom } from "../../../support/traffic.ts";

const random = seededRandom(1);

describe("a share of all traces", () => {
  const ids = Array.from({ length: 20_000 }, () => random.bytes(16).toString("hex"));

  test.each([1, 10, 50, 99])("of %d in a hundred is what it says", (percentage) => {
    const among = ids.filter((id) => isWithinRatio(id, percentage)).length / ids.length;
    expect(Math.abs(among - percentage / 100)).toBeLessThan(0.01);
  });

  test("of a larger number has all that a smaller one has", () => {
    for (const id of ids) if (isWithinRatio(id, 10)) expect(isWithinRatio(id, 20)).toBe(true);
  });

  test("looks at chance alone, which ids of 64 bits have, too", () => {
    const end = "00ffffffffffffff".slice(2);
    expect(isWithinRatio(`${"0".repeat(18)}${end}`, 1)).toBe(true);
    expect(isWithinRatio(`${"f".repeat(18)}${"0".repeat(14)}`, 99)).toBe(false);
  });

  test.each([
    [0, false],
    [100, true],
  ])("of %d in a hundred holds for each", (percentage, isAmong) => {
    for (const id of ["0".repeat(32), "f".repeat(32)]) expect(isWithinRatio(id, percentage)).toBe(isAmong);
  });
});

describe("so many a second", () => {
  test("are let through at once, and then as time goes by", () => {
    let nowMs = 0;
    const allowance = new Allowance(10, () => nowMs);
    const takeAll = () => Array.from({ length: 100 }, () => allowance.take()).filter(Boolean).length;
    expect(takeAll()).toBe(10);
    nowMs = 250;
    expect(takeAll()).toBe(2);
    nowMs = 100_000;
    expect(takeAll()).toBe(10);
  });

  test("are never more in any second than twice as many, however they come", () => {
    assert(
      property(integer({ min: 1, max: 50 }), integer({ min: 0, max: 2 ** 31 }), (perSecond, seed) => {
        const chance = seededRandom(seed);
        let nowMs = 0;
        const allowance = new Allowance(perSecond, () => nowMs);
        const taken: number[] = [];
        for (let i = 0; i < 400; i++) {
          nowMs += chance.float() * 40;
          if (allowance.take()) taken.push(nowMs);
        }
        for (const at of taken)
          expect(taken.filter((each) => each >= at && each < at + 1_000).length).toBeLessThanOrEqual(perSecond * 2);
      }),
      { numRuns: propertyRuns(50) },
    );
  });
});

describe("wall time in fractions", () => {
  test("comes close after some looks, and never further than a millisecond", () => {
    const chance = seededRandom(3);
    const { time, clock } = clocks(() => 1_764_000_000_123.456);
    const times = new WallTimes(clock);
    for (let i = 0; i < 300; i++) {
      expect(Math.abs(times.offsetMs() - 1_764_000_000_123.456)).toBeLessThan(1);
      time.ms += chance.float() * 10;
    }
    expect(Math.abs(times.offsetMs() - 1_764_000_000_123.456)).toBeLessThan(0.05);
  });

  test.each([60_000, -60_000, 1.5])("begins anew when the wall clock is set by %d ms", (step) => {
    let offset = 1_764_000_000_000;
    const { time, clock } = clocks(() => offset);
    const times = new WallTimes(clock);
    for (let i = 0; i < 200; i++) {
      times.offsetMs();
      time.ms += 0.37;
    }
    offset += step;
    for (let i = 0; i < 200; i++) {
      times.offsetMs();
      time.ms += 0.37;
    }
    expect(Math.abs(times.offsetMs() - offset)).toBeLessThan(1);
  });
});

/** A wall clock that tells whole milliseconds, `offset` away from the monotonic one. */
function clocks(offset: () => number) {
  const time = { ms: 0 };
  const setTimer = NO_TIMER;
  return { time, clock: { monotonicMs: () => time.ms, wallMs: () => Math.floor(time.ms + offset()), setTimer } };
}

const NO_TIMER = () => ({ cancel() {} });
