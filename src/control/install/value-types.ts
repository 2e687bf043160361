import { TOKEN_AUDIENCE } from "../../config/kube-control-config.ts";
import type { JsonObject } from "../../core/json-value.ts";
import { boolean, integer, listOf, mapOf, oneOf, parsed, plainOf, type Schema, string } from "../../core/schema.ts";
import { parseQuantity } from "../inject/quantity.ts";

/** What a value may be: for our own check, and for Helm's. */
export interface ValueType {
  readonly schema: Schema<unknown>;
  /** JSON Schema, draft 7. */
  readonly json: JsonObject;
  /** For people. */
  readonly takes: string;
}

/** One of the things that make up names or stand within texts of manifests: nothing in it needs to be escaped. */
export function word(pattern: RegExp, takes: string): ValueType {
  const schema = parsed(string({ allowEmpty: true }), (text) => {
    if (pattern.test(text)) return text;
    throw new Error(`expected ${takes}, found ${JSON.stringify(text)}`);
  });
  return { schema, json: { type: "string", pattern: pattern.source }, takes };
}

/** A block of addresses; whether it is one is the control plane's to say. */
export const CIDR_WORD: ValueType = word(/^[0-9A-Fa-f.:]{2,39}(\/\d{1,3})?$/, "a block of addresses, as 10.0.0.0/8");

export function choice(...words: readonly string[]): ValueType {
  return { schema: oneOf(...words), json: { type: "string", enum: words }, takes: words.join(", ") };
}

export const FLAG: ValueType = { schema: boolean(), json: { type: "boolean" }, takes: "true or false" };

export function whole(min: number, max: number): ValueType {
  const json = { type: "integer", minimum: min, maximum: max };
  return { schema: integer({ min, max }), json, takes: `${min} to ${max}` };
}

export function list(item: ValueType): ValueType {
  const json = { type: "array", items: item.json };
  return { schema: listOf(item.schema), json, takes: `a list; each: ${item.takes}` };
}

export const TEXT_MAP: ValueType = {
  schema: mapOf(string({ allowEmpty: true })),
  json: { type: "object", additionalProperties: { type: "string" } },
  takes: "a map of texts",
};

/** Passed on as they are: the API server knows their fields better than we. */
export const OBJECTS: ValueType = {
  schema: listOf(mapOf<unknown>((each) => plainOf(each) ?? null)),
  json: { type: "array", items: { type: "object" } },
  takes: "a list of maps",
};

const QUANTITY_PATTERN = String.raw`^(\d{1,18}(\.\d{0,9})?|\.\d{1,9})([eE][+-]?\d{1,2}|n|u|m|k|[MGTPE]i?|Ki)?$`;

export const QUANTITY: ValueType = {
  schema: parsed(string(), (text) => {
    parseQuantity(text);
    return text;
  }),
  json: { type: "string", pattern: QUANTITY_PATTERN },
  takes: "a quantity, as 100m or 128Mi",
};

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

export const NAME = word(LABEL, "a name of a-z, 0-9 and -");
/** It becomes part of names that may have 63 characters. */
export const REVISION = word(/^([a-z]([-a-z0-9]{0,30}[a-z0-9])?)?$/, "a name of a-z, 0-9 and -, or nothing");
export const DOMAIN = word(/^[a-z0-9]([-._a-z0-9]{0,253}[a-z0-9])?$/, "a domain of a-z, 0-9, -, _ and .");
export const IMAGE = word(/^[a-zA-Z0-9][-._:/@a-zA-Z0-9]{0,500}$/, "an image, as registry/name:tag");
export const AUDIENCE = word(/^[-._:/a-zA-Z0-9]{1,253}$/, `an audience, as ${TOKEN_AUDIENCE}`);
export const PROGRAM_WORD = word(/^[-._/a-zA-Z0-9]{1,253}$/, "a word of a command");
