import { beforeEach, describe, expect, test } from "vitest";
import { type Leadership, openLeadership } from "../../../../src/control/kube/lease.ts";
import { KUBE } from "../../../../src/core/kube-resources.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createMemoryKube, type MemoryKube } from "../../../support/memory-kube.ts";
import { createSeededRandom, createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";

let kube: MemoryKube;
let clock: SimulatedClock;

beforeEach(() => {
  kube = createMemoryKube();
  clock = createSimulatedClock(Date.UTC(2026, 0, 1));
});

function open(identity: string): Leadership {
  const ports = { kube, clock, random: createSeededRandom(identity.length), logger: createKeptLog() };
  return openLeadership({ ...ports, namespace: "cardea-system", name: "lease", identity });
}

function leaders(...all: readonly Leadership[]): number {
  return all.filter(({ isLeader }) => isLeader.get()).length;
}

function holderOf(lease: object): unknown {
  return (lease as { readonly spec: Record<string, unknown> }).spec["holderIdentity"];
}

function spec(): Record<string, unknown> {
  return kube.peek(KUBE.leases, "lease", "cardea-system")!["spec"] as Record<string, unknown>;
}

test("of several that begin at once one leads, and goes on leading", async () => {
  const all = [open("a"), open("bb"), open("ccc")];
  for (let second = 0; second < 60; second += 1) {
    await clock.advance(1_000);
    expect(leaders(...all)).toBe(1);
  }
  expect(spec()).toMatchObject({ leaseDurationSeconds: 15, leaseTransitions: 0 });
});

test("one that ends in good order is followed within seconds", async () => {
  const [first, second] = [open("a"), open("bb")];
  await clock.advance(1_000);
  const [leader, other] = first.isLeader.get() ? [first, second] : [second, first];
  const closing = leader.close();
  await clock.advance(3_000);
  await closing;
  expect(other.isLeader.get()).toBe(true);
  expect(spec()["leaseTransitions"]).toBe(1);
});

describe("never do two lead", () => {
  test("while the leader cannot renew: it stops before another may begin", async () => {
    const leader = open("a");
    await clock.advance(1_000);
    const other = open("bb");
    await clock.advance(1_000);
    let isCut = true;
    const update = kube.update.bind(kube);
    kube.update = (resource, object, sub) =>
      isCut && (object["spec"] as Record<string, unknown>)["holderIdentity"] === "a"
        ? new Promise(() => {})
        : update(resource, object, sub);
    for (let second = 0; second < 40; second += 1) {
      await clock.advance(1_000);
      expect(leaders(leader, other)).toBeLessThan(2);
    }
    expect(other.isLeader.get()).toBe(true);
    isCut = false;
  });

  test("when the answer to a renewal comes after the lease has ended", async () => {
    const update = kube.update.bind(kube);
    const held = Promise.withResolvers<void>();
    const leader = open("a");
    await clock.advance(1_000);
    const other = open("bb");
    await clock.advance(1_000);
    let isSlow = true;
    kube.update = async (resource, object, sub) => {
      const answer = await update(resource, object, sub);
      if (isSlow && holderOf(object) === "a") await held.promise;
      return answer;
    };
    for (let second = 0; second < 40; second += 1) await clock.advance(1_000);
    expect([leader.isLeader.get(), other.isLeader.get()]).toEqual([false, true]);
    isSlow = false;
    held.resolve();
    await clock.advance(0);
    expect([leader.isLeader.get(), other.isLeader.get()]).toEqual([false, true]);
  });

  test("when the API takes 20 s for each answer: nobody leads for longer than the lease is held", async () => {
    const all = [open("a"), open("bb")];
    await clock.advance(1_000);
    const slow = <T>(answer: Promise<T>): Promise<T> =>
      answer.then((value) => new Promise((resolve) => clock.setTimer(20_000, () => resolve(value))));
    const [get, update] = [kube.get.bind(kube), kube.update.bind(kube)];
    kube.get = (...values) => slow(get(...values));
    kube.update = (...values) => slow(update(...values));
    await clock.advance(15_000);
    for (let second = 0; second < 200; second += 1) {
      await clock.advance(1_000);
      expect(leaders(...all)).toBe(0);
    }
    kube.get = get;
    kube.update = update;
    await clock.advance(60_000);
    expect(leaders(...all)).toBe(1);
  });

  test("when a stopped process wakes: it holds nothing, before any timer has told it", async () => {
    const ownClock = createSimulatedClock(Date.UTC(2026, 0, 1));
    const ports = { kube, clock: ownClock, random: createSeededRandom(1), logger: createKeptLog() };
    const stopped = openLeadership({ ...ports, namespace: "cardea-system", name: "lease", identity: "a" });
    await ownClock.advance(1_000);
    expect(stopped.holds()).toBe(true);
    const other = open("bb");
    await clock.advance(30_000);
    ownClock.freeze(30_000);
    expect([stopped.isLeader.get(), stopped.holds(), other.holds()]).toEqual([true, false, true]);
    await ownClock.advance(0);
    expect([stopped.isLeader.get(), other.isLeader.get()]).toEqual([false, true]);
    expect(spec()["holderIdentity"]).toBe("bb");
  });

  test("while the API fails for all: nobody leads in the end", async () => {
    const [first, second] = [open("a"), open("bb")];
    await clock.advance(1_000);
    kube.fail("get", ...Array.from({ length: 100 }, () => "unreachable" as const));
    await clock.advance(12_000);
    expect(leaders(first, second)).toBe(0);
  });

  test("whatever the holder's clock says: a lease from the future, or the past, is waited out", async () => {
    for (const renewTime of ["2099-01-01T00:00:00.000000Z", "1999-01-01T00:00:00.000000Z"]) {
      const name = "lease";
      kube.take(KUBE.leases, name, "cardea-system");
      kube.put(KUBE.leases, {
        metadata: { namespace: "cardea-system", name },
        spec: { holderIdentity: "x", renewTime },
      });
      const leadership = open("a");
      await clock.advance(14_000);
      expect(leadership.isLeader.get()).toBe(false);
      await clock.advance(5_000);
      expect(leadership.isLeader.get()).toBe(true);
      const closing = leadership.close();
      await clock.advance(1);
      await closing;
    }
  });
});

test("a lease that another took over is not taken back", async () => {
  const leadership = open("a");
  await clock.advance(1_000);
  const held = kube.peek(KUBE.leases, "lease", "cardea-system")!;
  kube.put(KUBE.leases, { ...held, spec: { ...spec(), holderIdentity: "thief" } });
  await clock.advance(3_000);
  expect(leadership.isLeader.get()).toBe(false);
});
