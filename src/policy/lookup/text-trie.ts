import { CodeMap } from "./code-map.ts";

/** Which end of a text a trie's keys are found at. */
type End = "start" | "end";

interface TrieNode<V> {
  /** The piece of the key on the way here from the node before. */
  label: string;
  /** What the key that ends here leads to. */
  value: V | undefined;
  /** By the first character of their labels as the text is read, from its start or from its end. */
  readonly children: CodeMap<TrieNode<V>>;
}

/**
 * Keys, found where they begin (or end) a text, all of them in one walk: it takes as long as the text's longest key,
 * however many keys there are.
 */
export class TextTrie<V> {
  readonly #end: End;
  readonly #root: TrieNode<V> = { label: "", value: undefined, children: new CodeMap() };

  constructor(end: End) {
    this.#end = end;
  }

  /** The key's value; made where there is none yet. */
  at(key: string, make: () => V): V {
    let node = this.#root;
    let left = key;
    while (left !== "") {
      const first = this.#firstOf(left);
      const child = node.children.get(first);
      if (child === undefined) {
        const leaf: TrieNode<V> = { label: left, value: undefined, children: new CodeMap() };
        node.children.set(first, leaf);
        node = leaf;
        break;
      }
      const shared = this.#sharedLength(child.label, left);
      node = shared === child.label.length ? child : this.#split(node, child, shared);
      left = this.#without(left, shared);
    }
    node.value ??= make();
    return node.value;
  }

  /** Appends the values of all keys that the text, from `from` on, begins (ends) with. Per request. */
  pushMatches(text: string, from: number, found: V[]): void {
    let node = this.#root;
    const isAtStart = this.#end === "start";
    let at = isAtStart ? from : text.length;
    for (;;) {
      if (node.value !== undefined) found.push(node.value);
      if (isAtStart ? at >= text.length : at <= from) return;
      const child = node.children.get(text.charCodeAt(isAtStart ? at : at - 1));
      if (child === undefined) return;
      const { label } = child;
      const { length } = label;
      // A label of one character is known to fit.
      if (isAtStart) {
        if (length > 1 && !text.startsWith(label, at)) return;
        at += length;
      } else {
        if (at - length < from || (length > 1 && !text.endsWith(label, at))) return;
        at -= length;
      }
      node = child;
    }
  }

  /** Whether the text begins (ends) with one of the keys. */
  hasMatch(text: string): boolean {
    const found: V[] = [];
    this.pushMatches(text, 0, found);
    return found.length > 0;
  }

  /** Cuts the way to a child in two, and returns the node between. */
  #split(parent: TrieNode<V>, child: TrieNode<V>, length: number): TrieNode<V> {
    const isAtStart = this.#end === "start";
    const { label } = child;
    const near = isAtStart ? label.slice(0, length) : label.slice(label.length - length);
    const between: TrieNode<V> = { label: near, value: undefined, children: new CodeMap() };
    child.label = this.#without(label, length);
    between.children.set(this.#firstOf(child.label), child);
    parent.children.set(this.#firstOf(near), between);
    return between;
  }

  #firstOf(text: string): number {
    return this.#codeAt(text, 0);
  }

  /** By its distance from the end that keys are found at; past the other end NaN, which equals nothing. */
  #codeAt(text: string, i: number): number {
    return text.charCodeAt(this.#end === "start" ? i : text.length - 1 - i);
  }

  #without(text: string, length: number): string {
    return this.#end === "start" ? text.slice(length) : text.slice(0, text.length - length);
  }

  /** Of two texts that begin (end) with the same character. */
  #sharedLength(a: string, b: string): number {
    let length = 1;
    while (this.#codeAt(a, length) === this.#codeAt(b, length)) length += 1;
    return length;
  }
}
