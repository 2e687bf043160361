import { afterEach, describe, expect, test } from "vitest";
import { openInjectionSettings, type LiveInjectionSettings } from "../../../../src/control/kube/injection-settings.ts";
import { DEFAULT_INJECT_SETTINGS } from "../../../../src/control/inject/settings.ts";
import { KUBE } from "../../../../src/core/kube-resources.ts";
import { createSystemRandom } from "../../../../src/io/random.ts";
import { systemClock } from "../../../../src/io/clock.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createMemoryKube, type MemoryKube } from "../../../support/memory-kube.ts";

const open: LiveInjectionSettings[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

function put(kube: MemoryKube, spec: string, name = "cardea-control"): void {
  const text = `apiVersion: cardea.dev/v1\nkind: InjectionSettings\nspec: ${spec}\n`;
  kube.put(KUBE.configMaps, { metadata: { name, namespace: "mesh" }, data: { "injection.yaml": text } });
}

function follow(kube: MemoryKube) {
  const told: (string | null)[] = [];
  let wake: (() => void) | null = null;
  const settings = openInjectionSettings({
    kube,
    namespace: "mesh",
    name: "cardea-control",
    whenAbsent: DEFAULT_INJECT_SETTINGS,
    onFault(fault) {
      told.push(fault);
      wake?.();
    },
    clock: systemClock,
    random: createSystemRandom(),
    logger: createKeptLog(),
  });
  open.push(settings);
  const nextTold = () => new Promise<void>((resolve) => void (wake = resolve));
  return { settings, told, nextTold };
}

test("a change of the document is in force at once", async () => {
  const kube = createMemoryKube();
  put(kube, "{image: 'mesh:1'}");
  const { settings, nextTold } = follow(kube);
  await settings.synced;
  expect(settings.get()).toMatchObject({ image: "mesh:1", sidecar: "native" });
  const changed = nextTold();
  put(kube, "{image: 'mesh:2', logLevel: debug}");
  await changed;
  expect(settings.get()).toMatchObject({ image: "mesh:2", logLevel: "debug" });
});

test("another ConfigMap of the namespace is not looked at", async () => {
  const kube = createMemoryKube();
  put(kube, "{image: evil}", "cardea-control-canary");
  const { settings } = follow(kube);
  await settings.synced;
  expect(settings.get().image).toBe(DEFAULT_INJECT_SETTINGS.image);
});

describe("a document that cannot be read", () => {
  test.each([["{imagee: 'mesh:2'}"], ["{sidecar: both}"], ["["], ["{image: 5}"]])(
    "leaves the last good one in force, and is told: %s",
    async (bad) => {
      const kube = createMemoryKube();
      put(kube, "{image: 'mesh:1'}");
      const { settings, told, nextTold } = follow(kube);
      await settings.synced;
      const refused = nextTold();
      put(kube, bad);
      await refused;
      expect(settings.get().image).toBe("mesh:1");
      expect(told.at(-1)).toMatch(/^mesh\/cardea-control\/injection\.yaml:\d+:\d+: /);
      const mended = nextTold();
      put(kube, "{image: 'mesh:3'}");
      await mended;
      expect([settings.get().image, told.at(-1)]).toEqual(["mesh:3", null]);
    },
  );

  test("injects nothing when there never was a good one", async () => {
    const kube = createMemoryKube();
    put(kube, "{imagee: 'mesh:2'}");
    const { settings } = follow(kube);
    await settings.synced;
    expect(() => settings.get()).toThrow("did you mean `image`?");
  });

  test("and one that is removed is no reason for other sidecars", async () => {
    const kube = createMemoryKube();
    put(kube, "{image: 'mesh:1'}");
    const { settings, told, nextTold } = follow(kube);
    await settings.synced;
    const gone = nextTold();
    kube.take(KUBE.configMaps, "cardea-control", "mesh");
    await gone;
    expect(settings.get().image).toBe("mesh:1");
    expect(told.at(-1)).toContain("has no injection.yaml");
  });
});

describe("native sidecars", () => {
  test.each([
    ["v1.28.15-eks-1", "{}", "container"],
    ["v1.28.15", "{sidecar: auto}", "container"],
    ["v1.29.0+k3s1", "{}", "native"],
    ["v1.36.0", "{sidecar: container}", "container"],
    ["v1.28.0", "{sidecar: native}", "native"],
  ])("of a server %s with %s: %s", async (gitVersion, spec, mode) => {
    const kube = createMemoryKube();
    kube.texts.set("/version", JSON.stringify({ gitVersion }));
    put(kube, spec);
    const { settings } = follow(kube);
    await settings.synced;
    expect(settings.get().sidecar).toBe(mode);
  });

  test("nothing is injected before the server has said what it is", async () => {
    const kube = createMemoryKube();
    kube.texts.set("/version", "<html>");
    put(kube, "{}");
    const { settings } = follow(kube);
    await new Promise((resolve) => void setImmediate(resolve));
    expect(() => settings.get()).toThrow("not read yet");
  });
});
