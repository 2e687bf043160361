import { expect, test } from "vitest";
import { loadMeshApi } from "../../../../src/api/load.ts";
import { createPolicyWorld } from "../../../../src/control/admission/policy-world.ts";
import { createPolicyContent } from "../../../../src/control/distribute/policy-content.ts";
import type { RegistryContent } from "../../../../src/control/distribute/registry-content.ts";
import type { Resource } from "../../../../src/control/distribute/resource.ts";
import { parsePolicyFiles } from "../../../../src/config/policy-files.ts";
import { createLatest } from "../../../../src/core/latest.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../../src/policy/mesh-settings.ts";

const NAMES = ["shop/ledger.shop.svc.cluster.local", "Kubernetes//Pod/shop/ledger-0", "local/x/WorkloadEntry/shop/web"];
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
const resources = new Map(NAMES.map((name) => [name, {} as Resource]));
const REGISTRY: RegistryContent = { version: "1", resources, workloads: [], serviceCount: 1 };

test("hosts are those of services; workloads have none", () => {
  const world = createPolicyWorld(DEFAULT_MESH_SETTINGS, createLatest(null), createLatest(REGISTRY), {
    wallMs: () => 5,
  });
  expect([...world.services()!]).toEqual(["ledger.shop.svc.cluster.local"]);
});

test("what is in force is looked up anew each time, and is nothing before there is a policy set", () => {
  const policies = createLatest<ReturnType<typeof createPolicyContent> | null>(null);
  const world = createPolicyWorld(DEFAULT_MESH_SETTINGS, policies, createLatest(REGISTRY), { wallMs: () => 5 });
  expect([world.policies(), world.traffic(), world.workloads()]).toEqual([[], [], []]);
  const metadata = { name: "a", namespace: "shop" };
  const text = JSON.stringify({ apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata, spec: {} });
  policies.set(createPolicyContent(parsePolicyFiles([{ path: "p", text }]), loadMeshApi()));
  expect(world.policies().map(({ id }) => id)).toEqual(["shop/a"]);
});
