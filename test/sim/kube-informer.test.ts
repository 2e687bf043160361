import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Informer, openInformer } from "../../src/control/kube/informer.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import type { KubeObject } from "../../src/core/kube.ts";
import { KUBE } from "../../src/core/kube-resources.ts";
import { LIMITS } from "../../src/core/limits.ts";
import { createKeptLog, type KeptLog } from "../support/kept-log.ts";
import { createMemoryKube, type MemoryKube } from "../support/memory-kube.ts";
import { createSeededRandom, createSimulatedClock, type SimulatedClock } from "../support/simulated-clock.ts";

let kube: MemoryKube;
let clock: SimulatedClock;
let log: KeptLog;
let informer: Informer | undefined;
let seen: string[];

beforeEach(() => {
  kube = createMemoryKube();
  clock = createSimulatedClock(0);
  log = createKeptLog();
  seen = [];
});
afterEach(() => informer?.close());

async function open(isOptional = false): Promise<Informer> {
  informer = openInformer({
    api: kube,
    resource: KUBE.services,
    isOptional,
    onChange: (key, after, before) => void seen.push(`${before === null ? "+" : after === null ? "-" : "~"}${key}`),
    clock,
    random: createSeededRandom(1),
    logger: log,
  });
  await clock.advance(0);
  return informer;
}

function service(name: string, spec: object = {}): KubeObject {
  return { metadata: { name, namespace: "shop", managedFields: [{}] }, spec };
}

test("what is there, what comes, changes and goes is told once each", async () => {
  kube.put(KUBE.services, service("a"));
  const { objects } = await open();
  kube.put(KUBE.services, service("b"));
  kube.put(KUBE.services, service("a", { x: 1 }));
  kube.take(KUBE.services, "b", "shop");
  await clock.advance(0);
  expect(seen).toEqual(["+shop/a", "+shop/b", "~shop/a", "-shop/b"]);
  expect([...objects.keys()]).toEqual(["shop/a"]);
  expect(objects.get("shop/a")!.metadata["managedFields"]).toBeUndefined();
});

describe("nothing is lost or told twice when", () => {
  test("the watch breaks: it goes on from where it was, without a list", async () => {
    kube.put(KUBE.services, service("a"));
    const { objects } = await open();
    kube.cutWatches();
    kube.put(KUBE.services, service("b"));
    await clock.advance(5_000);
    expect([...objects.keys()]).toEqual(["shop/a", "shop/b"]);
    expect(seen).toEqual(["+shop/a", "+shop/b"]);
    expect(kube.calls.filter((call) => call.startsWith("list"))).toHaveLength(1);
  });

  test("the server has forgotten the history (410): all is listed, differences are told alone", async () => {
    kube.put(KUBE.services, service("a"));
    kube.put(KUBE.services, service("gone"));
    await open();
    kube.fail("watch", "unreachable");
    kube.cutWatches();
    await clock.advance(0);
    kube.take(KUBE.services, "gone", "shop");
    kube.put(KUBE.services, service("new"));
    kube.compact();
    await clock.advance(10_000);
    expect(seen).toEqual(["+shop/a", "+shop/gone", "+shop/new", "-shop/gone"]);
    expect(kube.openWatches).toBe(1);
  });

  test("the watch itself says that its history is gone", async () => {
    await open();
    kube.put(KUBE.services, service("a"));
    await clock.advance(0);
    kube.cutWatches("kube-gone");
    await clock.advance(0);
    expect(kube.calls.filter((call) => call.startsWith("list"))).toHaveLength(2);
    expect(seen).toEqual(["+shop/a"]);
  });

  test("a bookmark has moved the place on past a compaction", async () => {
    await open();
    kube.put(KUBE.pods, { metadata: { name: "p", namespace: "shop" } });
    kube.bookmark();
    await clock.advance(0);
    kube.compact();
    kube.cutWatches();
    kube.put(KUBE.services, service("a"));
    await clock.advance(5_000);
    expect(seen).toEqual(["+shop/a"]);
    expect(kube.calls.filter((call) => call.startsWith("list"))).toHaveLength(1);
  });
});

