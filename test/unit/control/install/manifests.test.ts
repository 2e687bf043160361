import { describe, expect, test } from "vitest";
import { isJsonObject, type JsonObject, type JsonValue, valueAt } from "../../../../src/core/json-value.ts";
import { parseInjectSettings } from "../../../../src/control/inject/settings.ts";
import { parseKubeControlConfig } from "../../../../src/config/kube-control-config.ts";
import { makeManifests } from "../../../../src/control/install/manifests.ts";
import { parseValues } from "../../../../src/control/install/parse-values.ts";
import { POD_PORTS } from "../../../../src/core/pod-ports.ts";
import type { Fault } from "../../../../src/core/located.ts";
import { parseYaml } from "../../../../src/config/yaml.ts";

function made(...sets: string[]): readonly JsonObject[] {
  const faults: Fault[] = [];
  const values = parseValues({ profile: "ha", files: [], sets }, faults);
  expect(faults).toEqual([]);
  return makeManifests({ values: values!, namespace: "mesh" });
}

function named(objects: readonly JsonObject[], kind: string): readonly JsonObject[] {
  return objects.filter((object) => object["kind"] === kind);
}

const nameOf = (object: JsonObject) => valueAt(object, ["metadata", "name"]);

/** Everything in a value, at any depth. */
function within(found: JsonValue): readonly JsonValue[] {
  if (Array.isArray(found)) return [found, ...found.flatMap(within)];
  return isJsonObject(found) ? [found, ...Object.values(found).flatMap(within)] : [found];
}

function keys(objects: readonly JsonObject[]): readonly string[] {
  return objects.map((each) => JSON.stringify([each["kind"], nameOf(each)]));
}

/** All that roles say. */
function rights(...sets: string[]): readonly JsonValue[] {
  return [...named(made(...sets), "ClusterRole"), ...named(made(...sets), "Role")].flatMap(within);
}

function data(...sets: string[]): Readonly<Record<string, string>> {
  return named(made(...sets), "ConfigMap")[0]!["data"] as Readonly<Record<string, string>>;
}

function readControl(...sets: string[]) {
  return parseKubeControlConfig(data(...sets)["control.yaml"]!, "control.yaml", { CARDEA_POD_NAMESPACE: "mesh" });
}

function mark(...sets: string[]): JsonValue | undefined {
  const annotations = ["spec", "template", "metadata", "annotations"];
  return valueAt(named(made(...sets), "Deployment")[0], [...annotations, "cardea.dev/configuration"]);
}

test("the guard of the API server is left out where it is not wanted, and only it", () => {
  const without = keys(made("injection.guard=false"));
  expect(keys(made()).filter((key) => !without.includes(key))).toEqual([
    '["ValidatingAdmissionPolicy","cardea-sidecar-required"]',
    '["ValidatingAdmissionPolicyBinding","cardea-sidecar-required"]',
  ]);
});

test("two revisions have no object in common", () => {
  const plain = keys(made());
  const canary = keys(made("revision=canary"));
  expect(new Set(plain).size).toBe(plain.length);
  expect(canary.filter((key) => plain.includes(key))).toEqual([]);
  expect(canary).toHaveLength(plain.length);
});

test("a revision that becomes the default takes over the default's webhooks, and nothing else of it", () => {
  const taken = made("revision=v2", "defaultRevision=true");
  const shared = taken.filter((each) =>
    made().some((other) => other["kind"] === each["kind"] && nameOf(other) === nameOf(each)),
  );
  expect(shared.map(nameOf)).toEqual(["cardea-injector", "cardea-validator"]);
  for (const each of shared)
    for (const webhook of each["webhooks"] as readonly JsonObject[])
      expect(valueAt(webhook, ["clientConfig", "service", "name"])).toBe("cardea-control-v2");
});

test("a revision's rights are to its own webhooks and Lease alone", () => {
  expect(rights("revision=v2")).toEqual(expect.arrayContaining(["cardea-injector-v2", "cardea-control-v2"]));
  expect(rights("revision=v2")).not.toContain("cardea-injector");
  expect(rights("revision=v2")).not.toContain("cardea-control");
  expect(rights("revision=v2", "defaultRevision=true")).toContain("cardea-injector");
  expect(rights()).not.toContain("*");
});

describe("the ConfigMap", () => {
  test("is what the control plane reads", () => {
    expect(readControl("mesh.trustDomain=shop.example", "mesh.bypassChecks=enforce")).toMatchObject({
      mesh: { trustDomain: "shop.example", rootNamespace: "mesh" },
      bypassChecks: "enforce",
      revision: null,
      serves: [null],
    });
    expect(readControl("revision=v2")).toMatchObject({ revision: "v2", serves: ["v2"] });
    expect(readControl("revision=v2", "defaultRevision=true")).toMatchObject({ serves: ["v2", null] });
  });

  test("is what injection reads, which sends sidecars to their own revision", () => {
    const faults: Fault[] = [];
    const [document] = parseYaml(data("revision=v2", "image=registry.example/c:1")["injection.yaml"]!, "i", faults);
    const settings = parseInjectSettings(document!, { file: "i", field: "", faults }, "container");
    expect(faults).toEqual([]);
    expect(settings).toMatchObject({
      image: "registry.example/c:1",
      controlAddress: "cardea-control-v2.mesh.svc:15012",
      sidecar: "container",
      excludedNamespaces: ["kube-system", "kube-public", "kube-node-lease", "mesh"],
    });
  });
});

test("pods are made anew when what they read once has changed, and not for an image of sidecars", () => {
  expect(mark("mesh.enforcement=AUDIT")).not.toBe(mark());
  expect(mark("injection.logLevel=debug")).toBe(mark());
});

test("the Service's ports are the container's, and none of a sidecar's", () => {
  const ports = valueAt(named(made(), "Service")[0], ["spec", "ports"]) as readonly JsonObject[];
  const open = valueAt(named(made(), "Deployment")[0], ["spec", "template", "spec", "containers", 0, "ports"]);
  expect(ports.map(({ targetPort }) => targetPort)).toEqual(
    (open as readonly JsonObject[]).map((each) => each["containerPort"]),
  );
  for (const { port } of ports) expect(Object.values(POD_PORTS)).not.toContain(port);
});

test("the control plane's container overrides neither the image's program nor what it starts it with", () => {
  const container = valueAt(named(made(), "Deployment")[0], [
    "spec",
    "template",
    "spec",
    "containers",
    0,
  ]) as JsonObject;
  expect(container["command"]).toBeUndefined();
  expect((container["env"] as readonly JsonObject[]).map(({ name }) => name)).toEqual([
    "CARDEA_POD_NAME",
    "CARDEA_POD_NAMESPACE",
  ]);
});
