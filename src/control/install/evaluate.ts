import { createHash } from "node:crypto";
import { formatYaml } from "../../config/yaml-write.ts";
import { isJsonList, isJsonObject, type JsonObject, type JsonValue, valueAt } from "../../core/json-value.ts";
import {
  type Condition,
  EXPRESSION,
  type Expression,
  isExpression,
  isTemplateList,
  type Template,
  type TemplateMap,
  type TextPart,
} from "./template.ts";

/** What expressions are about. */
export interface Situation {
  /** Complete: a path that leads nowhere is a bug. */
  readonly values: JsonObject;
  readonly namespace: string;
}

/** A manifest's object; null: its condition does not hold. */
export function evaluate(template: Template, situation: Situation): JsonObject | null {
  const found = evaluateAny(template, situation);
  if (found === LEFT_OUT) return null;
  if (!isJsonObject(found)) throw new Error("a manifest is a map");
  return found;
}

const LEFT_OUT = Symbol("left out");

function evaluateAny(template: Template, situation: Situation): JsonValue | typeof LEFT_OUT {
  if (isExpression(template)) return evaluateExpression(template, situation);
  if (typeof template !== "object" || template === null) return template;
  if (isTemplateList(template)) return evaluateList(template, situation);
  return evaluateMap(template, situation);
}

function evaluateList(template: readonly Template[], situation: Situation): JsonValue {
  return template.flatMap((item): readonly JsonValue[] => {
    if (isExpression(item) && item[EXPRESSION] === "spread") return listAt(item.path, situation);
    const found = evaluateAny(item, situation);
    return found === LEFT_OUT ? [] : [found];
  });
}

function evaluateMap(template: TemplateMap, situation: Situation): JsonObject {
  const entries = Object.entries(template).flatMap(([key, item]) => {
    const found = evaluateAny(item, situation);
    return found === LEFT_OUT ? [] : [[key, found] as const];
  });
  return Object.fromEntries(entries);
}

function evaluateExpression(expression: Expression, situation: Situation): JsonValue | typeof LEFT_OUT {
  switch (expression[EXPRESSION]) {
    case "value":
      return lookUp(expression.path, situation);
    case "namespace":
      return situation.namespace;
    case "text":
      return textOf(expression.parts, situation);
    case "when":
      return holds(expression.condition, situation) ? evaluateAny(expression.content, situation) : LEFT_OUT;
    case "choose":
      return evaluateAny(holds(expression.condition, situation) ? expression.one : expression.other, situation);
    case "spread":
      throw new Error("a list is spread within a list only");
    case "document":
      return formatYaml([evaluateMap(expression.document, situation)]);
    case "digest":
      return digestOf(expression.paths.map((path) => lookUp(path, situation)));
  }
}

/** Whether a condition holds. */
export function holds(condition: Condition, situation: Situation): boolean {
  switch (condition.is) {
    case "set":
      return isTruthy(lookUp(condition.path, situation));
    case "not":
      return !holds(condition.condition, situation);
    case "any":
      return condition.conditions.some((each) => holds(each, situation));
  }
}

/** text/template, "Actions": the empty values. */
function isTruthy(found: JsonValue): boolean {
  if (isJsonList(found)) return found.length > 0;
  if (isJsonObject(found)) return Object.keys(found).length > 0;
  return found !== "" && found !== 0 && found !== false && found !== null;
}

function textOf(parts: readonly TextPart[], situation: Situation): string {
  return parts
    .map((part) => {
      if (typeof part === "string") return part;
      if (part[EXPRESSION] === "text-when")
        return holds(part.condition, situation) ? textOf(part.parts, situation) : "";
      return part[EXPRESSION] === "namespace" ? situation.namespace : wordAt(part.path, situation);
    })
    .join("");
}

function lookUp(path: string, { values }: Situation): JsonValue {
  const found = valueAt(values, path.split("."));
  if (found === undefined) throw new Error(`there is no value ${path}`);
  return found;
}

function wordAt(path: string, situation: Situation): string {
  const found = lookUp(path, situation);
  if (typeof found !== "string") throw new Error(`the value ${path} is no word`);
  return found;
}

function listAt(path: string, situation: Situation): readonly JsonValue[] {
  const found = lookUp(path, situation);
  if (!isJsonList(found)) throw new Error(`the value ${path} is no list`);
  return found;
}

function digestOf(values: readonly JsonValue[]): string {
  return createHash("sha256").update(goJson(values)).digest("hex");
}

/** As Go's encoding/json writes it: keys sorted, and what HTML would misread escaped. */
function goJson(found: JsonValue): string {
  if (isJsonList(found)) return `[${found.map(goJson).join(",")}]`;
  if (isJsonObject(found)) {
    const keys = Object.keys(found).toSorted();
    return `{${keys.map((key) => `${goText(key)}:${goJson(found[key]!)}`).join(",")}}`;
  }
  return typeof found === "string" ? goText(found) : JSON.stringify(found);
}

function goText(found: string): string {
  return JSON.stringify(found).replaceAll(/[<>&\u2028\u2029]/g, (sign) => {
    return `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
