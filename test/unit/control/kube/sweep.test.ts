import { afterEach, beforeEach, expect, test } from "vitest";
import { type PodFacts, podFactsOf } from "../../../../src/control/kube/pod-facts.ts";
import { openSweep, type Sweep } from "../../../../src/control/kube/sweep.ts";
import { KUBE } from "../../../../src/core/kube-resources.ts";
import type { KubeObject } from "../../../../src/core/kube.ts";
import { createKeptLog, type KeptLog } from "../../../support/kept-log.ts";
import { type PodOptions, podObject } from "../../../support/kube-objects.ts";
import { createMemoryKube, type MemoryKube } from "../../../support/memory-kube.ts";
import { createSeededRandom, createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";

let kube: MemoryKube;
let clock: SimulatedClock;
let log: KeptLog;
let pods: Map<string, PodFacts>;
let sweep: Sweep;

beforeEach(() => {
  kube = createMemoryKube();
  clock = createSimulatedClock(0);
  log = createKeptLog();
  pods = new Map();
});
afterEach(() => sweep.close());

function put(name: string, options: PodOptions, change: (object: KubeObject) => KubeObject = (object) => object): void {
  const pod = podFactsOf(change(podObject(name, options)), "cluster.local")!;
  pods.set(pod.key, pod);
}

async function open(labels: Readonly<Record<string, string>>): Promise<void> {
  kube.put(KUBE.namespaces, { metadata: { name: "shop", labels } });
  sweep = openSweep({ kube, pods, clock, random: createSeededRandom(1), logger: log });
  await clock.advance(1);
}

const bare = { isMeshed: false };

test("each pod that should have a sidecar and has none is told once, with the reason", async () => {
  put("good", {});
  put("bad", bare);
  put("host", { ...bare, hostNetwork: true });
  put("out", { ...bare, labels: { "cardea.dev/inject": "disabled" } });
  put("istio", bare, (object) => ({
    ...object,
    metadata: { ...object.metadata, annotations: { "sidecar.istio.io/inject": "false" } },
  }));
  put("going", bare, (object) => ({ ...object, metadata: { ...object.metadata, deletionTimestamp: "now" } }));
  await open({ "cardea.dev/inject": "enabled" });
  expect(sweep.meshless()).toEqual([
    { pod: "shop/bad", reason: "no-sidecar" },
    { pod: "shop/host", reason: "host-network" },
    { pod: "shop/out", reason: "opted-out" },
    { pod: "shop/istio", reason: "opted-out" },
  ]);
  await clock.advance(120_000);
  expect(log.lines.map(({ fields }) => fields["workload"])).toEqual(["shop/bad"]);
});

test("a pod that opts in by itself is missed in any namespace, one that says nothing is not", async () => {
  put("asks", { ...bare, labels: { "cardea.dev/inject": "enabled" } });
  put("silent", bare);
  await open({});
  expect(sweep.meshless()).toEqual([{ pod: "shop/asks", reason: "no-sidecar" }]);
});

test("words that cannot be read are no way out", async () => {
  put("odd", { ...bare, labels: { "cardea.dev/inject": "perhaps" } });
  await open({ "cardea.dev/inject": "enabled" });
  expect(sweep.meshless()).toEqual([{ pod: "shop/odd", reason: "no-sidecar" }]);
});
