import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { webhookConfigurations } from "../../src/control/admission/webhook-configuration.ts";
import { controlName } from "../../src/control/kube/control-name.ts";
import { createLatest, type LatestSource } from "../../src/core/latest.ts";
import type { KubeApi, KubeObject } from "../../src/core/kube.ts";
import { KUBE } from "../../src/core/kube-resources.ts";
import { createMemoryKube, type MemoryKube } from "../support/memory-kube.ts";
import { podOf } from "../support/pods.ts";
import { openSimReplica, type SimReplica } from "../support/sim-kube-plane.ts";
import { createSimulatedClock, type SimulatedClock } from "../support/simulated-clock.ts";

// Whole control planes over an API server in memory that fails, loses and lies, and clocks that jump.

const SYSTEM = "cardea-system";

let kube: MemoryKube;
let clock: SimulatedClock;
let aheadMs: LatestSource<number>;
const replicas: SimReplica[] = [];

beforeEach(() => {
  kube = createMemoryKube();
  clock = createSimulatedClock(Date.UTC(2026, 0, 1));
  aheadMs = createLatest(0);
  for (const name of [SYSTEM, "kube-system"]) kube.put(KUBE.namespaces, { metadata: { name } });
  kube.put(KUBE.namespaces, { metadata: { name: "shop", labels: { "cardea.dev/inject": "enabled" } } });
  const [injector, validator] = webhookConfigurations() as readonly KubeObject[];
  kube.put(KUBE.mutatingWebhooks, injector!);
  kube.put(KUBE.validatingWebhooks, validator!);
});
afterEach(async () => {
  for (const replica of replicas.splice(0)) {
    const closing = replica.close();
    await clock.advance(1);
    await closing;
  }
});

async function open(name = "control-a", api: KubeApi = kube, on = clock): Promise<SimReplica> {
  const opening = openSimReplica({ kube: { ...api, clockAheadMs: aheadMs }, clock: on, name });
  opening.catch(() => undefined);
  await on.advance(1);
  const replica = await opening;
  replicas.push(replica);
  await on.advance(3_000);
  return replica;
}

const secret = (): KubeObject | undefined => kube.peek(KUBE.secrets, "cardea-ca", SYSTEM);

function rootIn(namespace: string): unknown {
  return (kube.peek(KUBE.configMaps, "cardea-root-cert", namespace)?.["data"] as Record<string, unknown> | undefined)?.[
    "root-cert.pem"
  ];
}

async function faultsOf(replica: SimReplica): Promise<readonly string[]> {
  return (await replica.status()).cluster!.faults.map(({ fault }) => fault);
}