describe("while the API fails", () => {
  test.each<ErrorCode>(["unreachable", "kube-forbidden", "kube-refused", "internal", "kube-gone"])(
    "%s: it tries again, ever more rarely, keeps what it has, and says so once",
    async (code) => {
      kube.put(KUBE.services, service("a"));
      const { objects } = await open();
      kube.fail("watch", ...Array.from({ length: 50 }, () => code));
      kube.fail("list", ...Array.from({ length: 50 }, () => code));
      kube.cutWatches();
      const before = kube.calls.length;
      await clock.advance(120_000);
      const tries = kube.calls.length - before;
      expect(tries).toBeGreaterThan(5);
      expect(tries).toBeLessThan(30);
      expect(objects.size).toBe(1);
      expect(informer!.error?.code).toBeDefined();
      expect(log.events().filter((event) => event === "kube-not-followed")).toHaveLength(1);
    },
  );

  test("and has come back, it follows again, and says so", async () => {
    await open();
    kube.fail("watch", "unreachable", "unreachable", "unreachable", "unreachable", "unreachable");
    kube.cutWatches();
    await clock.advance(60_000);
    kube.put(KUBE.services, service("a"));
    await clock.advance(0);
    expect(seen).toEqual(["+shop/a"]);
    expect(informer!.error).toBeNull();
    expect(log.events()).toContain("kube-follows-again");
  });

  test("and has come back, but brings nothing: it is well all the same", async () => {
    await open();
    kube.fail("watch", "unreachable", "unreachable");
    kube.cutWatches();
    await clock.advance(300);
    expect(informer!.error?.code).toBe("unreachable");
    await clock.advance(10_000);
    expect(informer!.error).toBeNull();
  });

  test("a first list that fails is not taken for an empty one", async () => {
    kube.put(KUBE.services, service("a"));
    kube.fail("list", "unreachable", "kube-forbidden");
    const opened = await open();
    let isSynced = false;
    void opened.synced.then(() => (isSynced = true));
    await clock.advance(1);
    expect(isSynced).toBe(false);
    await clock.advance(5_000);
    expect(isSynced).toBe(true);
    expect(seen).toEqual(["+shop/a"]);
  });

  test("watches that end at once, again and again, are not begun again in a hurry", async () => {
    await open();
    const watched = (): number => kube.calls.filter((call) => call.startsWith("watch")).length;
    const before = watched();
    kube.fail("watch", ...Array.from({ length: 1_000 }, () => "kube-gone" as const));
    kube.cutWatches("kube-gone");
    await clock.advance(60_000);
    expect(watched() - before).toBeLessThan(20);
  });
});

describe("a kind that the API does not have", () => {
  test("is a failure", async () => {
    kube.absent.add("Service");
    await open();
    expect(informer!.error?.code).toBe("kube-absent");
  });

  test("is none where it is optional; it is found when it comes, and its objects go with it", async () => {
    kube.absent.add("Service");
    const { synced, objects } = await open(true);
    await synced;
    expect(informer!.error).toBeNull();
    kube.absent.clear();
    kube.put(KUBE.services, service("a"));
    await clock.advance(15_000);
    expect(objects.size).toBe(1);
    kube.take(KUBE.services, "a", "shop");
    kube.absent.add("Service");
    kube.cutWatches();
    await clock.advance(15_000);
    expect(objects.size).toBe(0);
    expect(informer!.error).toBeNull();
  });

  test("keeps its objects while the API has forgotten the kind alone, as one that is starting does", async () => {
    kube.put(KUBE.services, service("a"));
    const { objects } = await open(true);
    kube.absent.add("Service");
    kube.cutWatches();
    await clock.advance(LIMITS.kubeAbsentMs - 60_000);
    expect([objects.size, informer!.error?.code]).toEqual([1, "kube-absent"]);
    kube.absent.clear();
    await clock.advance(60_000);
    expect([objects.size, informer!.error]).toEqual([1, null]);
    expect(seen).toEqual(["+shop/a"]);
  });

  test("drops them when the API says so for long without a break: then they are gone", async () => {
    kube.put(KUBE.services, service("a"));
    const { objects } = await open(true);
    kube.absent.add("Service");
    kube.cutWatches();
    await clock.advance(LIMITS.kubeAbsentMs - 60_000);
    kube.absent.clear();
    await clock.advance(60_000);
    kube.absent.add("Service");
    kube.cutWatches();
    await clock.advance(LIMITS.kubeAbsentMs - 60_000);
    expect(objects.size).toBe(1);
    await clock.advance(150_000);
    expect([objects.size, informer!.error]).toEqual([0, null]);
  });
});

test("a closed informer asks no more", async () => {
  const opened = await open();
  opened.close();
  kube.cutWatches();
  const before = kube.calls.length;
  await clock.advance(60_000);
  expect(kube.calls).toHaveLength(before);
  expect(kube.openWatches).toBe(0);
});
