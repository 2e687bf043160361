import type { JsonValue } from "../../core/json-value.ts";

/**
 * A manifest before its values are known: JSON in which expressions stand for values and for parts that may be left out.
 * `evaluate.ts` makes objects of it, `write-helm.ts` a template of a Helm chart: so both say the same.
 */
export type Template = string | number | boolean | null | readonly Template[] | TemplateMap | Expression;

export interface TemplateMap {
  readonly [key: string]: Template;
}

/** Carried by expressions alone, so that no manifest is taken for one. */
export const EXPRESSION = Symbol("expression");

export type Expression =
  | { readonly [EXPRESSION]: "value"; readonly path: string }
  /** The namespace that is installed to; Helm knows it as the release's. */
  | { readonly [EXPRESSION]: "namespace" }
  | { readonly [EXPRESSION]: "text"; readonly parts: readonly TextPart[] }
  /** A member of a map, or an item of a list, that is there under a condition alone. */
  | { readonly [EXPRESSION]: "when"; readonly condition: Condition; readonly content: Template }
  | {
      readonly [EXPRESSION]: "choose";
      readonly condition: Condition;
      readonly one: Template;
      readonly other: Template;
    }
  /** All items of a value that is a list, in the place of one item. */
  | { readonly [EXPRESSION]: "spread"; readonly path: string }
  /** A document as text within a document, as ConfigMaps hold them. */
  | { readonly [EXPRESSION]: "document"; readonly document: TemplateMap }
  /** SHA-256 of values, in hexadecimal digits. */
  | { readonly [EXPRESSION]: "digest"; readonly paths: readonly string[] };

/** What a text is put together of. Values in it are words by their type (values.ts): there is nothing to escape. */
export type TextPart =
  | string
  | Extract<Expression, { readonly [EXPRESSION]: "value" | "namespace" }>
  | { readonly [EXPRESSION]: "text-when"; readonly condition: Condition; readonly parts: readonly TextPart[] };

export type Condition =
  /** As Helm has it: neither empty, nor 0, nor false. */
  | { readonly is: "set"; readonly path: string }
  | { readonly is: "not"; readonly condition: Condition }
  | { readonly is: "any"; readonly conditions: readonly Condition[] };

export function value(path: string): Extract<Expression, { [EXPRESSION]: "value" }> {
  return { [EXPRESSION]: "value", path };
}

export const namespace: Extract<Expression, { [EXPRESSION]: "namespace" }> = { [EXPRESSION]: "namespace" };

export function text(...parts: readonly TextPart[]): Expression {
  return { [EXPRESSION]: "text", parts };
}

export function textWhen(condition: Condition, ...parts: readonly TextPart[]): TextPart {
  return { [EXPRESSION]: "text-when", condition, parts };
}

export function when(condition: Condition, content: Template): Expression {
  return { [EXPRESSION]: "when", condition, content };
}

/** The one where the condition holds, else the other. */
export function choose(condition: Condition, one: Template, other: Template): Expression {
  return { [EXPRESSION]: "choose", condition, one, other };
}

export function spread(path: string): Expression {
  return { [EXPRESSION]: "spread", path };
}

export function document(content: TemplateMap): Expression {
  return { [EXPRESSION]: "document", document: content };
}

export function digest(...paths: readonly string[]): Expression {
  return { [EXPRESSION]: "digest", paths };
}

export function isSet(path: string): Condition {
  return { is: "set", path };
}

export function not(condition: Condition): Condition {
  return { is: "not", condition };
}

export function any(...conditions: readonly Condition[]): Condition {
  return { is: "any", conditions };
}

export function isExpression(template: Template | undefined): template is Expression {
  return typeof template === "object" && template !== null && EXPRESSION in template;
}

export function isTemplateList(template: Template): template is readonly Template[] {
  return Array.isArray(template);
}

/**
 * Objects that are made elsewhere, of marks in the place of values, as templates: a text that is a mark becomes what the
 * mark stands for; where it stands within a text, a value takes its place there.
 */
export function lift(json: JsonValue, marks: ReadonlyMap<string, Template>): Template {
  if (typeof json === "string") return liftText(json, marks);
  if (Array.isArray(json)) return json.map((item: JsonValue) => lift(item, marks));
  if (typeof json !== "object" || json === null) return json;
  return Object.fromEntries(Object.entries(json).map(([key, item]) => [key, lift(item, marks)]));
}

function liftText(found: string, marks: ReadonlyMap<string, Template>): Template {
  const whole = marks.get(found);
  if (whole !== undefined) return whole;
  for (const [mark, meant] of marks) {
    const at = found.indexOf(mark);
    const isWord = isExpression(meant) && (meant[EXPRESSION] === "value" || meant[EXPRESSION] === "namespace");
    if (at < 0 || !isWord) continue;
    return text(found.slice(0, at), meant, found.slice(at + mark.length));
  }
  return found;
}