describe("the Secret with the authority is deleted", () => {
  test("while a replica runs: it is put back with the same root within seconds", async () => {
    const { rootPem, log } = await open();
    kube.take(KUBE.secrets, "cardea-ca", SYSTEM);
    await clock.advance(15_000);
    expect(log.events()).toContain("ca-root-restored");
    const next = await open("control-b");
    expect(next.rootPem).toBe(rootPem);
  });

  test("and a replica starts before that: it refuses, by what workloads trust, and starts when it is back", async () => {
    const { rootPem } = await open();
    kube.take(KUBE.secrets, "cardea-ca", SYSTEM);
    await expect(open("control-b")).rejects.toMatchObject({
      code: "bad-input",
      message: expect.stringMatching(
        /the root in the Secret cardea-system\/cardea-ca is missing, while workloads trust/,
      ),
    });
    expect(secret()).toBeUndefined();
    await clock.advance(15_000);
    expect((await open("control-b")).rootPem).toBe(rootPem);
  });

  test.each([
    ["its ConfigMap", (): void => kube.take(KUBE.configMaps, "cardea-root-cert", SYSTEM)],
    ["the cluster's bundle", (): void => kube.take(KUBE.clusterTrustBundles, "cardea-root-cert")],
    [
      "all of its namespace",
      (): void => {
        kube.take(KUBE.configMaps, "cardea-root-cert", SYSTEM);
        kube.take(KUBE.leases, controlName(null), SYSTEM);
      },
    ],
  ])("with %s, while nobody runs: no second root is made", async (_what, take) => {
    const first = await open();
    await closeAll();
    kube.take(KUBE.secrets, "cardea-ca", SYSTEM);
    take();
    await expect(open("control-b")).rejects.toMatchObject({ code: "bad-input" });
    expect(secret()).toBeUndefined();
    expect(rootIn("shop")).toBe(first.rootPem);
  });

  test("with all that was published, which says that a new root is meant: it is made", async () => {
    const { rootPem } = await open();
    await closeAll();
    kube.take(KUBE.secrets, "cardea-ca", SYSTEM);
    kube.take(KUBE.clusterTrustBundles, "cardea-root-cert");
    for (const namespace of [SYSTEM, "shop"]) kube.take(KUBE.configMaps, "cardea-root-cert", namespace);
    const next = await open("control-b");
    expect(next.rootPem).not.toBe(rootPem);
    expect(rootIn("shop")).toBe(next.rootPem);
  });

  test("while its namespace is being deleted: it says so, and that ends when it is well", async () => {
    const replica = await open();
    kube.take(KUBE.secrets, "cardea-ca", SYSTEM);
    kube.fail("create", "kube-forbidden");
    await clock.advance(12_000);
    expect(await faultsOf(replica)).toEqual(["root-missing"]);
    expect(await replica.metrics()).toContain('cardea_cluster_faults{fault="root-missing"} 1');
    await clock.advance(12_000);
    expect(await faultsOf(replica)).toEqual([]);
    expect(secret()).toBeDefined();
  });
});

describe("the Secret holds another root", () => {
  test("whoever runs leaves it, says so, and signs as before; nobody starts with it", async () => {
    const other = createMemoryKube();
    other.put(KUBE.namespaces, { metadata: { name: SYSTEM } });
    await open("control-x", other);
    const replica = await open();
    kube.put(KUBE.secrets, other.peek(KUBE.secrets, "cardea-ca", SYSTEM)!);
    await clock.advance(12_000);
    expect(await faultsOf(replica)).toEqual(["root-replaced"]);
    await expect(open("control-b")).rejects.toThrow(/is not the root that workloads trust/);
    expect(rootIn("shop")).toBe(replica.rootPem);
    kube.take(KUBE.secrets, "cardea-ca", SYSTEM);
    await clock.advance(12_000);
    expect(await faultsOf(replica)).toEqual([]);
    expect((await open("control-b")).rootPem).toBe(replica.rootPem);
  });
});

describe("a leader that is stopped past its lease (SIGSTOP) and wakes", () => {
  test("has written nothing more when it finds out, and steps down", async () => {
    const ownClock = createSimulatedClock(Date.UTC(2026, 0, 1));
    const writes: string[] = [];
    const stopped = await open("control-a", noting(kube, writes), ownClock);
    expect((await stopped.status()).cluster!.isLeader).toBe(true);
    const other = await open("control-b");
    await clock.advance(30_000);
    expect((await other.status()).cluster!.isLeader).toBe(true);
    ownClock.freeze(33_000);
    // What it finds on waking: work that a leader would do at once.
    kube.put(KUBE.namespaces, { metadata: { name: "late" } });
    kube.take(KUBE.configMaps, "cardea-root-cert", "shop");
    writes.length = 0;
    for (let second = 0; second < 60; second += 1) {
      await ownClock.advance(1_000);
      await clock.advance(1_000);
    }
    expect((await stopped.status()).cluster!.isLeader).toBe(false);
    expect(writes).toEqual([]);
    expect([rootIn("late"), rootIn("shop")]).toEqual([other.rootPem, other.rootPem]);
    await closeOne(stopped, ownClock);
  });
});

