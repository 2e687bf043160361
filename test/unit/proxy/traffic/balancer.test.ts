import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createBalancer, pickLessBusy } from "../../../../src/proxy/traffic/balancer.ts";
import type { Member } from "../../../../src/proxy/traffic/member.ts";
import type { LoadBalancer } from "../../../../src/traffic/service-traffic.ts";
import { membersOf, openBackend, seededRandom } from "../../../support/traffic.ts";

const choose = (among: readonly Member[], draws: number[], activeAt: (port: number) => number) => {
  const random = { bytes: () => Buffer.alloc(0), float: () => draws.shift()! };
  const parts = { random, nowMs: () => 0, activeAt: ({ target }: Member) => activeAt(target.dialPort) };
  return pickLessBusy(among, 0, parts).target.dialPort;
};

const count = (rule: LoadBalancer, members: readonly Member[], draws: number, nowMs = 0) => {
  const parts = { random: seededRandom(7), nowMs: () => nowMs, activeAt: () => 0 };
  const balance = createBalancer(rule, parts);
  const counts = new Map<number, number>();
  for (let i = 0; i < draws; i++) {
    const { dialPort } = balance(members, null).target;
    counts.set(dialPort, (counts.get(dialPort) ?? 0) + 1);
  }
  return counts;
};

describe("of two workloads drawn at random", () => {
  const members = membersOf(3);

  it("two different ones are compared, whatever is drawn", () => {
    for (let first = 0; first < 1; first += 0.05) {
      for (let second = 0; second < 1; second += 0.05) {
        const compared: number[] = [];
        choose(members, [first, second], (port) => compared.push(port));
        expect(new Set(compared).size).toBe(2);
      }
    }
  });

  it("the less busy one is taken", () => {
    expect(choose(members, [0, 0], activeAt)).toBe(2);
    expect(choose(members, [0.99, 0.5], activeAt)).toBe(2);
    expect(choose(members, [0, 0.5], activeAt)).toBe(1);
  });

  it("one is taken without a look when it is the only one", () => {
    expect(choose(members.slice(0, 1), [], () => 99)).toBe(1);
  });
});

describe("a backend without workloads", () => {
  it.each(["least-request", "round-robin"] as const)("%s: there is nobody to send to", (kind) => {
    const { backend } = openBackend({ loadBalancer: { kind, slowStartMs: 0 } }, []);
    expect(() => backend.pick(null)).toThrow(expect.objectContaining({ code: "no-healthy-upstream" }));
  });
});

describe("shares", () => {
  it("round robin gives each the same, to one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 200 }), (members, draws) => {
        const counts = [...count({ kind: "round-robin", slowStartMs: 0 }, membersOf(members), draws).values()];
        const all = [...counts, ...Array.from({ length: members - counts.length }, () => 0)];
        expect(Math.max(...all) - Math.min(...all)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it.each(["least-request", "random"] as const)("%s is even in the long run", (kind) => {
    const rule: LoadBalancer = kind === "random" ? { kind } : { kind, slowStartMs: 0 };
    for (const share of count(rule, membersOf(5), 10_000).values()) {
      expect(share).toBeGreaterThan(1_800);
      expect(share).toBeLessThan(2_200);
    }
  });

  it.each(["least-request", "round-robin"] as const)("%s: who comes late gets more and more", (kind) => {
    const late = membersOf(4, 0)[3]!;
    const members = [...membersOf(3), late];
    const at = (nowMs: number) => count({ kind, slowStartMs: 10_000 }, members, 10_000, nowMs).get(4) ?? 0;
    expect(at(0)).toBeLessThan(500);
    expect(at(5_000)).toBeGreaterThan(at(0));
    expect(at(9_000)).toBeGreaterThan(at(5_000));
    expect(at(10_000)).toBeGreaterThan(2_200);
  });

  it("who was there from the start does not begin slowly; who is registered later does", () => {
    const test = openBackend({ loadBalancer: { kind: "round-robin", slowStartMs: 10_000 } }, [1]);
    expect(test.backend.members[0]!.sinceMs).toBe(Number.NEGATIVE_INFINITY);
    test.clock.advance(500);
    test.register([1, 2]);
    test.clock.advance(500);
    test.register([2, 1]);
    expect(test.backend.members.map(({ sinceMs }) => sinceMs)).toEqual([500, Number.NEGATIVE_INFINITY]);
  });
});

const activeAt = (port: number) => [0, 5, 3, 9][port]!;
