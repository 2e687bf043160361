import { TextTrie } from "./text-trie.ts";

interface SegmentNode<V> {
  readonly literals: Map<string, SegmentNode<V>>;
  /** Past a `{*}`. */
  one: SegmentNode<V> | null;
  /** Templates whose last segment leads here. */
  ends: V | undefined;
  /** Templates that go on with `{**}`, by the text after it. */
  any: TextTrie<V> | null;
}

/**
 * Path templates by their segments. Finds at least those that a path fits: which characters a wildcard takes is still to
 * be asked. A path goes to each node at most once, so that a walk is never longer than asking all templates would be.
 */
export class TemplateTrie<V> {
  readonly #root: SegmentNode<V> = createNode();

  /** The value of a checked template like `/a/{*}/{**}.html`; made where there is none yet. */
  at(template: string, make: () => V): V {
    const [head = "", afterAny] = template.split("{**}");
    const segments = head.slice(1).split("/");
    // What stands before the {**} ends in a slash, since a template's wildcards are whole segments.
    if (afterAny !== undefined) segments.pop();
    let node = this.#root;
    for (const segment of segments) node = childOf(node, segment);
    if (afterAny === undefined) return (node.ends ??= make());
    node.any ??= new TextTrie("end");
    return node.any.at(afterAny, make);
  }

  /** Appends the values of all templates that the path may fit. Per request. */
  pushMatches(path: string, found: V[]): void {
    if (path.startsWith("/")) walk(this.#root, path, 1, found);
  }
}

/** `at` is where a segment begins. */
function walk<V>(node: SegmentNode<V>, path: string, at: number, found: V[]): void {
  node.any?.pushMatches(path, at, found);
  if (node.one === null && node.literals.size === 0) return;
  const slash = path.indexOf("/", at);
  const segment = path.slice(at, slash < 0 ? path.length : slash);
  const literal = node.literals.get(segment);
  if (literal !== undefined) goOn(literal, path, slash, found);
  if (node.one !== null && segment !== "") goOn(node.one, path, slash, found);
}

function goOn<V>(node: SegmentNode<V>, path: string, slash: number, found: V[]): void {
  if (slash >= 0) walk(node, path, slash + 1, found);
  else if (node.ends !== undefined) found.push(node.ends);
}

function childOf<V>(node: SegmentNode<V>, segment: string): SegmentNode<V> {
  if (segment === "{*}") return (node.one ??= createNode());
  const known = node.literals.get(segment);
  if (known !== undefined) return known;
  const made = createNode<V>();
  node.literals.set(segment, made);
  return made;
}

function createNode<V>(): SegmentNode<V> {
  return { literals: new Map(), one: null, ends: undefined, any: null };
}