describe("clocks that differ", () => {
  test.each([
    [10, /10 min ahead of/],
    [120, /120 min ahead of/],
    [-10, /10 min behind/],
    [-120, /120 min behind/],
  ])("by %i min: it says so, once, issues to no workload, and goes on when they agree", async (minutes, words) => {
    const replica = await open();
    aheadMs.set(minutes * 60_000);
    aheadMs.set(minutes * 60_000 + 1_000);
    const [told, ...more] = (await replica.status()).cluster!.faults;
    expect([told!.fault, more]).toEqual(["clock-differs", []]);
    expect(told!.message).toMatch(words);
    expect(replica.log.events().filter((event) => event === "cluster-fault")).toHaveLength(1);
    aheadMs.set(2_000);
    expect(await faultsOf(replica)).toEqual([]);
    expect(replica.log.events()).toContain("cluster-fault-over");
  });

  test("by less than certificates are backdated: nothing is said", async () => {
    const replica = await open();
    aheadMs.set(240_000);
    expect(await faultsOf(replica)).toEqual([]);
  });
});

describe("rights that are withdrawn", () => {
  test("of policies: what is in force stays, it is told, and the way back needs nobody", async () => {
    const replica = await open();
    kube.fail("watch", ...Array.from({ length: 400 }, () => "kube-forbidden" as const));
    kube.fail("list", ...Array.from({ length: 400 }, () => "kube-forbidden" as const));
    kube.cutWatches();
    await clock.advance(60_000);
    const kinds = (await replica.status()).cluster!.notFollowed.map(({ kind }) => kind);
    expect(kinds).toEqual(expect.arrayContaining(["AuthorizationPolicy", "Service", "Pod", "Namespace"]));
    kube.put(KUBE.services, { metadata: { name: "web", namespace: "shop" }, spec: { clusterIP: "10.96.0.1" } });
    // The scripted refusals run out.
    await clock.advance(2_000_000);
    const status = await replica.status();
    expect(status.cluster!.notFollowed).toEqual([]);
    expect(status.registry.services).toBe(1);
  });
});

describe("webhook configurations", () => {
  test.each<[string, (webhook: Record<string, unknown>) => Record<string, unknown> | null]>([
    ["that let objects pass while we are away", (webhook) => ({ ...webhook, failurePolicy: "Ignore" })],
    [
      "that have lost a webhook",
      ({ name, ...webhook }) => (String(name).startsWith("namespace.") ? null : { name, ...webhook }),
    ],
  ])("%s are told", async (_what, change) => {
    const replica = await open();
    const injector = kube.peek(KUBE.mutatingWebhooks, "cardea-injector")!;
    const webhooks = (injector["webhooks"] as Record<string, unknown>[]).flatMap((each) => change(each) ?? []);
    kube.put(KUBE.mutatingWebhooks, { ...injector, webhooks });
    await clock.advance(20_000);
    const { faults } = (await replica.status()).cluster!;
    expect(faults).toMatchObject([
      { fault: "webhooks-changed", message: expect.stringMatching(/^cardea-injector: namespace\.inject\.cardea\.dev/) },
    ]);
    kube.put(KUBE.mutatingWebhooks, injector);
    await clock.advance(20_000);
    expect(await faultsOf(replica)).toEqual([]);
  });

  test("get their roots back when somebody writes others over them", async () => {
    const { rootPem } = await open();
    const injector = kube.peek(KUBE.mutatingWebhooks, "cardea-injector")!;
    const webhooks = (injector["webhooks"] as { clientConfig: object }[]).map((each) => ({
      ...each,
      clientConfig: { ...each.clientConfig, caBundle: "ZXZpbA==" },
    }));
    kube.put(KUBE.mutatingWebhooks, { ...injector, webhooks });
    await clock.advance(20_000);
    const after = kube.peek(KUBE.mutatingWebhooks, "cardea-injector")!["webhooks"] as {
      clientConfig: { caBundle: string };
    }[];
    const roots = after.map(({ clientConfig }) => Buffer.from(clientConfig.caBundle, "base64").toString());
    expect(new Set(roots)).toEqual(new Set([rootPem]));
  });

  test("that are deleted are told, and that they are back", async () => {
    const replica = await open();
    const injector = kube.peek(KUBE.mutatingWebhooks, "cardea-injector")!;
    kube.take(KUBE.mutatingWebhooks, "cardea-injector");
    await clock.advance(60_000);
    const { faults } = (await replica.status()).cluster!;
    expect(faults).toContainEqual(
      expect.objectContaining({
        fault: "webhooks-absent",
        message: expect.stringMatching(/^cardea-injector is missing/),
      }),
    );
    expect(replica.log.events().filter((event) => event === "webhook-configuration-absent")).toHaveLength(1);
    kube.put(KUBE.mutatingWebhooks, injector);
    await clock.advance(20_000);
    expect(await faultsOf(replica)).not.toContain("webhooks-absent");
  });
});

