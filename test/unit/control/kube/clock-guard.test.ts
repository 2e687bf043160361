import { expect, test } from "vitest";
import { guardClock } from "../../../../src/control/kube/clock-guard.ts";
import { createClusterFaults } from "../../../../src/control/kube/cluster-faults.ts";
import { createLatest } from "../../../../src/core/latest.ts";
import { createKeptLog } from "../../../support/kept-log.ts";

const clockAheadMs = createLatest(0);
const faults = createClusterFaults(createKeptLog());

test.each([300_001, 600_000, 7_200_000, -300_001, -600_000, -7_200_000])(
  "%i ms from the API server's clock nothing may be issued; together again it may",
  (aheadMs) => {
    clockAheadMs.set(0);
    const guard = guardClock({ clockAheadMs }, faults);
    clockAheadMs.set(aheadMs);
    expect(() => guard.assertTrusted()).toThrow(/no certificate is issued until they agree/);
    clockAheadMs.set(0);
    expect(() => guard.assertTrusted()).not.toThrow();
    guard.close();
  },
);

test("a clock that was wrong from the beginning is not trusted, nor told of when nobody asks any more", () => {
  clockAheadMs.set(600_000);
  const guard = guardClock({ clockAheadMs }, faults);
  expect(() => guard.assertTrusted()).toThrow(/10 min ahead/);
  guard.close();
  clockAheadMs.set(0);
  expect(() => guard.assertTrusted()).toThrow(/10 min ahead/);
});

test.each([0, 1_000, 300_000, -300_000])("%i ms are within what certificates are backdated by", (aheadMs) => {
  clockAheadMs.set(aheadMs);
  expect(() => guardClock({ clockAheadMs }, faults).assertTrusted()).not.toThrow();
});

test("an API that tells no time is believed", () => {
  expect(() => guardClock({}, faults).assertTrusted()).not.toThrow();
});
