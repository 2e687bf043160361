import { parseMesh } from "../../src/config/mesh.ts";
import { type Fault, locatePlain } from "../../src/core/located.ts";
import { ATTRIBUTE_TABLE } from "../../src/policy/attributes.ts";
import { parseAuthorizationPolicy } from "../../src/policy/document.ts";
import { DEFAULT_MESH_SETTINGS } from "../../src/policy/mesh-settings.ts";
import { MESH_FIELD_DEFAULTS, MESH_FIELD_MEANINGS, POLICY_FIELD_MEANINGS } from "./field-meanings.ts";
import { page, table } from "./markdown-page.ts";
import { findSchemaFields, type SchemaField } from "./schema-fields.ts";

/** docs/reference/mesh-file.md */
export function meshFilePage(): string {
  const fields = findSchemaFields(parseMesh);
  const meaningOf = meaningsFor(fields, MESH_FIELD_MEANINGS, (path) => path);
  const rows = fields.map((field) => [
    `\`${field.path}\``,
    expectationText(field),
    field.isRequired ? "required" : defaultText(field.path),
    meaningOf(field.path),
  ]);
  const intro = [
    "What `cardea up FILE` reads: YAML or JSON. Faults are told all at once, with file, line, column and field; a field that",
    "is not listed here is a fault.",
  ];
  return page("The mesh file", "src/config/mesh.ts", intro, [
    table(["field", "takes", "when left out", "meaning"], rows),
  ]);
}

/** docs/reference/policy-fields.md */
export function policyFieldsPage(): string {
  const all = findSchemaFields(parseAuthorizationPolicy);
  // What kubectl adds by itself would only be noise here.
  const fields = all.filter((field) => field.expects !== null || field.refusal !== null);
  const meaningOf = meaningsFor(fields, POLICY_FIELD_MEANINGS, withoutNot);
  const rows = fields.map((field) => [
    `\`${field.path}\``,
    expectationText(field),
    supportText(field),
    meaningOf(field.path),
  ]);
  const intro = [
    "AuthorizationPolicy of `security.istio.io/v1`, as this version reads it. Files may hold several documents. A field that is",
    "not listed here is a fault, and so is a listed one that is not supported: a policy is never taken in part.",
    "Where decisions differ from Istio's: [differences from Istio](../guides/differences-from-istio.md).",
  ];
  const keys = conditionKeys().map((key) => `\`${key}\``);
  return page("Policy fields", "src/policy/", intro, [
    table(["field", "takes", "", "meaning"], rows),
    `## Keys of \`when\`\n\n${keys.join(", ")}.`,
  ]);
}

function meaningsFor(
  fields: readonly SchemaField[],
  meanings: Readonly<Record<string, string>>,
  nameOf: (path: string) => string,
): (path: string) => string {
  const known = new Set(fields.map((field) => nameOf(field.path)));
  const stale = Object.keys(meanings).filter((path) => !known.has(path) && path !== "status");
  const missing = [...known].filter((path) => meanings[path] === undefined);
  if (stale.length > 0 || missing.length > 0)
    throw new Error(
      `test/support/field-meanings.ts: no such field: ${stale.join(", ")}; not described: ${missing.join(", ")}`,
    );
  return (path) => (nameOf(path) === path ? meanings[path]! : `The opposite of \`${lastName(nameOf(path))}\`.`);
}

/** `….notPrincipals` → `….principals`, whose opposite it is. `notValues` has a meaning of its own. */
function withoutNot(path: string): string {
  const match = /^(.*\.)not([A-Z])(\w+)$/.exec(path);
  return match === null || path.endsWith(".notValues") ? path : `${match[1]}${match[2]!.toLowerCase()}${match[3]}`;
}

function lastName(path: string): string {
  return path.split(".").at(-1)!;
}

function expectationText(field: SchemaField): string {
  if (field.expects === null) return "";
  const single = /^one of (\S+)$/.exec(field.expects)?.[1];
  return single === undefined ? field.expects : `\`${single}\``;
}

function supportText(field: SchemaField): string {
  if (field.refusal !== null) return field.refusal;
  return field.isRequired ? "required" : "";
}

function defaultText(path: string): string {
  const told = MESH_FIELD_DEFAULTS[path];
  if (told !== undefined) return told;
  const document = { apiVersion: "cardea.dev/v1", kind: "Mesh", metadata: { name: "m" }, spec: {} };
  const mesh = parseMesh(locatePlain(document), { file: "" }, []);
  const name = path.replace("spec.", "").replace("workloadCertTtlSec", "certTtlSec");
  const values: Readonly<Record<string, unknown>> = { ...DEFAULT_MESH_SETTINGS, ...mesh };
  const value = path.startsWith("spec.") && Object.hasOwn(values, name) ? values[name] : null;
  return typeof value === "string" || typeof value === "number" ? `\`${value}\`` : "";
}

/** The keys that a condition may have, found by asking the parser. */
function conditionKeys(): string[] {
  return [
    ...Object.keys(ATTRIBUTE_TABLE),
    "request.headers[NAME]",
    "request.headers[:method]",
    "request.headers[:authority]",
  ].filter(isConditionKey);
}

function isConditionKey(key: string): boolean {
  const faults: Fault[] = [];
  const document = {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "p" },
    spec: { rules: [{ when: [{ key, values: ["1"] }] }] },
  };
  parseAuthorizationPolicy(locatePlain(document), { file: "" }, faults);
  return !faults.some((fault) => fault.field.endsWith(".key"));
}
