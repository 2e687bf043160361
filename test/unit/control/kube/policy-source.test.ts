import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parsePolicyFiles } from "../../../../src/config/policy-files.ts";
import { type KubePolicySource, openKubePolicySource } from "../../../../src/control/kube/policy-source.ts";
import { KUBE } from "../../../../src/core/kube-resources.ts";
import type { KubeObject } from "../../../../src/core/kube.ts";
import { formatFault } from "../../../../src/core/located.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createMemoryKube, type MemoryKube } from "../../../support/memory-kube.ts";
import { createSeededRandom, createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";

let kube: MemoryKube;
let clock: SimulatedClock;
let source: KubePolicySource;
let changes: number;

beforeEach(() => {
  kube = createMemoryKube();
  clock = createSimulatedClock(0);
  changes = 0;
});
afterEach(() => source.close());

async function open(): Promise<void> {
  source = openKubePolicySource({ kube, clock, random: createSeededRandom(1), logger: createKeptLog() });
  source.watch(() => (changes += 1));
  await clock.advance(1_000);
}

async function read() {
  const { files, faults } = await source.read();
  expect(faults).toEqual([]);
  return { files, set: parsePolicyFiles(files) };
}

function object(name: string, spec: unknown, metadata: object = {}): KubeObject {
  return { metadata: { name, namespace: "shop", ...metadata }, spec };
}

test("objects are read as files are, whatever the server has added to them", async () => {
  kube.put(KUBE.authorizationPolicies, {
    ...object("web", { action: "ALLOW", rules: [{}] }, { generation: 3, finalizers: ["x"], ownerReferences: [{}] }),
    status: { conditions: [] },
  });
  await open();
  const { files, set } = await read();
  expect(files.map(({ path }) => path)).toEqual(["shop/AuthorizationPolicy/web"]);
  expect(set.faults).toEqual([]);
  expect(set.documents).toMatchObject([{ id: "shop/web", action: "ALLOW" }]);
});

test("a RequestAuthentication is read beside the policies", async () => {
  kube.put(KUBE.requestAuthentications, object("users", { jwtRules: [{ issuer: "https://id.example" }] }));
  await open();
  const { files, set } = await read();
  expect(files.map(({ path }) => path)).toEqual(["shop/RequestAuthentication/users"]);
  expect(set.authentication).toMatchObject([{ kind: "RequestAuthentication", id: "shop/users" }]);
});

test("a change is told once, and a write to a status makes no other revision", async () => {
  await open();
  const web = object("web", { rules: [{}] });
  for (let time = 0; time < 5; time += 1) kube.put(KUBE.authorizationPolicies, web);
  await clock.advance(1_000);
  expect(changes).toBe(1);
  const { revision } = (await read()).set;
  kube.put(KUBE.authorizationPolicies, { ...web, status: { observedGeneration: 1 } });
  await clock.advance(1_000);
  expect((await read()).set.revision).toBe(revision);
  kube.take(KUBE.authorizationPolicies, "web", "shop");
  await clock.advance(1_000);
  expect((await read()).files).toEqual([]);
});

describe("a bad object is a fault with its name:", () => {
  test.each<[string, KubeObject, string]>([
    ["an unknown action", object("web", { action: "MAYBE" }), "shop/AuthorizationPolicy/web:1:"],
    ["an unknown field", object("web", { rulez: [] }), "unknown field"],
    ["a spec that is a list", object("web", []), "shop/AuthorizationPolicy/web"],
  ])("%s", async (_name, bad, message) => {
    kube.put(KUBE.authorizationPolicies, bad);
    kube.put(KUBE.authorizationPolicies, object("good", { rules: [{}] }));
    await open();
    const { set } = await read();
    expect(set.documents).toEqual([]);
    expect(set.faults.map(formatFault).join("\n").toLowerCase()).toContain(message.toLowerCase());
  });
});

test("rules for gateways are not ours to read; those for the mesh are", async () => {
  kube.put(KUBE.virtualServices, object("ingress", { gateways: ["public"], anything: true }));
  kube.put(KUBE.httpRoutes, object("ingress", { parentRefs: [{ name: "gw" }], anything: true }));
  kube.put(KUBE.httpRoutes, object("mesh", { parentRefs: [{ kind: "Service", name: "web", group: "" }] }));
  await open();
  expect((await read()).files.map(({ path }) => path)).toEqual(["shop/HTTPRoute/mesh"]);
});

test("a cluster without the kinds has no policies, and no fault; they are read once they are there", async () => {
  for (const kind of ["AuthorizationPolicy", "DestinationRule", "VirtualService", "HTTPRoute", "GRPCRoute"])
    kube.absent.add(kind);
  await open();
  expect((await read()).files).toEqual([]);
  kube.absent.clear();
  kube.put(KUBE.authorizationPolicies, object("web", { rules: [] }));
  await clock.advance(20_000);
  expect((await read()).set.documents).toHaveLength(1);
});

test("policies that cannot be listed are not taken for none", async () => {
  kube.fail("list", ...Array.from({ length: 10 }, () => "kube-forbidden" as const));
  await open();
  let isRead = false;
  void source.read().then(() => (isRead = true));
  await clock.advance(100);
  expect(isRead).toBe(false);
});

test("a Telemetry is read where it speaks of access logs, and concerns nobody where it does not", async () => {
  kube.put(KUBE.telemetries, object("logs", { accessLogging: [{ disabled: true }] }));
  kube.put(KUBE.telemetries, object("traces", { tracing: [{ randomSamplingPercentage: 10 }] }));
  await open();
  const { files } = await read();
  expect(files.map(({ path }) => path)).toEqual(["shop/Telemetry/logs"]);
});
