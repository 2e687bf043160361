import { beforeEach, describe, expect, test } from "vitest";
import type { Resource__Output } from "../../../../src/api/generated/envoy/service/discovery/v3/Resource.ts";
import { createPolicySinks, type PolicySinks } from "../../../../src/proxy/discovery/policy-sinks.ts";
import { NO_TRAFFIC, trafficOf } from "../../../../src/traffic/traffic-set.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";
import { policyResource, responseOf, ruleResource, setResource } from "./responses.ts";

const ORDERS = "orders.shop.svc.cluster.local";
const policy = policyResource("a", { rules: [{}] });
const otherPolicy = policyResource("b", { rules: [{}] });
const five = ruleResource("r", 5);
const six = ruleResource("r", 6);

let sinks: PolicySinks;
beforeEach(() => {
  sinks = createPolicySinks({
    workload: { namespace: "shop", labels: { app: "web" } },
    clock: createSimulatedClock(0),
    logger: createKeptLog(),
  });
});

test("before any set there are no rules", () => {
  expect(sinks.traffic.get()).toBe(NO_TRAFFIC);
});

test("rules are in force with the policies of their revision, in one turn, before the set is acknowledged", async () => {
  give([policy, five]);
  const seen: unknown[] = [];
  sinks.inForce.subscribe((set) => seen.push([set?.revision, sinks.traffic.get().revision, maxConnections()]));
  expect(await setTo("r1", [policy, five])).toBeNull();
  expect(seen).toEqual([["r1", "r1", 5]]);
});

test("a set without rules takes them back", async () => {
  give([policy, five]);
  await setTo("r1", [policy, five]);
  await setTo("r2", [policy]);
  expect([sinks.traffic.get().revision, maxConnections()]).toEqual(["r2", Infinity]);
});

test("a revision that changes policies alone leaves the services' rules the very same objects", async () => {
  give([policy, otherPolicy, five]);
  await setTo("r1", [policy, five]);
  const before = sinks.traffic.get().byService.get(ORDERS);
  await setTo("r2", [policy, otherPolicy, five]);
  expect(sinks.traffic.get().revision).toBe("r2");
  expect(sinks.traffic.get().byService.get(ORDERS)).toBe(before);
});

describe("the rules before stay, and so do the policies, when", () => {
  beforeEach(async () => {
    give([policy, five]);
    await setTo("r1", [policy, five]);
  });

  test("a rule of the new set is missing", async () => {
    give([otherPolicy]);
    void setTo("r2", [policy, otherPolicy, six]);
    await settle();
    expectOld();
  });

  test("a rule of the new set is another version than the one held", async () => {
    void setTo("r2", [policy, six]);
    await settle();
    expectOld();
  });

  test.each([
    ["is no JSON", { document: "{" }, "t.yaml:3: shop/r: the document is not JSON"],
    ["is of a kind that is not known", { kind: "EnvoyFilter" }, 'kind "EnvoyFilter" is not known'],
  ])("a rule %s", async (_, change, message) => {
    const bad = ruleResource("r", 7, change);
    // The response is refused whole: the good policy beside the bad rule is not held either.
    expect(sinks.policies.apply(responseOf([otherPolicy, bad]))).toContain(message);
    void setTo("r2", [otherPolicy]);
    await settle();
    expectOld();
  });

  test.each([
    [
      "has a fault",
      ruleResource("r", 7, { document: '{"kind":"DestinationRule"}' }),
      "t.yaml:3:1: apiVersion: is required",
    ],
    [
      "is of another kind than it says",
      { ...ruleResource("r", 7, { kind: "VirtualService" }), name: "VirtualService/shop/r" },
      "t.yaml:3:1: kind: expected one of VirtualService",
    ],
    ["has another name than its document", { ...six, name: "DestinationRule/shop/other" }, "named otherwise"],
  ])("a rule %s: the set that it is in is refused", async (_, bad, message) => {
    give([otherPolicy, bad]);
    expect(await setTo("r2", [otherPolicy, bad])).toContain(message);
    expectOld();
  });

  test("a newer set has come while it was compiled", async () => {
    give([six, otherPolicy]);
    const older = setTo("r2", [policy, six]);
    const newer = setTo("r3", [otherPolicy]);
    expect([await older, await newer]).toEqual(["superseded by revision r3", null]);
    expect([sinks.traffic.get().revision, sinks.inForce.get()?.revision]).toEqual(["r3", "r3"]);
  });
});

function give(resources: readonly Resource__Output[]): void {
  expect(sinks.policies.apply(responseOf(resources))).toBeNull();
}

async function setTo(revision: string, resources: readonly Resource__Output[]): Promise<string | null> {
  return sinks.policySet.apply(responseOf([setResource(revision, resources)]));
}

function maxConnections(): number {
  return trafficOf(sinks.traffic.get(), ORDERS, 80).policy.connectionPool.maxConnections;
}

/** Compiling takes microtasks and turns of the loop alone, so some of both are enough. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
}

function expectOld(): void {
  expect([sinks.traffic.get().revision, sinks.inForce.get()?.revision, maxConnections()]).toEqual(["r1", "r1", 5]);
}
