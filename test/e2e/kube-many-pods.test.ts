import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ControlStatus } from "../../src/control/admin.ts";
import { type KubeCluster, openKubeCluster, whyNoKube } from "../support/kube-cluster.ts";
import { installControl, type KubeReplica, startReplica, until } from "../support/kube-control.ts";

// What the control plane's watches cost when very many pods come and go at once in very many namespaces: real objects of a
// real API server, each seen being made, given an address, and deleted.

/** CARDEA_TEST_LONG=1 makes it the 5,000 pods of a large rollout, in 250 namespaces. */
const IS_LONG = process.env["CARDEA_TEST_LONG"] === "1";
const NAMESPACES = IS_LONG ? 250 : 20;
const PODS_EACH = 20;
const PODS = NAMESPACES * PODS_EACH;
const MERGE = { contentType: "application/merge-patch+json" };
const MIB = 1_048_576;

describe.skipIf(whyNoKube !== null)(
  `${PODS} pods in ${NAMESPACES} namespaces (skipped where ${whyNoKube ?? "absent"})`,
  () => {
    let cluster: KubeCluster;
    let replica: KubeReplica;

    beforeAll(async () => {
      cluster = await openKubeCluster();
      await installControl(cluster);
      replica = await startReplica(cluster, "control-a");
    }, 180_000);
    afterAll(async () => {
      replica?.process.child.kill("SIGKILL");
      await replica?.process.finished;
      await cluster?.close();
    }, 60_000);

    test("all namespaces have their roots", async () => {
      const before = await costOf(replica);
      const begun = performance.now();
      await atOnce(NAMESPACES, 32, (index) => cluster.namespace(nameOf(index), { "cardea.dev/inject": "enabled" }));
      const made = performance.now();
      await until(
        () => cluster.must("GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Dcardea-root-cert"),
        ({ items }) => items.length >= NAMESPACES,
        120_000,
      );
      tell("roots", { count: NAMESPACES, begun, made, before, after: await costOf(replica) });
    }, 240_000);

    // Twice: what a first wave leaves behind would show in the second.
    test.each([[1], [2]])(
      "wave %i: all are known when they have addresses, all are forgotten when they go",
      async (wave) => {
        const before = await costOf(replica);
        const begun = performance.now();
        await atOnce(PODS, 64, (index) => createPod(index));
        const made = performance.now();
        await until(
          () => statusOf(replica),
          ({ registry }) => registry.workloads >= PODS,
          120_000,
        );
        const known = await costOf(replica);
        tell(`wave ${wave}, made`, { count: PODS, begun, made, before, after: known });
        // Nobody has injected them: the sweep tells of each, without a list that grows.
        const { cluster: told } = await statusOf(replica);
        expect(told!.meshless.length).toBe(PODS);
        expect(told!.notFollowed).toEqual([]);
        const deleting = performance.now();
        await atOnce(NAMESPACES, 16, (index) =>
          cluster.must("DELETE", `/api/v1/namespaces/${nameOf(index)}/pods?gracePeriodSeconds=0`),
        );
        const deleted = performance.now();
        await until(
          () => statusOf(replica),
          ({ registry }) => registry.workloads === 0,
          120_000,
        );
        const after = await costOf(replica);
        tell(`wave ${wave}, gone`, { count: PODS, begun: deleting, made: deleted, before: known, after });
        expect(Math.max(known.residentBytes, after.residentBytes)).toBeLessThan(512 * MIB);
      },
      600_000,
    );

    async function createPod(index: number): Promise<void> {
      const at = `/api/v1/namespaces/${nameOf(index % NAMESPACES)}/pods`;
      const spec = {
        nodeName: "node-1",
        containers: [{ name: "app", image: "app", ports: [{ containerPort: 8_080 }] }],
      };
      const name = `pod-${index}`;
      await cluster.must("POST", at, { metadata: { name, labels: { app: `app-${index % 7}` } }, spec });
      const ip = `10.${88 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
      const status = { phase: "Running", podIP: ip, podIPs: [{ ip }], conditions: [{ type: "Ready", status: "True" }] };
      await cluster.must("PATCH", `${at}/${name}/status`, { status }, MERGE);
    }
  },
);

interface Cost {
  readonly cpuSec: number;
  readonly residentBytes: number;
}

/** For people who run it by hand: nothing is judged by it. */
function tell(
  what: string,
  { count, begun, made, before, after }: { count: number; begun: number; made: number; before: Cost; after: Cost },
): void {
  const now = performance.now();
  process.stderr.write(
    `${what}: ${count} in ${((made - begun) / 1_000).toFixed(1)} s, the last known ${Math.round(now - made)} ms later; ` +
      `${(((after.cpuSec - before.cpuSec) * 1_000) / count).toFixed(2)} ms of the replica's processor time each; ` +
      `${Math.round(before.residentBytes / MIB)} → ${Math.round(after.residentBytes / MIB)} MiB\n`,
  );
}

function nameOf(index: number): string {
  return `team-${index}`;
}

async function statusOf({ admin }: KubeReplica): Promise<ControlStatus> {
  return (await (await fetch(`http://127.0.0.1:${admin.port}/status`)).json()) as ControlStatus;
}

async function costOf({ telemetry }: KubeReplica): Promise<Cost> {
  const text = await (await fetch(`http://127.0.0.1:${telemetry.port}/metrics`)).text();
  const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)![1]);
  return { cpuSec: value("process_cpu_seconds_total"), residentBytes: value("process_resident_memory_bytes") };
}

/** So many in all, so many at a time. */
async function atOnce(count: number, width: number, act: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: width }, one));
}
