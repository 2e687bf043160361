import { closestWord } from "./closest-word.ts";
import type { Fault, Located, LocatedEntry, Position } from "./located.ts";

/** Where a value stands: its file, its field's path, and the list that faults are added to. */
export interface Scope {
  readonly file: string;
  /** e.g. `spec.rules[0].from`; empty for the document itself. */
  readonly field: string;
  readonly faults: Fault[];
}

/**
 * Reads a located value into a T. Undefined means that it is not one, and that the scope's faults say why;
 * a schema goes on after a fault, so that one run names them all.
 */
export type Schema<T> = (value: Located, scope: Scope) => T | undefined;

/** What a schema reads. */
export type ValueOf<S> = S extends Schema<infer T> ? T : never;

/** A field of an object: its schema, and what stands for it when it is left out. */
export interface Field<T> {
  readonly schema: Schema<T>;
  readonly whenAbsent: { readonly is: "fault" } | { readonly is: "value"; readonly value: T };
}

type Fields = Readonly<Record<string, Field<unknown>>>;
type ObjectOf<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** A map with exactly these fields. Unknown, duplicate and missing ones are faults, with the closest known name. */
export function object<const F extends Fields>(fields: F): Schema<ObjectOf<F>> {
  const known = Object.keys(fields);
  return (value, scope) => {
    if (value.kind !== "map") return wrongType(value, scope, "a map");
    const faultsBefore = scope.faults.length;
    const given = entriesByKey(value.entries, scope);
    for (const entry of given.values()) {
      if (!Object.hasOwn(fields, entry.key)) addFault(scope, entry.keyAt, unknownField(entry.key, known), entry.key);
    }
    const result: Record<string, unknown> = {};
    for (const name of known) {
      const field = fields[name]!;
      const entry = given.get(name);
      if (entry !== undefined) result[name] = field.schema(entry.value, inner(scope, name));
      else if (field.whenAbsent.is === "value") result[name] = field.whenAbsent.value;
      else addFault(scope, value.at, "is required", name);
    }
    // No fault was added, so every field has read what its schema promises.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return scope.faults.length === faultsBefore ? (result as ObjectOf<F>) : undefined;
  };
}

export function required<T>(schema: Schema<T>): Field<T> {
  return { schema, whenAbsent: { is: "fault" } };
}

/** A field that may be left out, and is null then. Written out as `null` it is a fault like any wrong type. */
export function optional<T>(schema: Schema<T>): Field<T | null> {
  return { schema, whenAbsent: { is: "value", value: null } };
}

export function withDefault<T>(schema: Schema<T>, value: T): Field<T> {
  return { schema, whenAbsent: { is: "value", value } };
}

/** A list of at least `minCount` items (0 unless told) that each fit the schema. */
export function listOf<T>(item: Schema<T>, options: { minCount?: number } = {}): Schema<readonly T[]> {
  const minCount = options.minCount ?? 0;
  return (value, scope) => {
    if (value.kind !== "list") return wrongType(value, scope, "a list");
    if (value.items.length < minCount) return addFault(scope, value.at, emptyList(minCount));
    const items = value.items.map((each, i) => item(each, { ...scope, field: `${scope.field}[${i}]` }));
    return items.every((each) => each !== undefined) ? items : undefined;
  };
}

/** A map with any keys, whose values each fit the schema. */
export function mapOf<T>(item: Schema<T>): Schema<ReadonlyMap<string, T>> {
  return (value, scope) => {
    if (value.kind !== "map") return wrongType(value, scope, "a map");
    const faultsBefore = scope.faults.length;
    const result = new Map<string, T>();
    for (const [key, entry] of entriesByKey(value.entries, scope)) {
      const read = item(entry.value, { ...scope, field: `${scope.field}[${JSON.stringify(key)}]` });
      if (read !== undefined) result.set(key, read);
    }
    return scope.faults.length === faultsBefore ? result : undefined;
  };
}

/** A text; empty ones are faults unless allowed. Numbers and booleans are told to be put into quotes. */
export function string(options: { allowEmpty?: boolean } = {}): Schema<string> {
  return (value, scope) => {
    const found = value.kind === "scalar" ? value.value : undefined;
    if (typeof found !== "string") return wrongType(value, scope, "a string");
    if (found === "" && options.allowEmpty !== true) return addFault(scope, value.at, "must not be empty");
    return found;
  };
}

/** One of a few words, compared with case. */
export function oneOf<const T extends string>(...words: readonly T[]): Schema<T> {
  return (value, scope) => {
    const found = value.kind === "scalar" ? value.value : undefined;
    if (typeof found !== "string") return wrongType(value, scope, `one of ${words.join(", ")}`);
    const word = words.find((each) => each === found);
    if (word !== undefined) return word;
    const closest = closestWord(found, words);
    const hint = closest === null ? "" : `; did you mean \`${closest}\`?`;
    return addFault(scope, value.at, `expected one of ${words.join(", ")}, found ${quote(found)}${hint}`);
  };
}

export function boolean(): Schema<boolean> {
  return (value, scope) => {
    const found = value.kind === "scalar" ? value.value : undefined;
    return typeof found === "boolean" ? found : wrongType(value, scope, "true or false");
  };
}

