/** A node of the syntax tree (ESTree with TypeScript). */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

export interface Child {
  readonly node: SyntaxNode;
  /** Parentheses around it would cut an optional chain in two, or it is no expression of its own. */
  readonly isInChain: boolean;
}

/** Fields that hold types, names or targets, of which nothing runs. */
const SKIPPED_FIELDS = new Set([
  "typeAnnotation",
  "typeParameters",
  "typeArguments",
  "returnType",
  "superTypeArguments",
  "implements",
  "decorators",
  "id",
  "params",
  "left",
  "label",
]);
const TYPES_WITH_CODE = new Set(["TSAsExpression", "TSSatisfiesExpression", "TSNonNullExpression"]);
const SKIPPED_NODES = new Set(["ImportDeclaration", "ExportAllDeclaration"]);

/** What a node is made of that runs. */
export function childrenOf(node: SyntaxNode): readonly Child[] {
  if (SKIPPED_NODES.has(node.type)) return [];
  return Object.entries(node).flatMap(([field, value]) => {
    if (isSkipped(node, field)) return [];
    const nodes = (Array.isArray(value) ? value : [value]).filter(isNode);
    return nodes
      .filter(({ type }) => !type.startsWith("TS") || TYPES_WITH_CODE.has(type))
      .map((child) => ({ node: child, isInChain: isLink(node, field, child) }));
  });
}

function isSkipped(node: SyntaxNode, field: string): boolean {
  const isOperand = node.type === "BinaryExpression" || node.type === "LogicalExpression";
  if (field === "left" && isOperand) return false;
  if (SKIPPED_FIELDS.has(field)) return true;
  if (field === "source") return true;
  const isName = field === "key" || field === "property";
  if (isName && node["computed"] !== true) return true;
  // What is counted up or assigned to is a place and no value.
  return field === "argument" && (node.type === "UpdateExpression" || node["operator"] === "delete");
}

/** A callee keeps its `this` by not being wrapped; what an optional chain links to must not be either. */
function isLink(node: SyntaxNode, field: string, child: SyntaxNode): boolean {
  if (field === "callee" || node.type === "ChainExpression") return true;
  return (
    field === "object" && (child.type === "MemberExpression" || child.type === "CallExpression") && hasOptional(child)
  );
}

function hasOptional(node: SyntaxNode): boolean {
  const below = node["object"] ?? node["callee"];
  return node["optional"] === true || (isNode(below) && hasOptional(below));
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && typeof (value as { type?: unknown }).type === "string";
}
