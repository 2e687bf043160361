import { parseYaml } from "../../config/yaml.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../core/json-value.ts";
import { type Fault, type Located, locatePlain } from "../../core/located.ts";
import { addFault, object, optional, plainOf, type Schema } from "../../core/schema.ts";
import { DEFAULT_VALUES, HA_PROFILE, joinValues, treeOf, VALUE_TABLE } from "./values.ts";

export type Profile = "default" | "ha";

/** Where values come from, each above the one before: profile, files, then single values. */
export interface ValueSources {
  readonly profile: Profile;
  readonly files: readonly { readonly file: string; readonly text: string }[];
  /** `path=value` each. */
  readonly sets: readonly string[];
}

/** All values of an installation, or null with every fault added. */
export function parseValues({ profile, files, sets }: ValueSources, faults: Fault[]): JsonObject | null {
  const faultsBefore = faults.length;
  const layers = [
    ...files.flatMap(({ file, text }) => readFile(file, text, faults)),
    ...sets.flatMap((each) => readSet(each, faults)),
  ];
  if (faults.length > faultsBefore) return null;
  const start = profile === "ha" ? joinValues(DEFAULT_VALUES, treeOf(HA_PROFILE)) : DEFAULT_VALUES;
  const values = layers.reduce(joinValues, start);
  if (values["defaultRevision"] === true && values["revision"] === "") {
    const message = "goes with a revision: an installation without one is the default already";
    faults.push({ file: "values", line: null, column: null, field: "defaultRevision", message });
    return null;
  }
  return values;
}

function readFile(file: string, text: string, faults: Fault[]): readonly JsonObject[] {
  // A file that sets nothing is what `helm show values` leaves of one in which all is commented out.
  if (/^(?:\s*(?:#.*)?(?:\n|$))*$/.test(text)) return [];
  const documents = parseYaml(text, file, faults);
  return documents.flatMap((document) => readLayer(document, file, faults));
}

/** `control.replicas=3`, `mesh.trustDomainAliases={a.example,b.example}`. */
function readSet(text: string, faults: Fault[]): readonly JsonObject[] {
  const at = text.indexOf("=");
  const path = text.slice(0, Math.max(at, 0)).trim();
  if (at < 0 || path === "") {
    const message = `expected path=value, as control.replicas=3, found ${JSON.stringify(text)}`;
    faults.push({ file: "--set", line: null, column: null, field: "", message });
    return [];
  }
  const tree = treeOf({ [path]: readWord(path, text.slice(at + 1)) });
  return readLayer(locatePlain(tree), "--set", faults);
}

/** Numbers and booleans where they are asked for: `--set revision=1` means a text. */
function readWord(path: string, word: string): JsonValue {
  const json = VALUE_TABLE[path]?.type.json["type"];
  if (json === "integer" && /^\d{1,9}$/.test(word)) return Number(word);
  if (json === "boolean" && (word === "true" || word === "false")) return word === "true";
  if (json === "array" && word.startsWith("{") && word.endsWith("}"))
    return word === "{}" ? [] : word.slice(1, -1).split(",");
  return word;
}

function readLayer(located: Located, file: string, faults: Fault[]): readonly JsonObject[] {
  const scope = { file, field: "", faults };
  if (SCHEMA(located, scope) === undefined) return [];
  const plain = plainOf(located) as JsonValue;
  if (isJsonObject(plain)) return [plain];
  addFault(scope, located.at, "expected a map");
  return [];
}

/** Every value may be left out. */
const SCHEMA = schemaOf("");

function schemaOf(prefix: string): Schema<unknown> {
  const names = new Set(
    Object.keys(VALUE_TABLE)
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length).split(".")[0]!),
  );
  const fields = [...names].map((name) => {
    const path = `${prefix}${name}`;
    return [name, optional(VALUE_TABLE[path]?.type.schema ?? schemaOf(`${path}.`))] as const;
  });
  return object(Object.fromEntries(fields));
}
