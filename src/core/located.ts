/** Where something stands in a file: both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/**
 * A document's value that remembers where it was written. YAML and JSON files become this (config/yaml.ts);
 * a document that came over the wire has no positions (`locatePlain`). Schemas read nothing else.
 */
export type Located =
  | { readonly kind: "map"; readonly at: Position | null; readonly entries: readonly LocatedEntry[] }
  | { readonly kind: "list"; readonly at: Position | null; readonly items: readonly Located[] }
  | { readonly kind: "scalar"; readonly at: Position | null; readonly value: string | number | boolean | null };

export interface LocatedEntry {
  readonly key: string;
  readonly keyAt: Position | null;
  readonly value: Located;
}

/** One fault of a document, ready to be printed as `file:line:column: field: message`. */
export interface Fault {
  readonly file: string;
  readonly line: number | null;
  readonly column: number | null;
  /** Path of the field, e.g. `spec.rules[0].from[1].source.principals`; empty for the document itself. */
  readonly field: string;
  /** What is wrong and what was expected. */
  readonly message: string;
}

/** `file:line:column: field: message`, leaving out what is not known. */
export function formatFault(fault: Fault): string {
  const place = fault.line === null ? fault.file : `${fault.file}:${fault.line}:${fault.column ?? 1}`;
  return fault.field === "" ? `${place}: ${fault.message}` : `${place}: ${fault.field}: ${fault.message}`;
}

/** A plain JSON value as a located one without positions. Throws nothing; what JSON has not becomes null. */
export function locatePlain(value: unknown): Located {
  if (Array.isArray(value)) return { kind: "list", at: null, items: value.map(locatePlain) };
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(([key, inner]) => ({ key, keyAt: null, value: locatePlain(inner) }));
    return { kind: "map", at: null, entries };
  }
  const isScalar = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
  return { kind: "scalar", at: null, value: isScalar ? value : null };
}
