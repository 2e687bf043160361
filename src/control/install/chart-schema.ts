import type { JsonObject } from "../../core/json-value.ts";
import { VALUE_TABLE } from "./values.ts";

/** values.schema.json, by which Helm checks values before it renders them. */
export function chartSchema(): JsonObject {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Values of Cardea",
    ...objectSchema("", { global: { type: "object" } }),
    // A revision alone can be made the default one: an installation without a name is.
    anyOf: [
      { properties: { defaultRevision: { const: false } } },
      { properties: { revision: { minLength: 1 } }, required: ["revision"] },
    ],
  };
}

function objectSchema(prefix: string, more: JsonObject = {}): JsonObject {
  const names = new Set(
    Object.keys(VALUE_TABLE)
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length).split(".")[0]!),
  );
  const properties = [...names].map((name) => {
    const found = VALUE_TABLE[`${prefix}${name}`];
    if (found === undefined) return [name, objectSchema(`${prefix}${name}.`)] as const;
    return [name, { description: found.means, ...found.type.json }] as const;
  });
  return {
    type: "object",
    additionalProperties: false,
    properties: { ...Object.fromEntries(properties), ...more },
  };
}
