import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  Scalar,
  visit,
} from "yaml";
import type { Fault } from "../core/located.ts";
import { isSameJson, type JsonValue } from "../core/json-value.ts";
import { LIMITS } from "../core/limits.ts";

/** One change of a document: a value put in, put in the place of another, or taken out. */
export interface YamlEdit {
  readonly op: "add" | "replace" | "remove";
  readonly steps: readonly string[];
  readonly value?: JsonValue;
}

/** One document of a file that is to be changed with its comments kept. */
export interface EditableDocument {
  /** What it says. */
  readonly value: JsonValue;
  /**
   * Its text after the edits, in their order, which make `after` of `value`. Without an edit it is the file's own text,
   * octet for octet; with one, comments, order, and the way in which each value is written stay, and white space may not.
   * Null, with a fault, where a value to change stands behind an anchor or a merge key.
   */
  edited(edits: readonly YamlEdit[], after: JsonValue, faults: Fault[]): string | null;
}

/** The documents of a YAML file; their texts, put together, are the file's. What is wrong is added to the faults. */
export function parseEditableYaml(text: string, file: string, faults: Fault[]): readonly EditableDocument[] {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { merge: true, lineCounter: lines, prettyErrors: false, logLevel: "silent" });
  // A file of comments has no document, and comes out as it is.
  if (!Array.isArray(parsed) || parsed.length === 0) return [{ value: null, edited: () => text }];
  const documents: EditableDocument[] = [];
  let start = 0;
  for (const [index, document] of parsed.entries()) {
    const end = index === parsed.length - 1 ? text.length : document.range[2];
    const read = readDocument(document, { text: text.slice(start, end), file, lines }, faults);
    if (read !== null) documents.push(read);
    start = end;
  }
  return documents;
}

interface Source {
  readonly text: string;
  readonly file: string;
  readonly lines: LineCounter;
}

function readDocument(document: Document.Parsed, source: Source, faults: Fault[]): EditableDocument | null {
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col: column } = source.lines.linePos(error.pos[0]);
    faults.push({ file: source.file, line, column, field: "", message: `not valid YAML: ${error.message}` });
    return null;
  }
  const value = readValue(document, source, faults);
  if (value === undefined) return null;
  return {
    value,
    edited(edits, after, editFaults) {
      if (edits.length === 0) return source.text;
      for (const edit of edits) {
        const why = apply(document, edit);
        if (why === null) continue;
        const field = edit.steps.join(".");
        editFaults.push({ file: source.file, line: null, column: null, field, message: why });
        return null;
      }
      return render(document, source.text, after);
    },
  };
}

function readValue(document: Document.Parsed, { file }: Source, faults: Fault[]): JsonValue | undefined {
  try {
    return document.toJS({ maxAliasCount: LIMITS.yamlAliasesMax }) as JsonValue;
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    faults.push({ file, line: null, column: null, field: "", message: `not valid YAML: ${message}` });
    return undefined;
  }
}

/** Null when it is done; else why it cannot be. */
function apply(document: Document.Parsed, { op, steps, value }: YamlEdit): string | null {
  const parent = findParent(document, steps);
  if (typeof parent === "string") return parent;
  const last = steps.at(-1) ?? "";
  const key = isSeq(parent) ? Number(last) : last;
  if (op === "remove") {
    parent.delete(key);
    return null;
  }
  const node = createNode(document, value ?? null);
  // An empty list is mostly written as [], and what goes into it reads better as a block.
  if (parent.items.length === 0) parent.flow = false;
  if (isSeq(parent) && op === "add") parent.items.splice(Number(key), 0, node);
  else parent.set(key, node);
  return null;
}

type Collection = Extract<Node, { items: unknown[] }>;

/** The map or list that holds the last step, or why it is not to be changed here. */
function findParent(document: Document.Parsed, steps: readonly string[]): Collection | string {
  let node: unknown = document.contents;
  for (const step of steps.slice(0, -1)) {
    const why = whyFixed(node);
    if (why !== null) return why;
    if (isMap(node)) node = node.get(step, true);
    else node = isSeq(node) ? node.get(Number(step), true) : undefined;
  }
  return whyFixed(node) ?? (node as Collection);
}

function whyFixed(node: unknown): string | null {
  if (isAlias(node)) return `is the alias *${node.source}; write its value out`;
  if (!isCollection(node)) return "comes by a merge key (<<); write its fields out";
  return node.anchor === undefined
    ? null
    : `has the anchor &${node.anchor}, and a change would reach its aliases; write them out`;
}

/** Words and numbers of YAML 1.1, sexagesimal ones and dates among them. */
const NO_TEXT = /^(?:|~|y|n|yes|no|on|off|true|false|null|[-+.\d][-+_.:eExXoO\d]*[\da-fA-F_.]*)$/i;

/** Kubernetes reads YAML 1.1, in which `on`, `no` or `1:30` are no texts. */
function createNode(document: Document.Parsed, value: JsonValue): Node {
  const node = document.createNode(value, { aliasDuplicateObjects: false }) as Node;
  visit(node, {
    Scalar(_, scalar) {
      if (typeof scalar.value === "string" && NO_TEXT.test(scalar.value)) scalar.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return node;
}

function render(document: Document.Parsed, source: string, after: JsonValue): string {
  const text = document.toString({
    lineWidth: 0,
    flowCollectionPadding: /[[{] \S/.test(source),
    indentSeq: !hasFlushLists(source),
  });
  // What went in as text has to come out as the same value: a comment may be lost to the library, a field may not.
  const [again] = parseAllDocuments(text, { merge: true, logLevel: "silent" }) as readonly Document.Parsed[];
  if (again === undefined || !isSameJson(again.toJS() as JsonValue, after))
    throw new Error("a YAML edit changed its value");
  return startsOnItsOwn(document, source, text);
}

/** The file's way: whether items stand below their key's first letter, or further in. */
function hasFlushLists(source: string): boolean {
  return /^( *)(?:- )?[\w"'./-]+:[ \t]*(?:#.*)?\n(?:[ \t]*#.*\n)*\1- /m.test(source);
}

/** A document's slice may begin with the line feed that ends the one before it. */
function startsOnItsOwn(document: Document.Parsed, source: string, text: string): string {
  const isFirst = document.range[0] === 0 || !source.startsWith("\n");
  const ended = text.endsWith("\n") ? text : `${text}\n`;
  return isFirst ? ended : `\n${ended}`;
}
