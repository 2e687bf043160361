import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { injectManifests } from "../../../../src/control/inject/inject-manifest.ts";
import { findPodTemplates } from "../../../../src/control/inject/pod-templates.ts";
import { removeInjection } from "../../../../src/control/inject/remove-injection.ts";
import { DEFAULT_INJECT_SETTINGS } from "../../../../src/control/inject/settings.ts";
import { type JsonObject, type JsonValue, memberOf } from "../../../../src/core/json-value.ts";
import type { Fault } from "../../../../src/core/located.ts";
import { corpusPath } from "../../../support/corpus.ts";
import { withoutEmpty } from "../../../support/injected.ts";
import { mustInject } from "../../../support/injected.ts";
import { applyJsonPatch } from "../../../support/json-patch.ts";

const APPS = ["online-boutique", "bookinfo", "emojivoto", "sock-shop", "hotel-reservation"];
const SETTINGS = { settings: DEFAULT_INJECT_SETTINGS, namespace: "default" };

describe.skipIf(corpusPath("online-boutique") === null)("real applications (skipped without the shared corpus)", () => {
  const files = APPS.flatMap((app) => manifestsIn(corpusPath(app)!));

  test("there are some dozens of manifests", () => {
    expect(files.length).toBeGreaterThan(60);
    expect(
      files.flatMap(({ text }) => documentsIn(text).flatMap((each) => findPodTemplates(each))).length,
    ).toBeGreaterThan(60);
  });

  test.each(files)("$file: all of it is injected, nothing else is changed, and twice is as once", ({ file, text }) => {
    const once = injectText(file, text);
    expect(once.faults).toEqual([]);
    expect(once.kinds.filter((kind) => kind !== "inject")).toEqual([]);
    expect(documentsIn(once.text).map(withoutOurs)).toEqual(documentsIn(text).map(withoutEmpty));
    expect(injectText(file, once.text).text).toBe(once.text);
  });

  test.each(files)("$file: every comment is still there, in order", ({ file, text }) => {
    expect(commentsIn(injectText(file, text).text)).toEqual(commentsIn(text));
  });

  test.each(files)("$file: as a plain container, too", ({ text }) => {
    for (const pod of podsIn(text)) holdsFor(pod, "container");
  });

  test.each(files)("$file: the patch gives what files get", ({ text }) => {
    for (const pod of podsIn(text)) holdsFor(pod, "native");
  });
});

const OBJECTS = corpusPath("kubernetes-api-objects");

describe.skipIf(OBJECTS === null)("objects with every field of the API set (skipped without the shared corpus)", () => {
  const files = OBJECTS === null ? [] : manifestsIn(OBJECTS).filter(({ text }) => podsIn(text).length > 0);

  test("there is one of each kind that brings pods", () => {
    const kinds = files.flatMap(({ text }) => documentsIn(text).map((each) => memberOf(each, "kind")));
    expect(kinds.toSorted(byText)).toEqual([
      "CronJob",
      "DaemonSet",
      "Deployment",
      "Job",
      "Pod",
      "PodTemplate",
      "StatefulSet",
    ]);
  });

  test.each(files)("$file: no field is lost or changed", ({ text }) => {
    for (const pod of podsIn(text)) holdsFor(inNetworkOfItsOwn(pod), "native");
  });
});

function byText(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

/** The generator gives all containers one name, and every pod its node's network. */
function inNetworkOfItsOwn(pod: JsonValue): JsonValue {
  const { spec, ...rest } = pod as { spec: Record<string, JsonObject[]> };
  const initContainers = spec["initContainers"]!.map((each, index) => ({ ...each, name: `init-${index}` }));
  return { ...rest, spec: { ...spec, initContainers, hostNetwork: false } };
}

/** What the API server would make of the patch is what was meant; without our parts it is the original; twice is once. */
function holdsFor(pod: JsonValue, sidecar: "native" | "container"): void {
  const once = mustInject(pod, { sidecar });
  expect(applyJsonPatch(pod, once.patch)).toEqual(once.pod);
  expect(withoutEmpty(removeInjection(once.pod).pod)).toEqual(withoutEmpty(pod));
  expect(mustInject(once.pod, { sidecar }).patch).toEqual([]);
}

function injectText(file: string, text: string) {
  const faults: Fault[] = [];
  const { manifests, outcomes } = injectManifests([{ file, text }], SETTINGS, faults);
  return { text: manifests[0]!.text, faults, kinds: outcomes.map(({ injection }) => injection.kind) };
}

function withoutOurs(document: JsonValue): JsonValue {
  const given = findPodTemplates(document).reduce<JsonValue>((whole, { path, pod }) => {
    const { pod: removed } = removeInjection(pod as JsonObject);
    return path.length === 0
      ? removed
      : applyJsonPatch(whole, [{ op: "replace", path: `/${path.join("/")}`, value: removed }]);
  }, document);
  return withoutEmpty(given);
}

function podsIn(text: string): readonly JsonValue[] {
  return documentsIn(text).flatMap((each) => findPodTemplates(each).map(({ pod }) => pod));
}

function documentsIn(text: string): readonly JsonValue[] {
  const documents = parseAllDocuments(text, { merge: true });
  return Array.isArray(documents) ? documents.map((each) => each.toJS() as JsonValue) : [];
}

/** Comments alone on their line, and those behind something; none of the manifests has a # in a text. */
function commentsIn(text: string): readonly string[] {
  return text.split("\n").flatMap((line) => /(?:^|\s)(#.*?)\s*$/.exec(line)?.[1] ?? []);
}

function manifestsIn(directory: string): readonly { readonly file: string; readonly text: string }[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((path) => /\.(?:ya?ml|json)$/.test(path))
    .toSorted()
    .map((path) => ({ file: path.split("/").at(-1)!, text: readFileSync(join(directory, path), "utf8") }));
}