describe("a view of the namespaces that is old, since its watch has died unnoticed,", () => {
  test("lets no pod go without a sidecar", async () => {
    const replica = await withStaleView({ "cardea.dev/inject": "enabled" });
    expect(await create(replica)).toMatchObject({ allowed: true, patchType: "JSONPatch" });
  });

  test("lets none go while the API cannot be asked, or has no such namespace any more", async () => {
    const replica = await withStaleView({ "cardea.dev/inject": "enabled" });
    kube.fail("get", "unreachable");
    expect(await create(replica)).toMatchObject({ allowed: false, status: { code: 503 } });
    kube.take(KUBE.namespaces, "new");
    expect(await create(replica)).toMatchObject({ allowed: false, status: { code: 503 } });
  });

  test("lets no pod around the mesh by rules that have been made stricter since", async () => {
    const replica = await withStaleView({ "cardea.dev/inject": "enabled", "cardea.dev/bypass-checks": "enforce" });
    expect(await create(replica, "/validate/pods")).toMatchObject({ allowed: false, status: { code: 403 } });
    kube.fail("get", "unreachable");
    expect(await create(replica, "/validate/pods")).toMatchObject({ allowed: false, status: { code: 503 } });
  });

  test("leaves those that opt out, once it is sure of it", async () => {
    kube.put(KUBE.namespaces, { metadata: { name: "quiet" } });
    const replica = await open();
    const answer = await create(replica, "/inject", "quiet");
    expect(answer["allowed"]).toBe(true);
    expect(answer["patch"]).toBeUndefined();
  });
});

function create(replica: SimReplica, path = "/inject", namespace = "new"): Promise<Record<string, unknown>> {
  return replica.review(path, { namespace, object: podOf() });
}

/** The label is there, and the API server asks because of it; we have not been told. */
async function withStaleView(labels: Record<string, string>): Promise<SimReplica> {
  kube.put(KUBE.namespaces, { metadata: { name: "new" } });
  const replica = await open();
  kube.deafen();
  kube.put(KUBE.namespaces, { metadata: { name: "new", labels } });
  return replica;
}

async function closeAll(): Promise<void> {
  for (const replica of replicas.slice()) await closeOne(replica, clock);
}

async function closeOne(replica: SimReplica, on: SimulatedClock): Promise<void> {
  replicas.splice(replicas.indexOf(replica), 1);
  const closing = replica.close();
  await on.advance(1);
  await closing;
}

/** Notes what is written, but for the lease itself. */
function noting(api: KubeApi, writes: string[]): KubeApi {
  const note =
    <Values extends readonly unknown[], Answer>(verb: string, call: (...values: Values) => Answer) =>
    (...values: Values): Answer => {
      if (values[0] !== KUBE.leases) writes.push(`${verb} ${JSON.stringify(values[1])}`);
      return call(...values);
    };
  return {
    ...api,
    create: note("create", api.create.bind(api)),
    update: note("update", api.update.bind(api)),
    patch: note("patch", api.patch.bind(api)),
  };
}
