import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ControlStatus } from "../../src/control/admin.ts";
import { type FaultProxy, openFaultProxy } from "../support/fault-proxy.ts";
import {
  type AnyObject,
  type KubeAnswer,
  type KubeCluster,
  openKubeCluster,
  whyNoKube,
} from "../support/kube-cluster.ts";
import {
  installControl,
  type KubeReplica,
  launchReplica,
  type ReplicaOptions,
  startReplica,
  SYSTEM,
  until,
  webhooksAt,
} from "../support/kube-control.ts";
import { certify, type KubeControlTarget } from "../support/kube-sidecar.ts";

/** Pods that are made at once; CARDEA_TEST_LONG=1 makes it the 5,000 of a large rollout, and waits for slow answers. */
const IS_LONG = process.env["CARDEA_TEST_LONG"] === "1";
const PODS = IS_LONG ? 5_000 : 200;
const MERGE = { contentType: "application/merge-patch+json" };

// Processes of the control plane, a real API server with etcd, and whatever breaks between and around them.
describe.skipIf(whyNoKube !== null)(`faults of a cluster (skipped where ${whyNoKube ?? "there is none"})`, () => {
  let cluster: KubeCluster;
  let proxy: FaultProxy;
  /** It reaches the API server through the proxy. */
  let first: KubeReplica;
  let rootPem: string;
  const running = new Set<KubeReplica>();

  beforeAll(async () => {
    cluster = await openKubeCluster();
    await installControl(cluster);
    const pem = (name: string): string => readFileSync(join(cluster.directory, name), "utf8");
    const certificate = { certPem: pem("server.crt"), keyPem: pem("server.key") };
    proxy = await openFaultProxy(certificate, { url: cluster.server, caPem: cluster.caPem });
    await cluster.namespace("shop", { "cardea.dev/inject": "enabled" });
    await cluster.namespace("late");
    await cluster.must("POST", "/api/v1/namespaces/kube-system/serviceaccounts", { metadata: { name: "default" } });
    first = await start("control-a", { server: proxy.url });
    await cluster.apply(webhooksAt(first));
    rootPem = await until(rootOf("shop"), (text) => text.includes("BEGIN CERTIFICATE"));
    await until(() => create("shop", "warm-up", "?dryRun=All"), isInjected);
  }, 180_000);
  afterEach(() => proxy.plan(() => null));
  afterAll(async () => {
    for (const replica of running) await kill(replica);
    await proxy?.close();
    await cluster?.close();
  }, 60_000);

  async function start(name: string, options: ReplicaOptions = {}): Promise<KubeReplica> {
    const replica = await startReplica(cluster, name, options);
    running.add(replica);
    return replica;
  }

  async function kill(replica: KubeReplica): Promise<void> {
    running.delete(replica);
    replica.process.child.kill("SIGKILL");
    await replica.process.finished;
  }

  const rootOf = (namespace: string) => async (): Promise<string> => {
    const map = await cluster.must("GET", `/api/v1/namespaces/${namespace}/configmaps/cardea-root-cert`);
    return map.data["root-cert.pem"] as string;
  };

  const create = (namespace: string, name: string, query = "", spec: object = {}): Promise<KubeAnswer> =>
    cluster.call("POST", `/api/v1/namespaces/${namespace}/pods${query}`, podNamed(name, spec));

  function target(replica: KubeReplica = first): KubeControlTarget {
    return { address: replica.address, spiffeId: replica.spiffeId, rootPem };
  }

  async function boundToken(name: string): Promise<string> {
    const made = await create("shop", name);
    const pod = { name, uid: made.body.metadata.uid as string };
    return cluster.token("shop", "default", { audiences: ["cardea"], pod });
  }

  const secret = `/api/v1/namespaces/${SYSTEM}/secrets/cardea-ca`;
  const keptRoot = async (): Promise<string> =>
    Buffer.from((await cluster.must("GET", secret)).data["root.pem"] as string, "base64").toString();

  describe("the Secret with the root", () => {
    test("is deleted: who runs puts it back; who starts meanwhile waits in vain, not with a root of its own", async () => {
      const before = await cluster.must("GET", secret);
      proxy.plan(({ path }) => (path.includes("/secrets") ? { kind: "answer", status: 503 } : null));
      await cluster.must("DELETE", secret);
      const refused = await (await launchReplica(cluster, "control-x")).finished;
      expect([refused.code, refused.stderr]).toEqual([
        2,
        expect.stringMatching(/is missing, while workloads trust a root/),
      ]);
      expect((await cluster.call("GET", secret)).status).toBe(404);
      proxy.plan(() => null);
      expect(await until(keptRoot, (pem) => pem === rootPem)).toBe(rootPem);
      const after = await cluster.must("GET", secret);
      expect(after.data["root-with-key.pem"]).toBe(before.data["root-with-key.pem"]);
      const second = await start("control-b");
      expect((await certify(target(second), await boundToken("after-loss"))).at(-1)).toBe(rootPem);
      await kill(second);
    });

    test("is garbage: it is put back; another's: it is left, and told", async () => {
      const data = (await cluster.must("GET", secret)).data;
      await cluster.must("PATCH", secret, { data: { "root-with-key.pem": "Z2FyYmFnZQ==" } }, MERGE);
      await until(
        () => cluster.must("GET", secret),
        (now) => now.data["root-with-key.pem"] === data["root-with-key.pem"],
      );
      // The intermediate is a whole authority as well, and not the root.
      const other = data["intermediate-with-key.pem"];
      await cluster.must("PATCH", secret, { data: { "root-with-key.pem": other } }, MERGE);
      await until(() => status(first), hasFault("root-replaced"));
      expect((await cluster.must("GET", secret)).data["root-with-key.pem"]).toBe(other);
      await cluster.must("DELETE", secret);
      await until(
        () => status(first),
        (now) => now.cluster!.faults.length === 0,
      );
      expect(await keptRoot()).toBe(rootPem);
    });
  });

  test("its roots in the webhooks are written over, and come back; new pods are injected as before", async () => {
    const at = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/cardea-injector";
    const { webhooks } = await cluster.must("GET", at);
    const strange = webhooks.map((each: AnyObject) => ({
      ...each,
      clientConfig: { ...each.clientConfig, caBundle: Buffer.from(cluster.caPem).toString("base64") },
    }));
    proxy.plan(({ path }) => (path.includes("webhookconfigurations") ? { kind: "answer", status: 503 } : null));
    await cluster.must("PATCH", at, { webhooks: strange }, MERGE);
    const refused = await until(
      () => create("shop", "strange-roots", "?dryRun=All"),
      (answer) => !isInjected(answer),
    );
    expect([refused.status, refused.body.message]).toEqual([
      500,
      expect.stringMatching(/namespace\.inject\.cardea\.dev.*x509: certificate signed by unknown authority/),
    ]);
    proxy.plan(() => null);
    await until(() => create("shop", "strange-roots", "?dryRun=All"), isInjected);
  });

  test("two clocks are two hours apart: no certificate, all else goes on, and it says so until they agree", async () => {
    const token = await boundToken("clock");
    proxy.plan(() => ({ kind: "clock", aheadMs: 7_200_000 }));
    await until(() => status(first), hasFault("clock-differs"));
    await expect(certify(target(), token)).rejects.toMatchObject({ code: "unreachable" });
    expect(isInjected(await create("shop", "clock-2", "?dryRun=All"))).toBe(true);
    proxy.plan(() => null);
    await until(
      () => status(first),
      (now) => now.cluster!.faults.length === 0,
    );
    expect((await certify(target(), token)).at(-1)).toBe(rootPem);
  });

  test("its watches are dead and nobody has noticed: a namespace that was just labelled has no pod without a sidecar", async () => {
    proxy.silence();
    await cluster.must(
      "PATCH",
      "/api/v1/namespaces/late",
      { metadata: { labels: { "cardea.dev/inject": "enabled" } } },
      MERGE,
    );
    const answers = await until(
      async () => [await create("late", "pod-after-label", "?dryRun=All")],
      ([answer]) => isInjected(answer!),
      10_000,
    );
    expect(answers).toHaveLength(1);
    proxy.cut();
  });

  test("rights are withdrawn: what is in force stays and it is told; given back, it follows by itself", async () => {
    const at = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/cardea-control";
    const { metadata, ...binding } = await cluster.must("GET", at);
    const token = await cluster.token(SYSTEM, "cardea-control");
    await cluster.must("DELETE", at);
    await until(
      () => cluster.call("GET", "/api/v1/services", undefined, { token }),
      ({ status: code }) => code === 403,
    );
    proxy.cut();
    await until(
      () => status(first),
      (now) => now.cluster!.notFollowed.length >= 4,
    );
    await cluster.must("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
      ...binding,
      metadata: { name: metadata.name },
    });
    await until(
      () => status(first),
      (now) => now.cluster!.notFollowed.length === 0,
    );
  });

  test("the API throttles everything for a while: it is followed again, and nothing was hurried", async () => {
    const before = proxy.requests.length;
    proxy.plan(() => ({ kind: "answer", status: 429, headers: { "retry-after": "1" } }));
    proxy.cut();
    await until(
      () => status(first),
      (now) => now.cluster!.notFollowed.length > 0,
    );
    const asked = proxy.requests.length - before;
    proxy.plan(() => null);
    await until(
      () => status(first),
      (now) => now.cluster!.notFollowed.length === 0,
    );
    expect(asked).toBeLessThan(200);
  });

  test("the API server is killed, its history is compacted away, and it starts again: what changed meanwhile arrives", async () => {
    proxy.plan(({ path }) => (path.includes("watch=1") ? { kind: "answer", status: 503 } : null));
    proxy.cut();
    const labels = { "cardea.dev/inject": "disabled" };
    await cluster.must("PATCH", "/api/v1/namespaces/late", { metadata: { labels } }, MERGE);
    await cluster.compact();
    await cluster.stopServer("SIGKILL");
    await cluster.startServer();
    proxy.plan(() => null);
    await cluster.namespace("newest");
    await until(rootOf("newest"), (pem) => pem === rootPem);
    await until(
      () => status(first),
      (now) => now.cluster!.notFollowed.length === 0,
    );
  });

  test("a leader that is stopped past its lease is followed by another, and steps down when it wakes", async () => {
    const second = await start("control-b");
    await until(
      () => status(first),
      (now) => now.cluster!.isLeader,
    );
    first.process.child.kill("SIGSTOP");
    await until(
      () => status(second),
      (now) => now.cluster!.isLeader,
    );
    await cluster.must("DELETE", "/api/v1/namespaces/shop/configmaps/cardea-root-cert");
    await until(rootOf("shop"), (pem) => pem === rootPem);
    first.process.child.kill("SIGCONT");
    const both = await until(
      () => Promise.all([status(first), status(second)]),
      ([one]) => !one.cluster!.isLeader,
    );
    expect(both.map(({ cluster: told }) => told!.isLeader)).toEqual([false, true]);
    await kill(second);
    await until(
      () => status(first),
      (now) => now.cluster!.isLeader,
    );
  });

  test("the store takes no writes: nobody leads, tokens become certificates, pods are judged; then all is well again", async () => {
    const token = await boundToken("full-store");
    await until(
      () => status(first),
      (now) => now.cluster!.isLeader,
    );
    await cluster.fillEtcd(true);
    await until(
      () => status(first),
      (now) => !now.cluster!.isLeader,
    );
    expect((await certify(target(), token)).at(-1)).toBe(rootPem);
    expect(isInjected(await create("shop", "full-store-2", "?dryRun=All"))).toBe(true);
    await cluster.fillEtcd(false);
    await until(
      () => status(first),
      (now) => now.cluster!.isLeader,
    );
    await cluster.namespace("after-full");
    await until(rootOf("after-full"), (pem) => pem === rootPem);
  });

  test("the store is killed, and comes back: what is held is served, and new pods have their roots again", async () => {
    await cluster.stopEtcd();
    const answer = await create("shop", "no-store", "?dryRun=All").catch(() => null);
    expect(answer === null || answer.status >= 500 || isInjected(answer)).toBe(true);
    expect((await status(first)).registry).toBeDefined();
    await cluster.startEtcd();
    await until(
      () => cluster.namespace("after-store").then(() => true),
      (isMade) => isMade,
    );
    await until(rootOf("after-store"), (pem) => pem === rootPem);
    await until(
      () => status(first),
      (now) => now.cluster!.notFollowed.length === 0 && now.cluster!.isLeader,
    );
  });

  test(`${PODS} pods at once are all injected, or none is made; memory has a bound`, async () => {
    const begun = performance.now();
    const tookMs: number[] = [];
    const { reviewed, residentBytes, cpuSec } = await costOf(first);
    await atOnce(PODS, 64, async (index) => {
      const since = performance.now();
      const answer = await create("shop", `many-${index}`, "?dryRun=All");
      tookMs.push(performance.now() - since);
      expect([answer.status, isInjected(answer)]).toEqual([201, true]);
    });
    const seconds = (performance.now() - begun) / 1_000;
    const after = await costOf(first);
    expect(after.reviewed - reviewed).toBeGreaterThanOrEqual(PODS);
    expect(after.residentBytes).toBeLessThan(512 * 1_048_576);
    const sorted = tookMs.toSorted((a, b) => a - b);
    const p99 = sorted[Math.floor(sorted.length * 0.99)]!;
    // For people who run it by hand: nothing is judged by it.
    process.stderr.write(
      `${PODS} pods: ${Math.round(PODS / seconds)}/s, p99 ${Math.round(p99)} ms, ${mib(residentBytes)} → ${mib(after.residentBytes)} MiB, ` +
        `${(((after.cpuSec - cpuSec) * 1_000) / PODS).toFixed(1)} ms of the replica's processor time each\n`,
    );
  }, 600_000);

  test("a namespace goes while pods come: each of them has its sidecar, or was refused", async () => {
    await cluster.namespace("going", { "cardea.dev/inject": "enabled" });
    await until(() => create("going", "first", "?dryRun=All"), isInjected);
    const answers: KubeAnswer[] = [];
    const creating = atOnce(60, 8, async (index) => void answers.push(await create("going", `pod-${index}`)));
    await cluster.must("DELETE", "/api/v1/namespaces/going");
    await creating;
    for (const answer of answers)
      expect(answer.status === 403 || isInjected(answer), JSON.stringify(answer.body)).toBe(true);
    expect((await create("going", "last")).status).toBe(403);
  });

  test("the webhooks' configuration is deleted: it is told, and so is the pod that came without a sidecar", async () => {
    await cluster.kubectl(["delete", "mutatingwebhookconfiguration", "cardea-injector"]);
    const silent = await until(
      () => create("shop", "silent"),
      ({ status: code }) => code === 201,
    );
    expect(isInjected(silent)).toBe(false);
    await until(() => status(first), hasFault("webhooks-absent"));
    const told = await until(
      () => status(first),
      (now) => now.cluster!.meshless.length > 0,
    );
    expect(told.cluster!.meshless).toContainEqual({ pod: "shop/silent", reason: "no-sidecar" });
    await cluster.apply(webhooksAt(first));
    await until(
      () => status(first),
      (now) => now.cluster!.faults.length === 0,
    );
    await until(() => create("shop", "loud", "?dryRun=All"), isInjected);
  });

  test.skipIf(!IS_LONG)(
    "every answer of the API takes 20 s: what is held is served, nobody leads twice, it comes back",
    async () => {
      const token = await boundToken("slow");
      proxy.plan(() => ({ kind: "delay", ms: 20_000 }));
      await until(
        () => status(first),
        (now) => !now.cluster!.isLeader,
      );
      expect(isInjected(await create("shop", "slow-2", "?dryRun=All"))).toBe(true);
      await expect(certify(target(), token)).rejects.toBeDefined();
      proxy.plan(() => null);
      await until(
        () => status(first),
        (now) => now.cluster!.isLeader,
        120_000,
      );
      expect((await certify(target(), token)).at(-1)).toBe(rootPem);
    },
    300_000,
  );

  test("the whole control plane is away: pods of the mesh are refused in words, all others come, its own above all", async () => {
    const { port } = first.webhooks;
    await kill(first);
    const refused = await create("shop", "uninjected");
    expect([refused.status, refused.body.message]).toEqual([
      500,
      expect.stringMatching(/failed calling webhook "namespace\.inject\.cardea\.dev".*connect/),
    ]);
    for (const namespace of ["kube-system", SYSTEM, "newest"]) {
      const answer = await create(namespace, "bare", "", {
        serviceAccountName: "default",
        automountServiceAccountToken: false,
      });
      expect([namespace, answer.status]).toEqual([namespace, 201]);
    }
    expect((await cluster.must("GET", "/api/v1/namespaces/shop/pods")).items.map(nameOf)).not.toContain("uninjected");
    first = await start("control-a", { server: proxy.url, webhooksPort: port });
    await cluster.apply(webhooksAt(first));
    await until(() => create("shop", "back"), isInjected);
    const told = await until(
      () => status(first),
      (now) => now.cluster!.meshless.length > 0,
    );
    expect(told.cluster!.meshless).toEqual([{ pod: "shop/silent", reason: "no-sidecar" }]);
  });

  test("all is lost but what workloads trust: the control plane says what to do, and does no more", async () => {
    const backup = await cluster.must("GET", secret);
    await kill(first);
    await cluster.must("DELETE", secret);
    const refused = await (await launchReplica(cluster, "control-y")).finished;
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/restore the Secret from a backup, or, to begin/),
    ]);
    const { data, type } = backup;
    await cluster.must("POST", `/api/v1/namespaces/${SYSTEM}/secrets`, { metadata: { name: "cardea-ca" }, data, type });
    first = await start("control-a", { server: proxy.url });
    expect((await certify(target(), await restoredToken())).at(-1)).toBe(rootPem);
  });

  /** Of a pod that is there: while the webhooks' port is another's, none can be made. */
  async function restoredToken(): Promise<string> {
    const pod = (await cluster.must("GET", "/api/v1/namespaces/shop/pods/clock")).metadata;
    return cluster.token("shop", "default", { audiences: ["cardea"], pod: { name: pod.name, uid: pod.uid } });
  }
});

