import { describe, expect, test } from "vitest";
import { readMeshStatus } from "../../../../src/control/doctor/mesh-status.ts";
import { KUBE } from "../../../../src/core/kube-resources.ts";
import { createMemoryKube, type MemoryKube } from "../../../support/memory-kube.ts";

const LABELS = { "app.kubernetes.io/name": "cardea", "app.kubernetes.io/component": "control" };

function replica(kube: MemoryKube, name: string, { revision = "r1", faults = 0, leads = 1, around = "" } = {}): void {
  kube.put(KUBE.pods, { metadata: { name, namespace: "mesh", labels: LABELS }, status: { phase: "Running" } });
  const lines = [
    "# HELP pilot_xds Sidecars that are connected.",
    "pilot_xds 2",
    `cardea_policy_revision_info{revision="${revision}"} 1`,
    `cardea_policy_faults ${faults}`,
    `cardea_leader ${leads}`,
    `cardea_cluster_faults{fault="clock-differs"} 0`,
    ...(around === "" ? [] : [`cardea_cluster_faults{fault="${around}"} 1`]),
  ];
  kube.texts.set(`/api/v1/namespaces/mesh/pods/${name}%3A15014/proxy/metrics`, lines.join("\n"));
}

function sidecar(kube: MemoryKube, name: string, { revision = "r1", leftSec = 1_800 } = {}): void {
  const spec = { initContainers: [{ name: "cardea-proxy", image: "cardea" }] };
  kube.put(KUBE.pods, { metadata: { name, namespace: "shop" }, spec, status: { phase: "Running" } });
  const lines = [
    `cardea_policy_revision_info{revision="${revision}"} 1`,
    `cardea_certificate_expiry_seconds ${leftSec}`,
  ];
  kube.texts.set(`/api/v1/namespaces/shop/pods/${name}%3A15020/proxy/metrics`, lines.join("\n"));
}

test("a mesh of which all have the same policies in force is in sync", async () => {
  const kube = createMemoryKube();
  replica(kube, "control-a");
  replica(kube, "control-b", { leads: 0 });
  sidecar(kube, "web");
  kube.put(KUBE.pods, { metadata: { name: "bare", namespace: "shop" }, status: { phase: "Running" } });
  expect(await readMeshStatus(kube, "mesh")).toMatchObject({
    inSync: true,
    revision: "r1",
    replicas: [
      { pod: "mesh/control-a", leads: true, connected: 2, error: null },
      { pod: "mesh/control-b", leads: false },
    ],
    sidecars: [{ pod: "shop/web", revision: "r1", certificateLeftSec: 1_800, error: null }],
    problems: [],
  });
});

describe("it is not in sync", () => {
  test.each<[string, (kube: MemoryKube) => void, RegExp]>([
    [
      "when a sidecar has other policies",
      (kube) => sidecar(kube, "web", { revision: "r0" }),
      /^shop\/web: policy r0 is in force, not r1/,
    ],
    ["when a certificate has ended", (kube) => sidecar(kube, "web", { leftSec: -3 }), /^shop\/web: has no certificate/],
    [
      "when policies have faults",
      (kube) => replica(kube, "control-a", { faults: 2 }),
      /^mesh\/control-a: 2 faults in policies/,
    ],
    [
      "when something is wrong around a replica",
      (kube) => replica(kube, "control-a", { around: "webhooks-absent" }),
      /^mesh\/control-a: webhooks-absent/,
    ],
    [
      "while replicas differ",
      (kube) => replica(kube, "control-b", { revision: "r2" }),
      /^the replicas give different policies/,
    ],
    [
      "when a sidecar cannot be asked",
      (kube) => void kube.texts.delete("/api/v1/namespaces/shop/pods/web%3A15020/proxy/metrics"),
      /^shop\/web: /,
    ],
    [
      "without a control plane",
      (kube) => kube.take(KUBE.pods, "control-a", "mesh"),
      /^no replica of the control plane runs/,
    ],
  ])("%s", async (_, change, wanted) => {
    const kube = createMemoryKube();
    replica(kube, "control-a");
    sidecar(kube, "web");
    change(kube);
    const { inSync, problems } = await readMeshStatus(kube, "mesh");
    expect([inSync, problems]).toEqual([false, [expect.stringMatching(wanted)]]);
  });
});
