import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { publishTrustBundle } from "../../../../src/control/kube/trust-bundle.ts";
import { KUBE } from "../../../../src/core/kube-resources.ts";
import type { KubeObject } from "../../../../src/core/kube.ts";
import { createKeptLog, type KeptLog } from "../../../support/kept-log.ts";
import { createMemoryKube, type MemoryKube } from "../../../support/memory-kube.ts";
import { createSeededRandom, createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";

const ROOT = "the root";
let kube: MemoryKube;
let clock: SimulatedClock;
let log: KeptLog;
let publishing: { close(): void };
let mayWrite: boolean;

beforeEach(() => {
  mayWrite = true;
  kube = createMemoryKube();
  clock = createSimulatedClock(0);
  log = createKeptLog();
  for (const name of ["shop", "bank", "kube-system"]) kube.put(KUBE.namespaces, { metadata: { name } });
});
afterEach(() => publishing.close());

async function open(): Promise<void> {
  const random = createSeededRandom(1);
  publishing = publishTrustBundle({ kube, rootPem: ROOT, mayWrite: () => mayWrite, clock, random, logger: log });
  await clock.advance(1_000);
}

function rootIn(namespace: string): unknown {
  const found = kube.peek(KUBE.configMaps, "cardea-root-cert", namespace);
  return (found?.["data"] as Record<string, unknown> | undefined)?.["root-cert.pem"];
}

test("the roots are in all namespaces but Kubernetes' own, and in the cluster's bundle", async () => {
  await open();
  expect([rootIn("shop"), rootIn("bank"), rootIn("kube-system")]).toEqual([ROOT, ROOT, undefined]);
  expect(kube.peek(KUBE.clusterTrustBundles, "cardea-root-cert")).toMatchObject({ spec: { trustBundle: ROOT } });
  const writes = (): number => kube.calls.filter((call) => /^(?:create|patch)/.test(call)).length;
  const before = writes();
  await clock.advance(200_000);
  expect(writes()).toBe(before);
});

describe("are put back, or brought, when", () => {
  test("somebody removes or changes them", async () => {
    await open();
    kube.take(KUBE.configMaps, "cardea-root-cert", "shop");
    await clock.advance(1_000);
    expect(rootIn("shop")).toBe(ROOT);
    const metadata = { name: "cardea-root-cert", namespace: "shop" };
    kube.put(KUBE.configMaps, { metadata, data: { "root-cert.pem": "evil" } });
    await clock.advance(1_000);
    expect(rootIn("shop")).toBe(ROOT);
  });

  test("somebody changes the cluster's bundle", async () => {
    await open();
    kube.put(KUBE.clusterTrustBundles, { metadata: { name: "cardea-root-cert" }, spec: { trustBundle: "evil" } });
    await clock.advance(70_000);
    expect(kube.peek(KUBE.clusterTrustBundles, "cardea-root-cert")).toMatchObject({ spec: { trustBundle: ROOT } });
  });

  test("a namespace comes", async () => {
    await open();
    kube.put(KUBE.namespaces, { metadata: { name: "late" } });
    await clock.advance(1_000);
    expect(rootIn("late")).toBe(ROOT);
  });

  test("the API has failed, and works again", async () => {
    kube.fail("create", "unreachable", "kube-forbidden", "unreachable");
    await open();
    await clock.advance(10_000);
    expect([rootIn("shop"), rootIn("bank")]).toEqual([ROOT, ROOT]);
    expect(log.events()).toContain("roots-not-published");
  });
});

test("an API without such bundles, and a namespace that is going, are let be", async () => {
  kube.absent.add("ClusterTrustBundle");
  kube.put(KUBE.namespaces, { metadata: { name: "going", deletionTimestamp: "now" } });
  await open();
  expect(rootIn("going")).toBeUndefined();
  expect(log.events()).toEqual([]);
});

test("whoever does not lead any more writes nothing more", async () => {
  await open();
  publishing.close();
  kube.put(KUBE.namespaces, { metadata: { name: "late" } });
  await clock.advance(60_000);
  expect(rootIn("late")).toBeUndefined();
});

describe("whoever has lost the lease, and does not know it yet,", () => {
  test("writes nothing, and goes on when the lease is its own again", async () => {
    mayWrite = false;
    await open();
    await clock.advance(20_000);
    expect(kube.calls.filter((call) => /^(?:create|patch)/.test(call))).toEqual([]);
    mayWrite = true;
    await clock.advance(10_000);
    expect(rootIn("shop")).toBe(ROOT);
  });

  test.each(["create", "patch"] as const)("undoes nothing by a %s that was already on its way", async (verb) => {
    const metadata = { name: "cardea-root-cert", namespace: "shop" };
    if (verb === "patch") kube.put(KUBE.configMaps, { metadata, data: { "root-cert.pem": "stale" } });
    const held = Promise.withResolvers<void>();
    const late = kube[verb].bind(kube) as (...values: readonly unknown[]) => Promise<KubeObject>;
    kube[verb] = async (...values: readonly unknown[]) => {
      await held.promise;
      return late(...values);
    };
    await open();
    // Its successor has written meanwhile.
    kube.put(KUBE.configMaps, { metadata, data: { "root-cert.pem": "of the successor" } });
    mayWrite = false;
    held.resolve();
    await clock.advance(30_000);
    expect(rootIn("shop")).toBe("of the successor");
  });
});
