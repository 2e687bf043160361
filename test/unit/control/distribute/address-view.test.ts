import { describe, expect, test } from "vitest";
import { loadMeshApi } from "../../../../src/api/load.ts";
import { ADDRESS_TYPE, POLICY_TYPE } from "../../../../src/api/resource-types.ts";
import { parsePolicyFiles } from "../../../../src/config/policy-files.ts";
import { ChangeLog } from "../../../../src/control/distribute/change-log.ts";
import { createPolicyContent } from "../../../../src/control/distribute/policy-content.ts";
import {
  changesBetween,
  createRegistryBuilder,
  type RegistryContent,
} from "../../../../src/control/distribute/registry-content.ts";
import { parseRegistryFile } from "../../../../src/control/distribute/registry-documents.ts";
import { createScope } from "../../../../src/control/distribute/scope.ts";
import { createSubscription } from "../../../../src/control/distribute/subscription.ts";
import { createLatest } from "../../../../src/core/latest.ts";
import { spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../../src/policy/mesh-settings.ts";
import { requestOf } from "./resources.ts";

const api = loadMeshApi();
const web = spiffeIdFor("cluster.local", "shop", "web");

/** What a sidecar of shop/web is told of, as `namespace/name` of services and names of workloads. */
describe("a sidecar is told of a service and its workloads", () => {
  test.each([
    ["that is exported to all", [], {}, true],
    ["that is exported to its namespace", [], { exportTo: ["shop"] }, true],
    ["that a Sidecar names", [sidecar(["bank/ledger.bank.svc.cluster.local"])], {}, true],
    ["that a Sidecar names with all of its namespace", [sidecar(["bank/*"])], {}, true],
    ["that a Sidecar names by a wildcard", [sidecar(["*/*.bank.svc.cluster.local"])], {}, true],
    ["where the Sidecar says nothing of hosts", [sidecar(null)], {}, true],
    ["where the Sidecar is another namespace's", [sidecar(["./*"], { namespace: "bank" })], {}, true],
    ["where the Sidecar selects others", [sidecar(["./*"], { labels: { app: "cron" } })], {}, true],
    [
      "where its own Sidecar says more than the root's",
      [sidecar(["./*"], { namespace: "cardea-system", name: "all" }), sidecar(["*/*"])],
      {},
      true,
    ],
    ["not one that is exported to others", [], { exportTo: ["hr"] }, false],
    ["not one that is exported to its own namespace alone", [], { exportTo: ["."] }, false],
    ["not one that is not exported, though a Sidecar names it", [sidecar(["bank/*"])], { exportTo: ["."] }, false],
    ["not one that a Sidecar leaves out", [sidecar(["./*"])], {}, false],
    ["not one of a namespace whose name begins alike", [sidecar(["ban/*", "bank2/*"])], {}, false],
    ["not one of another host", [sidecar(["bank/other.bank.svc.cluster.local"])], {}, false],
    ["not where the Sidecar names nothing", [sidecar(["~/*"])], {}, false],
    ["not where the root's Sidecar leaves it out", [sidecar(["./*"], { namespace: "cardea-system" })], {}, false],
    [
      "not where the Sidecar that selects it leaves it out",
      [sidecar(["*/*"], { name: "a" }), sidecar(["./*"], { name: "b", labels: { app: "web" } })],
      {},
      false,
    ],
  ])("%s", (_name, sidecars, spec, isTold) => {
    const { told } = worldOf(sidecars, spec);
    expect(told().filter((name) => name.includes("ledger"))).toHaveLength(isTold ? 2 : 0);
    expect(told()).toContain("local/networking.istio.io/WorkloadEntry/shop/web");
  });
});

test("no Sidecar is sent to sidecars", () => {
  const { view } = worldOf([sidecar(["./*"])]);
  expect([...view().get(POLICY_TYPE)!.resources.keys()]).toEqual([]);
});

describe("a stream that is in step", () => {
  test("is told of what its Sidecar lets it see, and to forget what not, without beginning anew", () => {
    const world = worldOf([]);
    const next = follow(world);
    world.setSidecars([sidecar(["./*"])]);
    expect(next()).toEqual({ sent: [], removed: ["bank/ledger.bank.svc.cluster.local", LEDGER] });
    world.setSidecars([]);
    expect(next()).toEqual({ sent: ["bank/ledger.bank.svc.cluster.local", LEDGER], removed: [] });
    expect(next()).toBeNull();
  });

  test("is told to forget a service that is not exported to it any more", () => {
    const world = worldOf([]);
    const next = follow(world);
    world.setLedger({ exportTo: ["hr"] });
    expect(next()).toEqual({ sent: [], removed: ["bank/ledger.bank.svc.cluster.local", LEDGER] });
  });

  test("hears nothing of what it may not see, not even the name", () => {
    const world = worldOf([sidecar(["./*"])]);
    const next = follow(world);
    world.setLedger({ addresses: ["10.96.0.7"] });
    expect(next()).toBeNull();
  });
});

const LEDGER = "local/networking.istio.io/WorkloadEntry/bank/ledger";

function worldOf(sidecars: readonly string[], spec: object = {}) {
  const builder = createRegistryBuilder({ api, trustDomain: "cluster.local" });
  const log = new ChangeLog();
  const files = [registryOf("shop", "web", {})];
  const contentWith = (ledger: object): RegistryContent => {
    const documents = [...files, registryOf("bank", "ledger", ledger)].map((text) => parseRegistryFile(text, "f", [])!);
    const joined = {
      services: documents.flatMap((each) => each.services),
      workloads: documents.flatMap((each) => each.workloads),
    };
    return { ...builder.build(String(log.version), joined), changedSince: (version) => log.since(Number(version)) };
  };
  const registry = createLatest(contentWith(spec));
  const policies = createLatest(policiesOf(sidecars));
  const viewFor = createScope({ registry, policies, settings: DEFAULT_MESH_SETTINGS, api });
  return {
    view: () => viewFor(web),
    told: () => [...viewFor(web).get(ADDRESS_TYPE)!.resources.keys()],
    setSidecars: (texts: readonly string[]) => policies.set(policiesOf(texts)),
    setLedger(ledger: object) {
      log.add(changesBetween(registry.get(), contentWith(ledger))!);
      registry.set(contentWith(ledger));
    },
  };
}

function follow({ view }: ReturnType<typeof worldOf>) {
  const subscription = createSubscription(ADDRESS_TYPE);
  subscription.receive(requestOf({ typeUrl: ADDRESS_TYPE, resourceNamesSubscribe: ["*"] }));
  const next = () => {
    const response = subscription.next(view().get(ADDRESS_TYPE)!);
    if (response === null) return null;
    subscription.receive(requestOf({ typeUrl: ADDRESS_TYPE, responseNonce: response.nonce! }));
    return { sent: response.resources!.map(({ name }) => name!), removed: response.removedResources };
  };
  expect(next()).not.toBeNull();
  return next;
}

function policiesOf(texts: readonly string[]) {
  const files = parsePolicyFiles(texts.map((text, index) => ({ path: `${index}.yaml`, text })));
  expect(files.faults).toEqual([]);
  return createPolicyContent(files, api);
}

function sidecar(
  hosts: readonly string[] | null,
  { namespace = "shop", name = "default", labels }: { namespace?: string; name?: string; labels?: object } = {},
): string {
  const spec = {
    ...(labels === undefined ? {} : { workloadSelector: { labels } }),
    ...(hosts === null ? {} : { egress: [{ hosts }] }),
  };
  return JSON.stringify({ apiVersion: "networking.istio.io/v1", kind: "Sidecar", metadata: { name, namespace }, spec });
}

function registryOf(namespace: string, name: string, spec: object): string {
  const apiVersion = "networking.istio.io/v1";
  const metadata = { name, namespace };
  const ports = [{ number: 80, name: "http" }];
  const workloadSelector = { labels: { app: name } };
  const hosts = [`${name}.${namespace}.svc.cluster.local`];
  const workload = { address: "10.0.0.1", labels: { app: name }, serviceAccount: name };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "List",
    items: [
      { apiVersion, kind: "ServiceEntry", metadata, spec: { hosts, ports, workloadSelector, ...spec } },
      { apiVersion, kind: "WorkloadEntry", metadata, spec: workload },
    ],
  });
}
