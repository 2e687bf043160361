import { type EditableDocument, parseEditableYaml, type YamlEdit } from "../../config/yaml-edit.ts";
import { isJsonList, isJsonObject, type JsonValue, memberOf } from "../../core/json-value.ts";
import type { Fault } from "../../core/located.ts";
import { injectPod } from "./inject-pod.ts";
import type { Injection, NamespaceFacts } from "./injection.ts";
import { type JsonPatch, pointerSteps } from "./json-patch.ts";
import { findPodTemplates, type JsonPath, type PodTemplate } from "./pod-templates.ts";
import type { InjectSettings } from "./settings.ts";

export interface Manifest {
  readonly file: string;
  readonly text: string;
}

export interface ManifestOptions {
  readonly settings: InjectSettings;
  /** Of objects that name none. */
  readonly namespace: string;
}

/** What became of one pod template of a file. */
export interface TemplateOutcome {
  readonly file: string;
  readonly template: PodTemplate;
  readonly injection: Injection;
}

export interface InjectedManifest {
  readonly file: string;
  /** As it was where nothing was to be done; comments and order stay. */
  readonly text: string;
}

export interface InjectedManifests {
  readonly manifests: readonly InjectedManifest[];
  readonly outcomes: readonly TemplateOutcome[];
}

/**
 * Files with every pod template injected that does not opt out; Namespace documents among them speak for their pods, in
 * whatever file they are. What cannot be read is added to the faults.
 */
export function injectManifests(
  manifests: readonly Manifest[],
  options: ManifestOptions,
  faults: Fault[],
): InjectedManifests {
  const parsed = manifests.map(({ file, text }) => ({ file, documents: parseManifest(text, file, faults) }));
  const namespaces = readNamespaces(parsed.flatMap(({ documents }) => documents.map(({ value }) => value)));
  const outcomes: TemplateOutcome[] = [];
  const injected = parsed.map(({ file, documents }) => {
    const texts = documents.map((document) => {
      const found = injectDocument(document.value, file, { ...options, namespaces });
      outcomes.push(...found.outcomes);
      return document.edited(found.edits, found.after, faults) ?? "";
    });
    return { file, text: texts.join("") };
  });
  return { manifests: injected, outcomes };
}

/** A file that begins with a bracket is JSON, in which comments cannot be, and which must stay JSON. */
function parseManifest(text: string, file: string, faults: Fault[]): readonly EditableDocument[] {
  const value = /^\s*[{[]/.test(text) ? tryJson(text) : undefined;
  if (value === undefined) return parseEditableYaml(text, file, faults);
  const indent = /^\s*[{[]\r?\n([ \t]+)/.exec(text)?.[1];
  return [
    { value, edited: (edits, after) => (edits.length === 0 ? text : `${JSON.stringify(after, null, indent)}\n`) },
  ];
}

function tryJson(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
}

interface InjectedDocument {
  readonly edits: readonly YamlEdit[];
  readonly after: JsonValue;
  readonly outcomes: readonly TemplateOutcome[];
}

interface DocumentOptions extends ManifestOptions {
  readonly namespaces: ReadonlyMap<string, NamespaceFacts>;
}

function injectDocument(document: JsonValue, file: string, options: DocumentOptions): InjectedDocument {
  const outcomes = findPodTemplates(document, options.namespace).map((template) => {
    const namespace = options.namespaces.get(template.namespace) ?? noWords(template.namespace);
    const injection = injectPod(template.pod, namespace, options.settings, { whenUnsaid: true });
    return { file, template, injection };
  });
  let after = document;
  const edits: YamlEdit[] = [];
  for (const { template, injection } of outcomes) {
    if (injection.kind !== "inject") continue;
    edits.push(...editsOf(injection.patch, template.path));
    after = replacedAt(after, template.path, injection.pod);
  }
  return { edits, after, outcomes };
}

function editsOf(patch: JsonPatch, at: JsonPath): readonly YamlEdit[] {
  return patch.map((each) => ({ ...each, steps: [...at.map(String), ...pointerSteps(each.path)] }));
}

function replacedAt(value: JsonValue, path: JsonPath, put: JsonValue): JsonValue {
  const [step, ...rest] = path;
  if (step === undefined) return put;
  if (isJsonList(value)) return value.map((item, index) => (index === step ? replacedAt(item, rest, put) : item));
  if (!isJsonObject(value)) return value;
  return { ...value, [step]: replacedAt(value[step]!, rest, put) };
}

function readNamespaces(documents: readonly JsonValue[]): ReadonlyMap<string, NamespaceFacts> {
  const all = documents.flatMap((document) => {
    const items = memberOf(document, "items");
    return isJsonList(items) ? [document, ...items] : [document];
  });
  return new Map(
    all.flatMap((each) => {
      if (memberOf(each, "kind") !== "Namespace" || memberOf(each, "apiVersion") !== "v1") return [];
      const metadata = memberOf(each, "metadata");
      const name = memberOf(metadata, "name");
      if (typeof name !== "string") return [];
      return [[name, { name, labels: textsIn(metadata, "labels"), annotations: textsIn(metadata, "annotations") }]];
    }),
  );
}

function textsIn(metadata: JsonValue | undefined, key: string): Readonly<Record<string, string>> {
  const value = memberOf(metadata, key);
  const entries = Object.entries(isJsonObject(value) ? value : {});
  return Object.fromEntries(entries.flatMap(([name, text]) => (typeof text === "string" ? [[name, text]] : [])));
}

function noWords(name: string): NamespaceFacts {
  return { name, labels: {}, annotations: {} };
}
