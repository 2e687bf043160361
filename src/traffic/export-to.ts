import { addFault, listOf, type Schema, string } from "../core/schema.ts";

/** The namespaces whose clients a document is for; null: all. `.` has become the document's own. */
export type ExportTo = readonly string[] | null;

/** `exportTo` as it is written: `*`, `.`, or names of namespaces. */
export const EXPORT_TO: Schema<readonly string[]> = (value, scope) => {
  const names = listOf(string(), { minCount: 1 })(value, scope);
  for (const name of names ?? []) {
    const isNamespace = name.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name);
    if (!isNamespace && name !== "*" && name !== ".")
      return addFault(scope, value.at, `expected *, . or a namespace, found ${JSON.stringify(name)}`);
  }
  if (names?.includes("*") === true && names.length > 1)
    return addFault(scope, value.at, "* says all there is to say: no other name may stand beside it");
  return names;
};

export function exportToOf(written: readonly string[] | null, namespace: string): ExportTo {
  if (written === null || written.includes("*")) return null;
  return written.map((name) => (name === "." ? namespace : name));
}

export function isExportedTo(exportTo: ExportTo, namespace: string): boolean {
  return exportTo === null || exportTo.includes(namespace);
}
