import { beforeEach, describe, expect, test } from "vitest";
import { createSidecars, type Sidecars } from "../../../../src/control/distribute/sidecars.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import { spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";

const orders = spiffeIdFor("cluster.local", "shop", "orders");
const web = spiffeIdFor("cluster.local", "shop", "web");

let clock: SimulatedClock;
let sidecars: Sidecars;
beforeEach(() => {
  clock = createSimulatedClock(0);
  sidecars = createSidecars(clock);
});

test("a sidecar's life is followed", async () => {
  const track = sidecars.track(orders, "orders-1");
  sidecars.certified(orders, 60_000);
  track.started();
  await clock.advance(1_000);
  track.acknowledged("r1");
  expect(sidecars.status()).toEqual([
    {
      spiffeId: orders,
      name: "orders-1",
      connected: true,
      ackedRevision: "r1",
      ackedAt: "1970-01-01T00:00:01.000Z",
      refusal: null,
      certificateNotAfter: "1970-01-01T00:01:00.000Z",
    },
  ]);
  track.ended();
  expect(sidecars.status()).toMatchObject([{ connected: false, ackedRevision: "r1" }]);
});

test("saying the same again does not make it newer", async () => {
  const track = sidecars.track(orders, "a");
  track.acknowledged("r1");
  await clock.advance(5_000);
  track.acknowledged("r1");
  expect(sidecars.status()[0]!.ackedAt).toBe("1970-01-01T00:00:00.000Z");
});

test("one that begins with empty hands has nothing in force", () => {
  const first = sidecars.track(orders, "a");
  first.acknowledged("r1");
  first.ended();
  sidecars.track(orders, "a").started();
  expect(sidecars.status()).toMatchObject([{ connected: true, ackedRevision: null, ackedAt: null }]);
});

test("one that reconnects before the old stream has ended stays connected", () => {
  const first = sidecars.track(orders, "a");
  sidecars.track(orders, "a");
  first.ended();
  expect(sidecars.status()).toMatchObject([{ connected: true }]);
});

describe("a refusal", () => {
  test("stays until the same type is accepted, not another", () => {
    const track = sidecars.track(orders, "a");
    track.refused("t1", "no");
    track.accepted("t2");
    expect(sidecars.status()[0]!.refusal).toEqual({ typeUrl: "t1", error: "no", at: "1970-01-01T00:00:00.000Z" });
    track.accepted("t1");
    expect(sidecars.status()[0]!.refusal).toBeNull();
  });

  test("of endless length is cut", () => {
    sidecars.track(orders, "a").refused("t", "x".repeat(1_000_000));
    expect(sidecars.status()[0]!.refusal!.error.length).toBeLessThan(10_000);
  });
});

test("a name cannot be used to look like another identity's sidecar", () => {
  sidecars.track(web, "orders-1").acknowledged("r9");
  sidecars.track(orders, "orders-1");
  expect(sidecars.status().map(({ spiffeId, ackedRevision }) => [spiffeId, ackedRevision])).toEqual([
    [orders, null],
    [web, "r9"],
  ]);
});

test("the longest gone are forgotten first, the connected never", () => {
  sidecars.track(web, "stays");
  sidecars.track(orders, "gone-first").ended();
  for (let index = 0; index < LIMITS.discoveryStreamsMax - 1; index += 1) sidecars.track(orders, `n${index}`).ended();
  const names = sidecars.status().map(({ name }) => name);
  expect(names).toHaveLength(LIMITS.discoveryStreamsMax);
  expect(names).toContain("stays");
  expect(names).not.toContain("gone-first");
});
