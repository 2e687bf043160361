import { type Fault, type Located, locatePlain } from "../../src/core/located.ts";

/** One field of a document, as its parser takes it. */
export interface SchemaField {
  /** e.g. `spec.rules[].from[].source.principals`. */
  readonly path: string;
  /** What the parser asks for, e.g. `a string`, `a list of a string`; null: any value is passed over. */
  readonly expects: string | null;
  readonly isRequired: boolean;
  /** Why a known field is not taken; null: it is taken. */
  readonly refusal: string | null;
}

type Parse = (document: Located, source: { readonly file: string }, faults: Fault[]) => unknown;

/**
 * All fields of a document, found by asking its parser: values of a wrong type make it say what it expected, an
 * unknown name makes it list the known ones. So the reference tells what the program does, not what a comment says.
 */
export function findSchemaFields(parse: Parse): SchemaField[] {
  return fieldsBelow(parse, "");
}

const UNKNOWN_NAME = "qqqqqqqqqqqqqqqq";

function fieldsBelow(parse: Parse, path: string): SchemaField[] {
  const names = knownNames(parse, path);
  const missing = faultsOf(parse, path, {});
  return names.flatMap((name) => {
    const fieldPath = path === "" ? name : `${path}.${name}`;
    const isRequired = missing.some((fault) => fault.field === concrete(fieldPath) && fault.message === "is required");
    return [{ path: fieldPath, isRequired, ...describeField(parse, fieldPath) }, ...fieldsInside(parse, fieldPath)];
  });
}

/** The fields of a map, or of a list's items when they are maps; none of a scalar. */
function fieldsInside(parse: Parse, path: string): SchemaField[] {
  if (expectationAt(parse, path) === "a map") return fieldsBelow(parse, path);
  if (expectationAt(parse, path) === "a list") return fieldsInside(parse, `${path}[]`);
  return [];
}

function describeField(parse: Parse, path: string): Pick<SchemaField, "expects" | "refusal"> {
  const expects = expectationAt(parse, path);
  if (expects === "a list") return { expects: `a list; each: ${describeItem(parse, `${path}[]`)}`, refusal: null };
  if (expects === "a map" && knownNames(parse, path).length === 0)
    return { expects: describeMap(parse, path), refusal: null };
  if (expects !== null) return { expects, refusal: null };
  const fault = faultsOf(parse, path, null).find((each) => each.field === concrete(path));
  return { expects: null, refusal: fault?.message ?? null };
}

function describeItem(parse: Parse, path: string): string {
  return expectationAt(parse, path) ?? "anything";
}

/** A map with free keys: what its values must be. */
function describeMap(parse: Parse, path: string): string {
  const inside = faultsOf(parse, path, { [UNKNOWN_NAME]: null }).find((fault) => fault.field.includes(UNKNOWN_NAME));
  const expected = inside === undefined ? null : /^expected (.+), found /.exec(inside.message)?.[1];
  return expected === undefined || expected === null ? "a map" : `a map; each value: ${expected}`;
}

/** Nothing fits a null but a field that may be written out as one; to such a one `true` is wrong. */
const WRONG_VALUES = [null, true];

function expectationAt(parse: Parse, path: string): string | null {
  for (const wrong of WRONG_VALUES) {
    const fault = faultsOf(parse, path, wrong).find((each) => each.field === concrete(path));
    const expected = /^expected (.+), found /.exec(fault?.message ?? "")?.[1];
    if (expected !== undefined) return expected;
  }
  return null;
}

function knownNames(parse: Parse, path: string): string[] {
  const place = path === "" ? UNKNOWN_NAME : `${concrete(path)}.${UNKNOWN_NAME}`;
  const fault = faultsOf(parse, path, { [UNKNOWN_NAME]: null }).find((each) => each.field === place);
  return /known here: (.+)$/.exec(fault?.message ?? "")?.[1]?.split(", ") ?? [];
}

/** Where a field is read only in the light of another one, that one. */
const NEEDED_BESIDE: Readonly<Record<string, object>> = { "spec.rules[].when[]": { key: "source.principal" } };

/** The faults that a document gets in which only the way to `path` and the value there are filled in. */
function faultsOf(parse: Parse, path: string, value: unknown): readonly Fault[] {
  const faults: Fault[] = [];
  parse(locatePlain(nest(path, value)), { file: "" }, faults);
  return faults;
}

function nest(path: string, value: unknown): unknown {
  if (path === "") return value;
  const steps = path.split(".");
  return steps.reduceRight<unknown>((inner, step, index) => {
    const lists = step.split("[]").length - 1;
    const wrapped = Array.from({ length: lists }).reduce<unknown>((item) => [item], inner);
    return { ...NEEDED_BESIDE[steps.slice(0, index).join(".")], [step.replaceAll("[]", "")]: wrapped };
  }, value);
}

/** The path as faults name it: `a[].b` is asked at its first item, `a[0].b`. */
function concrete(path: string): string {
  return path.replaceAll("[]", "[0]");
}