function podNamed(name: string, spec: object): object {
  return { metadata: { name }, spec: { containers: [{ name: "app", image: "app" }], ...spec } };
}

function isInjected({ body }: KubeAnswer): boolean {
  return (body.spec?.initContainers ?? []).some((each: AnyObject) => each.name === "cardea-proxy");
}

function nameOf({ metadata }: AnyObject): string {
  return metadata.name as string;
}

function hasFault(fault: string): (now: ControlStatus) => boolean {
  return (now) => now.cluster!.faults.some((each) => each.fault === fault);
}

async function status({ admin }: KubeReplica): Promise<ControlStatus> {
  const signal = AbortSignal.timeout(1_000);
  return (await (await fetch(`http://127.0.0.1:${admin.port}/status`, { signal })).json()) as ControlStatus;
}

async function costOf({
  telemetry,
}: KubeReplica): Promise<{ reviewed: number; residentBytes: number; cpuSec: number }> {
  const text = await (await fetch(`http://127.0.0.1:${telemetry.port}/metrics`)).text();
  const sum = (pattern: RegExp): number =>
    [...text.matchAll(pattern)].reduce((all, [, value]) => all + Number(value), 0);
  return {
    reviewed: sum(/^cardea_admission_reviews_total\{path="\/inject",outcome="patched"\} (\S+)$/gm),
    cpuSec: sum(/^process_cpu_seconds_total (\S+)$/gm),
    residentBytes: sum(/^process_resident_memory_bytes (\S+)$/gm),
  };
}

function mib(bytes: number): number {
  return Math.round(bytes / 1_048_576);
}

/** So many in all, so many at a time. */
async function atOnce(count: number, width: number, act: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: width }, one));
}
