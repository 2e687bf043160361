import { isJsonList, type JsonValue, memberOf } from "../../core/json-value.ts";
import type { Located, Position } from "../../core/located.ts";
import { plainOf } from "../../core/schema.ts";
import type { NamespaceFacts } from "../inject/injection.ts";
import { findPodTemplates, type PodTemplate } from "../inject/pod-templates.ts";
import type { InjectSettings } from "../inject/settings.ts";
import { type BypassFinding, type FieldPath, formatPath } from "./bypass-finding.ts";
import { bypassRulesOf, notAllowed } from "./bypass-mode.ts";
import { findBypasses } from "./find-bypasses.ts";
import { textMapOf } from "./pod-view.ts";

export interface ParsedManifest {
  readonly file: string;
  readonly documents: readonly Located[];
}

/** A finding with the place where it was written. */
export interface ManifestFinding extends Omit<BypassFinding, "path"> {
  readonly file: string;
  readonly line: number | null;
  readonly column: number | null;
  /** From the document, e.g. `spec.template.spec.hostNetwork`. */
  readonly field: string;
  /** `Deployment shop/ledger`. */
  readonly object: string;
}

export interface LintedManifests {
  readonly templates: readonly PodTemplate[];
  /** Objects of kind Service. */
  readonly services: readonly JsonValue[];
  readonly findings: readonly ManifestFinding[];
}

export interface LintOptions {
  readonly settings: InjectSettings;
  /** Of objects that name none. */
  readonly namespace: string;
}

/** Looks at the pod templates of all files; Namespaces among them speak for their pods, in whatever file they are. */
export function lintManifests(manifests: readonly ParsedManifest[], options: LintOptions): LintedManifests {
  const documents = manifests.flatMap(({ file, documents: all }) =>
    // What YAML says beyond JSON was refused when it was read.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    all.map((located) => ({ file, located, value: plainOf(located) as JsonValue })),
  );
  const objects = documents.flatMap(({ value }) => withItems(value));
  const namespaces = new Map(objects.filter(isKind("Namespace")).map((each) => [nameOf(each), factsOf(each)]));
  const found = documents.map(({ file, located, value }) => {
    const templates = findPodTemplates(value, options.namespace);
    const findings = templates.flatMap((template) => {
      const namespace = namespaces.get(template.namespace) ?? noWords(template.namespace);
      return lintTemplate(template, namespace, options).map((each) => placeFinding(each, template, { file, located }));
    });
    return { templates, findings };
  });
  return {
    templates: found.flatMap(({ templates }) => templates),
    services: objects.filter(isKind("Service")),
    findings: found.flatMap(({ findings }) => findings),
  };
}

function lintTemplate(
  { pod }: PodTemplate,
  namespace: NamespaceFacts,
  { settings }: LintOptions,
): readonly BypassFinding[] {
  const findings = findBypasses(pod, { namespace, settings, whenUnsaid: true, stage: "template" });
  return notAllowed(findings, bypassRulesOf(namespace, "audit"));
}

interface Source {
  readonly file: string;
  readonly located: Located;
}

function placeFinding(
  { path, ...finding }: BypassFinding,
  template: PodTemplate,
  { file, located }: Source,
): ManifestFinding {
  const whole = [...template.path, ...path];
  const at = positionOf(located, whole);
  const place = { file, line: at?.line ?? null, column: at?.column ?? null, field: formatPath(whole) };
  return { ...finding, ...place, object: `${template.kind} ${template.namespace}/${template.name}` };
}

/** Of the field, or of the nearest thing around it that was written. */
function positionOf(document: Located, path: FieldPath): Position | null {
  let found = document;
  let at = document.at;
  for (const step of path) {
    const next = stepInto(found, step);
    if (next === null) return at;
    found = next.value;
    at = next.at ?? at;
  }
  return at;
}

function stepInto(value: Located, step: string | number): { value: Located; at: Position | null } | null {
  if (value.kind === "list" && typeof step === "number") {
    const item = value.items[step];
    return item === undefined ? null : { value: item, at: item.at };
  }
  if (value.kind !== "map" || typeof step !== "string") return null;
  const entry = value.entries.find(({ key }) => key === step);
  return entry === undefined ? null : { value: entry.value, at: entry.keyAt };
}

function withItems(value: JsonValue): readonly JsonValue[] {
  const items = memberOf(value, "items");
  return isJsonList(items) ? [value, ...items] : [value];
}

function isKind(kind: string): (value: JsonValue) => boolean {
  return (value) => memberOf(value, "kind") === kind && memberOf(value, "apiVersion") === "v1";
}

function nameOf(object: JsonValue): string {
  const name = memberOf(memberOf(object, "metadata"), "name");
  return typeof name === "string" ? name : "";
}

function factsOf(object: JsonValue): NamespaceFacts {
  const metadata = memberOf(object, "metadata");
  return {
    name: nameOf(object),
    labels: textMapOf(metadata, "labels"),
    annotations: textMapOf(metadata, "annotations"),
  };
}

function noWords(name: string): NamespaceFacts {
  return { name, labels: {}, annotations: {} };
}
