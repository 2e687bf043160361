import {
  type Condition,
  EXPRESSION,
  isExpression,
  isTemplateList,
  type Template,
  type TemplateMap,
  type TextPart,
} from "./template.ts";

/** Manifests as a file of a chart's templates. */
export function writeHelm(templates: readonly Template[], heading: readonly string[]): string {
  const comments = heading.map((line) => `# ${line}`);
  const documents = templates.map((template) => documentLines(template));
  return [...comments, ...documents.flat(), ""].join("\n");
}

function documentLines(template: Template): readonly string[] {
  if (isExpression(template)) {
    if (template[EXPRESSION] !== "when") throw new Error("a manifest is a map, perhaps under a condition");
    return [`{{- if ${written(template.condition)} }}`, ...documentLines(template.content), "{{- end }}"];
  }
  return ["---", ...blockLines(template, 0)];
}

function blockLines(template: Template, indent: number): readonly string[] {
  if (isExpression(template) || typeof template !== "object" || template === null)
    throw new Error("a block is a map or a list");
  return isTemplateList(template) ? listLines(template, indent) : mapLines(template, indent);
}

function mapLines(template: TemplateMap, indent: number): readonly string[] {
  return Object.entries(template).flatMap(([key, item]) => memberLines(key, item, indent));
}

function memberLines(key: string, item: Template, indent: number): readonly string[] {
  const head = `${" ".repeat(indent)}${quotedKey(key)}:`;
  if (isExpression(item)) {
    switch (item[EXPRESSION]) {
      case "when":
        return conditional(item.condition, memberLines(key, item.content, indent));
      case "choose":
        return alternatives(
          item.condition,
          [item.one, item.other].map((each) => memberLines(key, each, indent)),
        );
      case "document":
        return [`${head} |`, ...mapLines(item.document, indent + 2)];
      case "value":
      case "namespace":
      case "text":
      case "spread":
      case "digest":
        return [`${head} ${inline(item)}`];
    }
  }
  if (isBlock(item)) return [head, ...blockLines(item, isTemplateList(item) ? indent : indent + 2)];
  return [`${head} ${inline(item)}`];
}

function listLines(items: readonly Template[], indent: number): readonly string[] {
  return items.flatMap((item) => itemLines(item, indent));
}

function itemLines(item: Template, indent: number): readonly string[] {
  const dash = `${" ".repeat(indent)}- `;
  if (isExpression(item)) {
    switch (item[EXPRESSION]) {
      case "when":
        return conditional(item.condition, itemLines(item.content, indent));
      case "choose":
        return alternatives(
          item.condition,
          [item.one, item.other].map((each) => itemLines(each, indent)),
        );
      case "spread":
        return [`{{- range .Values.${item.path} }}`, `${dash}{{ toJson . }}`, "{{- end }}"];
      case "value":
      case "namespace":
      case "text":
      case "document":
      case "digest":
        return [`${dash}${inline(item)}`];
    }
  }
  if (!isBlock(item)) return [`${dash}${inline(item)}`];
  const [first, ...rest] = blockLines(item, indent + 2);
  if (first!.startsWith("{{")) throw new Error("the first member of a list's item is always there");
  return [`${dash}${first!.slice(indent + 2)}`, ...rest];
}

function conditional(condition: Condition, lines: readonly string[]): readonly string[] {
  return [`{{- if ${written(condition)} }}`, ...lines, "{{- end }}"];
}

function alternatives(condition: Condition, [one, other]: readonly (readonly string[])[]): readonly string[] {
  return [`{{- if ${written(condition)} }}`, ...one!, "{{- else }}", ...other!, "{{- end }}"];
}

/** With something in it; `{}` and `[]` stand on their key's line. */
function isBlock(item: Template): boolean {
  return typeof item === "object" && item !== null && !isExpression(item) && Object.keys(item).length > 0;
}

function inline(item: Template): string {
  if (!isExpression(item)) return literal(item);
  switch (item[EXPRESSION]) {
    case "value":
      return `{{ toJson .Values.${item.path} }}`;
    case "namespace":
      return "{{ toJson .Release.Namespace }}";
    case "text":
      return `"${item.parts.map(textPart).join("")}"`;
    case "digest":
      return `{{ list ${item.paths.map((path) => `.Values.${path}`).join(" ")} | toJson | sha256sum | quote }}`;
    case "when":
    case "choose":
    case "spread":
    case "document":
      throw new Error(`${item[EXPRESSION]} does not fit on a line`);
  }
}

function textPart(part: TextPart): string {
  if (typeof part === "string") return literal(part).slice(1, -1);
  switch (part[EXPRESSION]) {
    case "namespace":
      return "{{ .Release.Namespace }}";
    case "value":
      return `{{ .Values.${part.path} }}`;
    case "text-when":
      return `{{ if ${written(part.condition)} }}${part.parts.map(textPart).join("")}{{ end }}`;
  }
}

function written(condition: Condition): string {
  switch (condition.is) {
    case "set":
      return `.Values.${condition.path}`;
    case "not":
      return `not (${written(condition.condition)})`;
    case "any":
      return `or ${condition.conditions.map((each) => `(${written(each)})`).join(" ")}`;
  }
}

/** JSON is YAML, whatever the text holds; what Helm would take for an expression is one that gives its own text. */
function literal(found: unknown): string {
  return JSON.stringify(found).replaceAll("{{", '{{ "{{" }}');
}

function quotedKey(key: string): string {
  return /^[A-Za-z][\w./-]*$/.test(key) ? key : literal(key);
}
