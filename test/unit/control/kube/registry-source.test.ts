import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadMeshApi } from "../../../../src/api/load.ts";
import { AddressView } from "../../../../src/control/distribute/address-view.ts";
import { egressScopeOf } from "../../../../src/control/distribute/egress-scope.ts";
import type { RegistryContent } from "../../../../src/control/distribute/registry-content.ts";
import { spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { createSubscription } from "../../../../src/control/distribute/subscription.ts";
import { type KubeRegistry, openKubeRegistry } from "../../../../src/control/kube/registry-source.ts";
import { KUBE } from "../../../../src/core/kube-resources.ts";
import { readWireAddress } from "../../../../src/proxy/discovery/wire-address.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { podObject, serviceObject, sliceObject } from "../../../support/kube-objects.ts";
import { createMemoryKube, type MemoryKube } from "../../../support/memory-kube.ts";
import { createSeededRandom, createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";

const SERVICE = "shop/web.shop.svc.cluster.local";
const POD = "Kubernetes//Pod/shop/web-1";

let kube: MemoryKube;
let clock: SimulatedClock;
let registry: KubeRegistry;

beforeEach(() => {
  kube = createMemoryKube();
  clock = createSimulatedClock(0);
  kube.put(KUBE.services, serviceObject("web", [{ name: "http", port: 80, targetPort: "main" }]));
  kube.put(KUBE.pods, podObject("web-1"));
  kube.put(KUBE.endpointSlices, sliceObject("web", [{ pod: "web-1" }], [{ name: "http", port: 8_080 }]));
});
afterEach(() => registry.close());

async function open(): Promise<RegistryContent> {
  const opening = openKubeRegistry({
    kube,
    api: loadMeshApi(),
    trustDomain: "cluster.local",
    clusterDomain: "cluster.local",
    clock,
    random: createSeededRandom(1),
    logger: createKeptLog(),
  });
  await clock.advance(1_000);
  registry = await opening;
  return registry.content.get();
}

async function settled(): Promise<RegistryContent> {
  await clock.advance(1_000);
  return registry.content.get();
}

function openedSince(content: RegistryContent, version: string): ReadonlySet<string> | undefined {
  return content.changedSince?.(version)?.opened;
}

/** What a sidecar reads of a resource. */
function read(content: RegistryContent, name: string) {
  const resource = content.resources.get(name);
  if (resource === undefined) return null;
  return readWireAddress({ name, version: resource.version, resource: resource.body }, "cluster.local");
}

function workload(content: RegistryContent, name = POD) {
  const found = read(content, name);
  return found?.kind === "workload" ? found.workload : null;
}

test("a service, its named target port, and the meshed pod behind it", async () => {
  const content = await open();
  expect(read(content, SERVICE)).toMatchObject({
    kind: "service",
    service: { fqdn: "web.shop.svc.cluster.local", ports: [{ port: 80, protocol: "HTTP" }] },
  });
  const found = workload(content)!;
  expect(found).toMatchObject({ address: "10.0.0.1", takesMutualTls: true, hbonePort: 15_008 });
  expect(found.spiffeId).toBe("spiffe://cluster.local/ns/shop/sa/web");
  expect(found.services).toEqual(new Map([[SERVICE, new Map([[80, 8_080]])]]));
});

test("a service's first ready pod is told apart from its second", async () => {
  kube.put(KUBE.endpointSlices, sliceObject("web", [], [{ name: "http", port: 8_080 }]));
  const { version } = await open();
  kube.put(KUBE.endpointSlices, sliceObject("web", [{ pod: "web-1" }], [{ name: "http", port: 8_080 }]));
  const first = await settled();
  expect(openedSince(first, version)).toEqual(new Set([SERVICE]));
  kube.put(KUBE.pods, podObject("web-2", { ip: "10.0.0.2" }));
  kube.put(
    KUBE.endpointSlices,
    sliceObject("web", [{ pod: "web-1" }, { pod: "web-2" }], [{ name: "http", port: 8_080 }]),
  );
  const second = await settled();
  expect(openedSince(second, first.version)).toEqual(new Set());
  expect(openedSince(second, version)).toEqual(new Set([SERVICE]));
});

describe("a pod gets no traffic of a service", () => {
  test.each([
    ["while it is not ready", [{ pod: "web-1", ready: false }]],
    ["once it is terminating", [{ pod: "web-1", terminating: true }]],
    ["that it does not serve", []],
  ])("%s", async (_name, endpoints) => {
    kube.put(KUBE.endpointSlices, sliceObject("web", endpoints, [{ name: "http", port: 8_080 }]));
    expect(workload(await open())!.services.size).toBe(0);
  });

  test("whose port its slice does not have", async () => {
    kube.put(KUBE.endpointSlices, sliceObject("web", [{ pod: "web-1" }], [{ name: "other", port: 8_080 }]));
    expect(workload(await open())!.services.size).toBe(0);
  });

  test.each([
    ["without our sidecar", { isMeshed: false }],
    ["in the node's network, whatever it calls its containers", { hostNetwork: true }],
  ])("%s: nobody sends it plaintext", async (_name, options) => {
    kube.put(KUBE.pods, podObject("web-1", options));
    expect(workload(await open())).toMatchObject({ address: null, takesMutualTls: false, hbonePort: null });
  });

  test.each([
    ["that has no address yet", podObject("web-1", { ip: "" })],
    ["that has run to its end", podObject("web-1", { phase: "Failed" })],
  ])("%s: it is in no registry", async (_name, pod) => {
    kube.put(KUBE.pods, pod);
    expect(workload(await open())).toBeNull();
  });
});

test("a service that publishes unready addresses offers them, but no terminating ones", async () => {
  kube.put(KUBE.services, serviceObject("web", [{ name: "http", port: 80 }], { publishNotReadyAddresses: true }));
  const port = [{ name: "http", port: 8_080 }];
  kube.put(KUBE.endpointSlices, sliceObject("web", [{ pod: "web-1", ready: false }], port));
  expect(workload(await open())!.services.size).toBe(1);
  kube.put(KUBE.endpointSlices, sliceObject("web", [{ pod: "web-1", ready: false, terminating: true }], port));
  expect(workload(await settled())!.services.size).toBe(0);
});

test("UDP is left out; the protocol is declared by appProtocol or name", async () => {
  const ports = [
    { name: "dns", port: 53, protocol: "UDP" },
    { name: "grpc-api", port: 1 },
    { name: "x", port: 2, appProtocol: "kubernetes.io/h2c" },
    { name: "y", port: 3 },
  ];
  kube.put(KUBE.services, serviceObject("web", ports, { clusterIP: "None", clusterIPs: ["None"] }));
  const found = read(await open(), SERVICE);
  expect(found).toMatchObject({
    service: {
      ports: [
        { port: 1, protocol: "HTTP" },
        { port: 2, protocol: "HTTP" },
        { port: 3, protocol: "AUTO" },
      ],
    },
  });
});

test("IPv6 pods have IPv6 addresses", async () => {
  kube.put(KUBE.pods, podObject("web-1", { ip: "fd00::7" }));
  expect(workload(await open())!.address).toBe("fd00:0:0:0:0:0:0:7");
});

test("garbage in objects of others stops nobody", async () => {
  kube.put(KUBE.services, { metadata: { name: "bad", namespace: "shop" }, spec: { ports: "x", clusterIPs: [7] } });
  kube.put(KUBE.services, { metadata: { name: "worse", namespace: "shop" } });
  kube.put(KUBE.pods, { metadata: { name: "bad", namespace: "shop" }, spec: [], status: { podIP: {} } });
  kube.put(KUBE.endpointSlices, {
    metadata: { name: "bad", namespace: "shop", labels: { "kubernetes.io/service-name": "web" } },
    endpoints: [null, { targetRef: 1 }],
    ports: [{ port: 99_999 }],
  });
  expect(workload(await open())!.services.size).toBe(1);
});

test("it does not matter in which order service, slice and pod come", async () => {
  for (const [resource, name] of [
    [KUBE.services, "web"],
    [KUBE.pods, "web-1"],
    [KUBE.endpointSlices, "web-1"],
  ] as const)
    kube.take(resource, name, "shop");
  expect((await open()).resources.size).toBe(0);
  kube.put(KUBE.endpointSlices, sliceObject("web", [{ pod: "web-1" }], [{ name: "http", port: 8_080 }]));
  await settled();
  kube.put(KUBE.pods, podObject("web-1"));
  await settled();
  kube.put(KUBE.services, serviceObject("web", [{ name: "http", port: 80 }]));
  expect(workload(await settled())!.services.size).toBe(1);
  kube.take(KUBE.services, "web", "shop");
  expect(workload(await settled())!.services.size).toBe(0);
});

test("the label sets of an identity follow its pods", async () => {
  const content = await open();
  const web = spiffeIdFor("cluster.local", "shop", "web");
  expect(content.labelSetsOf!(web)).toEqual([{ app: "web" }]);
  const before = content.labelSetsOf!(web);
  kube.put(KUBE.pods, podObject("web-2"));
  expect((await settled()).labelSetsOf!(web)).toBe(before);
  kube.put(KUBE.pods, podObject("web-2", { labels: { app: "canary" } }));
  expect((await settled()).labelSetsOf!(web)).toEqual([{ app: "canary" }, { app: "web" }]);
  kube.take(KUBE.pods, "web-2", "shop");
  expect((await settled()).labelSetsOf!(web)).toEqual([{ app: "web" }]);
});

test("a change of one endpoint among thousands compares and sends that one alone", async () => {
  const endpoints = Array.from({ length: 1_000 }, (_, index) => ({ pod: `many-${index}` }));
  for (const { pod } of endpoints) kube.put(KUBE.pods, podObject(pod));
  const port = [{ name: "http", port: 8_080 }];
  kube.put(KUBE.endpointSlices, sliceObject("web", endpoints, port));
  const content = await open();
  const subscription = createSubscription("address");
  subscription.receive(wildcard());
  const view = viewOf(content);
  for (let answer = subscription.next(view); answer !== null; answer = subscription.next(view))
    subscription.receive(wildcard(answer.nonce));
  const [, ...rest] = endpoints;
  kube.put(KUBE.endpointSlices, sliceObject("web", [{ pod: "many-0", ready: false }, ...rest], port));
  const after = await settled();
  expect([...after.changedSince!(content.version)!.names.keys()]).toEqual(["Kubernetes//Pod/shop/many-0"]);
  const looked: string[] = [];
  const watched = { ...after, workloads: [], resources: counting(after.resources, looked) };
  expect(subscription.next(viewOf(watched))?.resources).toHaveLength(1);
  expect(looked.length).toBeLessThan(5);
});

function viewOf(content: RegistryContent): AddressView {
  const caller = { namespace: "shop", labels: [], rootNamespace: "cardea-system" };
  return new AddressView(content, egressScopeOf(new Map(), caller), spiffeIdFor("cluster.local", "shop", "web"));
}

function wildcard(nonce = "") {
  return {
    typeUrl: "address",
    responseNonce: nonce,
    errorDetail: null,
    initialResourceVersions: {},
    resourceNamesSubscribe: [],
    resourceNamesUnsubscribe: [],
  } as never;
}

/** A map that tells which of its entries were looked at. */
function counting<T>(map: ReadonlyMap<string, T>, looked: string[]): ReadonlyMap<string, T> {
  return new Proxy(map, {
    get(target, property) {
      if (property === "get" || property === "has")
        return (name: string) => {
          looked.push(name);
          return property === "get" ? target.get(name) : target.has(name);
        };
      throw new Error(`${String(property)} goes through all of them`);
    },
  });
}
