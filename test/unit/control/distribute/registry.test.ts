import { beforeEach, describe, expect, test } from "vitest";
import { loadMeshApi } from "../../../../src/api/load.ts";
import type { Directory, DirectoryFile } from "../../../../src/control/distribute/directory.ts";
import { openRegistry, type Registry } from "../../../../src/control/distribute/registry.ts";
import { CardeaError } from "../../../../src/core/errors.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import { formatFault } from "../../../../src/core/located.ts";
import { createKeptLog, type KeptLog } from "../../../support/kept-log.ts";
import { registryOf } from "../control-fixture.ts";

let files: Map<string, unknown>;
let unlistable: boolean;
let change: () => void;
let log: KeptLog;
beforeEach(() => {
  files = new Map<string, unknown>([
    ["a.json", registryOf("orders", 1_001)],
    ["b.json", registryOf("web", 1_002)],
  ]);
  unlistable = false;
  log = createKeptLog();
});

describe("a file is refused by name, and the others stay, when", () => {
  test.each([
    ["it is garbage", "c.json", "{", "c.json: is not JSON"],
    ["it cannot be read", "c.json", null, "c.json: cannot be opened"],
    [
      "another file has its names already",
      "c.json",
      registryOf("web", 9_999),
      "c.json: shop/web.shop.svc.cluster.local is given twice, first in b.json",
    ],
    [
      "it has a name twice",
      "c.json",
      twice(),
      "c.json: shop/x.shop.svc.cluster.local is given twice, first in this very file",
    ],
  ])("%s", async (_name, path, content, fault) => {
    files.set(path, content);
    const registry = await open();
    expect(registry.faults.get().map(formatFault).join()).toContain(fault);
    expect(registry.content.get()).toMatchObject({ serviceCount: 2 });
    expect(registry.content.get().workloads).toHaveLength(2);
  });
});

test("a file that was good counts as it was until it is good again or gone", async () => {
  const registry = await open();
  const before = registry.content.get();
  await changeTo("a.json", "{");
  expect(registry.faults.get()).toHaveLength(1);
  expect(registry.content.get()).toBe(before);
  await changeTo("a.json", registryOf("orders", 2_001));
  expect(registry.faults.get()).toEqual([]);
  expect(registry.content.get()).not.toBe(before);
  files.delete("a.json");
  await changed();
  expect(registry.content.get().serviceCount).toBe(1);
});

test("an empty registry knows that nothing has changed, so that streams which have all of it are served on", async () => {
  files.clear();
  const registry = await open();
  const content = registry.content.get();
  expect(content.changedSince?.(content.version)).toEqual({
    names: new Map(),
    identities: new Set(),
    opened: new Set(),
  });
});

test("a service's first workload is told apart from a change of it", async () => {
  const registry = await open();
  const before = registry.content.get();
  await changeTo("c.json", registryOf("ledger", 4_004));
  const added = registry.content.get();
  expect(added.changedSince?.(before.version)?.opened).toEqual(new Set(["shop/ledger.shop.svc.cluster.local"]));
  await changeTo("c.json", registryOf("ledger", 4_005));
  const moved = registry.content.get();
  expect(moved).not.toBe(added);
  expect(moved.changedSince?.(added.version)?.opened).toEqual(new Set());
});

test("a name that moves to another file is taken over when the first file gives it up", async () => {
  const registry = await open();
  files.delete("b.json");
  await changeTo("c.json", registryOf("web", 3_003));
  expect(registry.faults.get()).toEqual([]);
  expect(registry.content.get().serviceCount).toBe(2);
});

describe("everything stays as it is, with a fault, when", () => {
  test("the directory cannot be listed", async () => {
    const registry = await open();
    const before = registry.content.get();
    unlistable = true;
    await changed();
    expect(registry.faults.get().map(formatFault)).toEqual(["registry: no such directory"]);
    expect(registry.content.get()).toBe(before);
  });

  test("there are too many files", async () => {
    const registry = await open();
    const before = registry.content.get();
    for (let index = 0; index <= LIMITS.registryFilesMax; index += 1) files.set(`x${index}.json`, "{}");
    await changed();
    expect(registry.faults.get()).toHaveLength(1);
    expect(registry.content.get()).toBe(before);
  });
});

test("a fault is logged once, not at every reading", async () => {
  files.set("c.json", "{");
  const registry = await open();
  await changeTo("b.json", registryOf("web", 5_005));
  expect(log.events().filter((event) => event === "registry-refused")).toHaveLength(1);
  expect(registry.faults.get()).toHaveLength(1);
});

test("files that are written again as they were are no change", async () => {
  const registry = await open();
  const before = registry.content.get();
  await changeTo("a.json", registryOf("orders", 1_001));
  expect(registry.content.get()).toBe(before);
});

test("labels alone are a change, since policies are chosen by them", async () => {
  const registry = await open();
  const before = registry.content.get();
  await changeTo("a.json", registryOf("orders", 1_001, { app: "orders", tier: "gold" }));
  expect(registry.content.get()).not.toBe(before);
});

test("a workload serves what selects all of its labels, in its own namespace alone", async () => {
  const elsewhere = registryOf("orders", 7_007);
  for (const item of elsewhere.items) item.metadata.namespace = "other";
  files.set("a.json", registryOf("orders", 1_001, { app: "web" }));
  files.set("c.json", elsewhere);
  const registry = await open();
  const { address } = loadMeshApi();
  const served = [...registry.content.get().resources.values()].flatMap(({ name, body }) => {
    const { workload } = address.deserialize(body.value);
    return workload ? [[name.split("/").slice(-2).join("/"), Object.keys(workload.services)]] : [];
  });
  expect(served).toEqual([
    ["shop/orders", ["shop/web.shop.svc.cluster.local"]],
    ["shop/web", ["shop/web.shop.svc.cluster.local"]],
    ["other/orders", ["other/orders.shop.svc.cluster.local"]],
  ]);
});

function twice(): unknown {
  const one = registryOf("x", 1);
  return { ...one, items: [...one.items, ...one.items] };
}

function open(): Promise<Registry> {
  const directory: Directory = {
    path: "registry",
    async read() {
      if (unlistable) throw new CardeaError("bad-input", "no such directory");
      return [...files].map(([path, content]): DirectoryFile => {
        if (content === null)
          return { kind: "unreadable", path, error: new CardeaError("bad-input", "cannot be opened") };
        return { kind: "text", path, text: typeof content === "string" ? content : JSON.stringify(content) };
      });
    },
    watch(onChange) {
      change = onChange;
      return { close: () => undefined };
    },
  };
  return openRegistry({ directory, api: loadMeshApi(), trustDomain: "cluster.local", logger: log });
}

async function changeTo(path: string, content: unknown): Promise<void> {
  files.set(path, content);
  await changed();
}

async function changed(): Promise<void> {
  change();
  await new Promise((resolve) => setImmediate(resolve));
}