/** A whole number within bounds, both included. */
export function integer(options: { min: number; max: number }): Schema<number> {
  const { min, max } = options;
  const expected = `a whole number from ${min} to ${max}`;
  return (value, scope) => {
    const found = value.kind === "scalar" ? value.value : undefined;
    if (typeof found !== "number" || !Number.isInteger(found)) return wrongType(value, scope, expected);
    return found >= min && found <= max ? found : addFault(scope, value.at, `expected ${expected}, found ${found}`);
  };
}

/** A number within bounds, both included. */
export function number(options: { min: number; max: number }): Schema<number> {
  const { min, max } = options;
  const expected = `a number from ${min} to ${max}`;
  return (value, scope) => {
    const found = value.kind === "scalar" ? value.value : undefined;
    if (typeof found !== "number" || !Number.isFinite(found)) return wrongType(value, scope, expected);
    return found >= min && found <= max ? found : addFault(scope, value.at, `expected ${expected}, found ${found}`);
  };
}

/**
 * A value of one schema, read further by a parser that throws on what it does not take
 * (an Error's message becomes the fault's).
 */
export function parsed<T, U>(schema: Schema<T>, parse: (value: T) => U): Schema<U> {
  return (value, scope) => {
    const first = schema(value, scope);
    if (first === undefined) return undefined;
    try {
      return parse(first);
    } catch (thrown) {
      return addFault(scope, value.at, thrown instanceof Error ? thrown.message : String(thrown));
    }
  };
}

/** A value together with the position that it was written at. */
export interface Placed<T> {
  readonly value: T;
  readonly at: Position | null;
  readonly field: string;
}

/** The schema's value, with where it was written. */
export function placed<T>(schema: Schema<T>): Schema<Placed<T>> {
  return (value, scope) => {
    const result = schema(value, scope);
    return result === undefined ? undefined : { value: result, at: value.at, field: scope.field };
  };
}

/** How a field that a later version reads is refused: by its name, and never passed over. */
export const NOT_YET = "is not yet supported";

/** A field that is known but not taken: its presence is a fault that says why. */
export function refused(why: string): Field<null> {
  return optional<null>((value, scope) => addFault(scope, value.at, why));
}

/** A field whose content does not concern us. */
export function ignored(): Field<null> {
  return optional<null>(() => null);
}

/** Adds a fault at a position; `name` is appended to the scope's field. Always undefined, to be returned. */
export function addFault(scope: Scope, at: Position | null, message: string, name = ""): undefined {
  const field = name === "" ? scope.field : inner(scope, name).field;
  scope.faults.push({ file: scope.file, line: at?.line ?? null, column: at?.column ?? null, field, message });
  return undefined;
}

/** A located value as plain JSON, positions dropped. Keys that would reach the prototype stay plain keys. */
export function plainOf(value: Located): unknown {
  if (value.kind === "scalar") return value.value;
  if (value.kind === "list") return value.items.map(plainOf);
  return Object.fromEntries(value.entries.map((entry) => [entry.key, plainOf(entry.value)]));
}

/** The value of a map's key, or null. For looking at a document before it is known which schema it has. */
export function lookUp(value: Located, key: string): Located | null {
  if (value.kind !== "map") return null;
  return value.entries.find((entry) => entry.key === key)?.value ?? null;
}

function entriesByKey(entries: readonly LocatedEntry[], scope: Scope): Map<string, LocatedEntry> {
  const byKey = new Map<string, LocatedEntry>();
  for (const entry of entries) {
    const first = byKey.get(entry.key);
    if (first === undefined) byKey.set(entry.key, entry);
    else
      addFault(
        scope,
        entry.keyAt,
        `is given twice${first.keyAt ? ` (first on line ${first.keyAt.line})` : ""}`,
        entry.key,
      );
  }
  return byKey;
}

function inner(scope: Scope, name: string): Scope {
  // A name with a dot of its own, like an annotation's, would be misread in a path.
  const step = /^[\w-]+$/.test(name) ? name : `[${JSON.stringify(name)}]`;
  const dot = scope.field === "" || step.startsWith("[") ? "" : ".";
  return { ...scope, field: `${scope.field}${dot}${step}` };
}

function unknownField(key: string, known: readonly string[]): string {
  const closest = closestWord(key, known);
  return closest === null
    ? `unknown field; known here: ${known.join(", ")}`
    : `unknown field; did you mean \`${closest}\`?`;
}

function emptyList(minCount: number): string {
  return minCount === 1
    ? "must not be an empty list: leave the field out, or name at least one"
    : `must have at least ${minCount} items`;
}

function wrongType(value: Located, scope: Scope, expected: string): undefined {
  return addFault(scope, value.at, `expected ${expected}, found ${describe(value)}`);
}

function describe(value: Located): string {
  if (value.kind !== "scalar") return value.kind === "map" ? "a map" : "a list";
  const found = value.value;
  if (found === null) return "nothing (null)";
  if (typeof found === "string") return `the text ${quote(found)}`;
  const quoted = `(as a string it is written "${found}")`;
  return typeof found === "number" ? `the number ${found} ${quoted}` : `the boolean ${found} ${quoted}`;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
