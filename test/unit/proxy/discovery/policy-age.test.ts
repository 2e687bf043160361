import { beforeEach, describe, expect, test } from "vitest";
import { createLatest, type Latest, type LatestSource } from "../../../../src/core/latest.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import type { DiscoveryConnection } from "../../../../src/proxy/discovery/control-link.ts";
import { limitPolicyAge } from "../../../../src/proxy/discovery/policy-age.ts";
import type { PolicySet } from "../../../../src/proxy/discovery/policy-sinks.ts";
import { createKeptLog, type KeptLog } from "../../../support/kept-log.ts";
import { createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";

const AGE = LIMITS.policyAgeMs;
const SET = { revision: "r1" } as PolicySet;
const NEXT = { revision: "r2" } as PolicySet;
const LOST: DiscoveryConnection = { at: "retrying", reason: "gone", retryInMs: 1 };

let clock: SimulatedClock;
let log: KeptLog;
let inForce: LatestSource<PolicySet | null>;
let connection: LatestSource<DiscoveryConnection>;
let limited: Latest<PolicySet | null>;

beforeEach(() => {
  clock = createSimulatedClock(0);
  log = createKeptLog();
  inForce = createLatest<PolicySet | null>(SET);
  connection = createLatest<DiscoveryConnection>({ at: "connected" });
  limited = limitPolicyAge({ inForce, connection, clock, logger: log });
});

test("as long as the control plane is there, no age is too old", async () => {
  await clock.advance(10 * AGE);
  expect(limited.get()).toBe(SET);
  inForce.set(NEXT);
  expect(limited.get()).toBe(NEXT);
});

describe("without a control plane", () => {
  test("the last good set is gone by to its age, and then nothing is let through, once told", async () => {
    connection.set(LOST);
    await clock.advance(AGE - 1);
    expect(limited.get()).toBe(SET);
    await clock.advance(1);
    expect(limited.get()).toBeNull();
    await clock.advance(AGE);
    expect(log.lines.map(({ event, fields }) => [event, fields["revision"]])).toEqual([["policies-too-old", "r1"]]);
  });

  test("tries that fail do not make it younger", async () => {
    connection.set(LOST);
    for (const at of ["connecting", "waiting-for-identity"] as const) {
      await clock.advance(AGE / 3);
      connection.set({ at });
      connection.set(LOST);
    }
    await clock.advance(AGE / 3);
    expect(limited.get()).toBeNull();
  });

  test("a set that was still on its way when it broke is no sign of life for long", async () => {
    connection.set(LOST);
    await clock.advance(AGE);
    inForce.set(NEXT);
    expect(limited.get()).toBeNull();
  });

  test("from the beginning there is none to grow old", async () => {
    inForce.set(null);
    connection.set({ at: "connecting" });
    await clock.advance(2 * AGE);
    expect([limited.get(), log.events()]).toEqual([null, []]);
  });
});

describe("when it is back", () => {
  test("within the age, nothing has happened", async () => {
    const seen: unknown[] = [];
    limited.subscribe((set) => seen.push(set));
    connection.set(LOST);
    await clock.advance(AGE - 1);
    connection.set({ at: "connected" });
    await clock.advance(AGE);
    expect([limited.get(), seen]).toEqual([SET, []]);
  });

  test("after it, what is held waits until it is clear that nothing else will come", async () => {
    connection.set(LOST);
    await clock.advance(AGE);
    connection.set({ at: "connected" });
    expect(limited.get()).toBeNull();
    connection.set(LOST);
    await clock.advance(60_000);
    expect(limited.get()).toBeNull();
    connection.set({ at: "connected" });
    await clock.advance(60_000);
    expect(limited.get()).toBe(SET);
    connection.set(LOST);
    await clock.advance(AGE - 1);
    expect(limited.get()).toBe(SET);
  });

  test("after it, a new set counts at once, and the old one never again", async () => {
    const seen: unknown[] = [];
    limited.subscribe((set) => seen.push(set));
    connection.set(LOST);
    await clock.advance(AGE);
    connection.set({ at: "connected" });
    inForce.set(NEXT);
    await clock.advance(60_000);
    expect(seen.filter((set) => set !== null && set !== NEXT)).toEqual([]);
    expect(limited.get()).toBe(NEXT);
  });
});
