import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { publishTrustBundle } from "../../../../src/control/kube/trust-bundle.ts";
import { KUBE } from "../../../../src/core/kube-resources.ts";
import { createKeptLog, type KeptLog } from "../../../support/kept-log.ts";
import { createMemoryKube, type MemoryKube } from "../../../support/memory-kube.ts";
import { createSeededRandom, createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";

const ROOT = "the root";
let kube: MemoryKube;
let clock: SimulatedClock;
let log: KeptLog;
let publishing: { close(): void };

beforeEach(() => {
  kube = createMemoryKube();
  clock = createSimulatedClock(0);
  log = createKeptLog();
  for (const name of ["shop", "bank", "kube-system"]) kube.put(KUBE.namespaces, { metadata: { name } });
});
afterEach(() => publishing.close());

async function open(): Promise<void> {
  publishing = publishTrustBundle({ kube, rootPem: ROOT, clock, random: createSeededRandom(1), logger: log });
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
  const calls = kube.calls.length;
  await clock.advance(60_000);
  expect(kube.calls).toHaveLength(calls);
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

  test("a namespace comes", async () => {
    await open();
    kube.put(KUBE.namespaces, { metadata: { name: "late" } });
    await clock.advance(1_000);
    expect(rootIn("late")).toBe(ROOT);
  });

  test("the API has failed, and works again", async () => {
    kube.fail("patch", "unreachable", "kube-forbidden", "unreachable");
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
