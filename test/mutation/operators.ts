import type { SyntaxNode } from "./syntax.ts";

/** Texts that may stand in a node's place; null leaves a statement out. Empty: nothing is changed there. */
export function replacementsOf(node: SyntaxNode, source: string): readonly (string | null)[] {
  const text = (of: unknown): string => {
    const { start, end } = of as SyntaxNode;
    return source.slice(start, end);
  };
  switch (node.type) {
    case "BinaryExpression":
    case "LogicalExpression":
      return operations(node, text);
    case "UnaryExpression":
      return node["operator"] === "!" ? [text(node["argument"])] : [];
    case "ConditionalExpression":
      return [text(node["consequent"]), text(node["alternate"])];
    case "Literal":
      return literals(node);
    case "TemplateLiteral":
      return ['""'];
    case "ArrayExpression":
      return (node["elements"] as unknown[]).length === 0 ? [] : ["[]"];
    case "CallExpression":
      return calls(node, text);
    case "ChainExpression":
      return ["undefined"];
    case "ExpressionStatement":
      // Without its yields work is done at once instead of in slices.
      return (node["expression"] as SyntaxNode).type === "YieldExpression" ? [] : [null];
    case "BreakStatement":
    case "ContinueStatement":
      return [null];
    case "ReturnStatement":
    case "IfStatement":
      return [null];
    default:
      return [];
  }
}

/** By operator: those that are put in its place. */
const OPERATORS: Readonly<Record<string, readonly string[]>> = {
  "===": ["!=="],
  "!==": ["==="],
  "<": ["<=", ">="],
  "<=": ["<", ">"],
  ">": [">=", "<="],
  ">=": [">", "<"],
  "&&": ["||"],
  "||": ["&&"],
  "+": ["-"],
  "-": ["+"],
  "*": ["+"],
  "%": ["*"],
};

function operations(node: SyntaxNode, text: (of: unknown) => string): readonly string[] {
  const [left, right] = [text(node["left"]), text(node["right"])];
  const others = (OPERATORS[String(node["operator"])] ?? []).map((operator) => `(${left}) ${operator} (${right})`);
  // Half of it alone.
  return node.type === "LogicalExpression" ? [...others, left, right] : others;
}

function literals(node: SyntaxNode): readonly string[] {
  const { value } = node;
  if (typeof value === "boolean") return [String(!value)];
  if (typeof value === "number") return value === 0 ? ["1"] : [String(value + 1), String(value - 1)];
  if (typeof value === "string") return [value === "" ? '"mutant"' : '""'];
  const regex = node["regex"] as { pattern: string; flags: string } | undefined;
  if (regex === undefined) return [];
  const { pattern, flags } = regex;
  const without = [pattern.replace(/^\^/, ""), pattern.replace(/\$$/, "")].filter((each) => each !== pattern);
  return without.map((each) => `/${each}/${flags}`);
}

/** By method: the one that is called instead, or null for what it was called on. */
const METHODS: Readonly<Record<string, string | null>> = {
  every: "some",
  some: "every",
  startsWith: "endsWith",
  endsWith: "startsWith",
  indexOf: "lastIndexOf",
  lastIndexOf: "indexOf",
  min: "max",
  max: "min",
  find: "findLast",
  findIndex: "findLastIndex",
  filter: null,
  toSorted: null,
  toLowerCase: null,
  slice: null,
};

function calls(node: SyntaxNode, text: (of: unknown) => string): readonly string[] {
  const callee = node["callee"] as SyntaxNode;
  if (callee.type !== "MemberExpression" || callee["computed"] === true) return [];
  const name = text(callee["property"]);
  if (!Object.hasOwn(METHODS, name)) return [];
  const other = METHODS[name]!;
  const object = text(callee["object"]);
  const given = (node["arguments"] as unknown[]).map(text).join(", ");
  return other === null ? [object] : [`${object}.${other}(${given})`];
}
