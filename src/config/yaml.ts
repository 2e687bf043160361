import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from "yaml";
import type { Alias, Document, Node, Pair } from "yaml";
import { LIMITS } from "../core/limits.ts";
import type { Fault, Located, LocatedEntry, Position } from "../core/located.ts";

/**
 * The documents of a YAML 1.2 or JSON file, with positions; empty ones between `---` are left out.
 * Core schema: `yes` is a text, `<<` no merge key. Anchors and aliases are taken within bounds. What is wrong
 * with the text is added to the faults, and then there is no document at all.
 */
export function parseYaml(text: string, file: string, faults: Fault[]): readonly Located[] {
  const faultsBefore = faults.length;
  const documents = readDocuments(text, file, faults);
  if (faults.length !== faultsBefore) return [];
  if (documents.length === 0) faults.push({ file, line: 1, column: 1, field: "", message: "empty file" });
  return documents;
}

/** What walking one file's documents carries along. */
interface Walk {
  readonly file: string;
  readonly faults: Fault[];
  readonly lines: LineCounter;
  /** Values made so far; aliases count each time that they are used. */
  values: number;
  aliases: number;
}

const TOO_DEEP = `is nested deeper than ${LIMITS.documentDepthMax} levels`;
/** A file of the greatest size holds no more values than this unless aliases multiply them. */
const VALUES_MAX = LIMITS.documentBytesMax;

function readDocuments(text: string, file: string, faults: Fault[]): readonly Located[] {
  if (Buffer.byteLength(text) > LIMITS.documentBytesMax) {
    const message = `is larger than ${LIMITS.documentBytesMax} bytes; split it`;
    faults.push({ file, line: null, column: null, field: "", message });
    return [];
  }
  const lines = new LineCounter();
  const walk: Walk = { file, faults, lines, values: 0, aliases: 0 };
  try {
    const parsed = parseAllDocuments(text.replace(/^\uFEFF/, ""), {
      version: "1.2",
      schema: "core",
      merge: false,
      // Duplicate keys reach the schema, which names the field.
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: "silent",
      lineCounter: lines,
    });
    return Array.isArray(parsed) ? parsed.flatMap((document) => locateDocument(document, walk)) : [];
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    addFault(walk, null, TOO_DEEP);
    return [];
  }
}

function locateDocument(document: Document.Parsed, walk: Walk): readonly Located[] {
  const error = document.errors[0];
  // The first is the cause; those after it are mostly its echoes.
  if (error !== undefined) addFault(walk, error.pos[0], syntaxMessage(error.message));
  const { yaml } = document.directives;
  if (yaml.explicit === true && yaml.version !== "1.2") addFault(walk, document.range[0], "is read as YAML 1.2 only");
  const { contents } = document;
  if (error !== undefined || contents === null || (isScalar(contents) && contents.value === null)) return [];
  const located = locate(contents, document, walk, 1);
  return located === null ? [] : [located];
}

/** A node → located value; null after a fault. */
function locate(node: Node | null, document: Document, walk: Walk, depth: number): Located | null {
  if (node === null) return { kind: "scalar", at: null, value: null };
  const offset = offsetOf(node);
  walk.values += 1;
  if (walk.values > VALUES_MAX) return onlyOnce(walk.values, VALUES_MAX, walk, "its aliases expand to too many values");
  if (depth > LIMITS.documentDepthMax) return addFault(walk, offset, TOO_DEEP);
  if (isAlias(node)) return locateAlias(node, document, walk, depth);
  if (hasForeignTag(node)) return addFault(walk, offset, `the tag ${node.tag} is not taken`);
  const at = positionOf(walk, offset);
  if (isScalar(node)) return { kind: "scalar", at, value: plainScalar(node.value) };
  if (isSeq<Node | null>(node)) {
    const items = node.items.map((item) => locate(item, document, walk, depth + 1));
    return items.every((item) => item !== null) ? { kind: "list", at, items } : null;
  }
  if (!isMap<Node, Node | null>(node)) return addFault(walk, offset, "is not a map, list or scalar");
  const entries = node.items.map((pair) => locatePair(pair, document, walk, depth));
  return entries.every((entry) => entry !== null) ? { kind: "map", at, entries } : null;
}

function locatePair(pair: Pair<Node, Node | null>, document: Document, walk: Walk, depth: number): LocatedEntry | null {
  const { key, value } = pair;
  const offset = offsetOf(key);
  const keyAt = positionOf(walk, offset);
  if (!isScalar(key) || key.value === null || hasForeignTag(key)) {
    return addFault(walk, offset, "a map's keys must be plain words");
  }
  if (key.value === "<<" && key.type === "PLAIN") {
    return addFault(walk, offset, "merge keys are YAML 1.1 and not taken: write the fields out");
  }
  const located = locate(value, document, walk, depth + 1);
  if (located === null) return null;
  // An empty value stands nowhere; its key is the nearest place.
  const placed = located.at === null ? { ...located, at: keyAt } : located;
  // As written, so that `80` and `080` stay apart.
  return { key: key.source ?? String(plainScalar(key.value)), keyAt, value: placed };
}

function locateAlias(alias: Alias, document: Document, walk: Walk, depth: number): Located | null {
  walk.aliases += 1;
  const aliasesMax = LIMITS.yamlAliasesMax;
  if (walk.aliases > aliasesMax)
    return onlyOnce(walk.aliases, aliasesMax, walk, `uses more than ${aliasesMax} aliases`);
  const target = alias.resolve(document);
  if (target === undefined) return addFault(walk, offsetOf(alias), `there is no anchor &${alias.source} before this`);
  return locate(target, document, walk, depth + 1);
}

/** Only the tags of the core schema mean something that JSON can say. */
function hasForeignTag(node: Node): boolean {
  const tag = "tag" in node ? node.tag : undefined;
  return tag !== undefined && !/^tag:yaml\.org,2002:(map|seq|str|null|bool|int|float)$/.test(tag);
}

function plainScalar(value: unknown): string | number | boolean | null {
  const isPlain = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
  return isPlain ? value : null;
}

function offsetOf(node: Node): number | null {
  return node.range?.[0] ?? null;
}

function positionOf(walk: Walk, offset: number | null): Position | null {
  if (offset === null) return null;
  const { line, col } = walk.lines.linePos(offset);
  return { line, column: col };
}

function addFault(walk: Walk, offset: number | null, message: string): null {
  const at = positionOf(walk, offset);
  walk.faults.push({ file: walk.file, line: at?.line ?? null, column: at?.column ?? null, field: "", message });
  return null;
}

/** Once over a limit, all that follows is over it as well. */
function onlyOnce(count: number, max: number, walk: Walk, message: string): null {
  return count === max + 1 ? addFault(walk, null, message) : null;
}

function syntaxMessage(message: string): string {
  // The library is recursive: absurd nesting exhausts the stack before our own depth is asked.
  if (message.includes("call stack")) return TOO_DEEP;
  return `not valid YAML: ${message.split("\n", 1)[0]!}`;
}
