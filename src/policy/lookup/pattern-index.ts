import type { Pattern } from "./lookup.ts";
import { TemplateTrie } from "./template-trie.ts";
import { TextTrie } from "./text-trie.ts";

/** Values by patterns: a text finds those of all patterns that it fits, whatever their number. */
export class PatternIndex<V> {
  readonly #exact = new Map<string, V>();
  #prefixes: TextTrie<V> | null = null;
  #suffixes: TextTrie<V> | null = null;
  #templates: TemplateTrie<V> | null = null;

  set({ kind, text }: Pick<Pattern<unknown>, "kind" | "text">, value: V): void {
    const make = (): V => value;
    switch (kind) {
      case "exact":
        this.#exact.set(text, value);
        return;
      case "prefix":
        (this.#prefixes ??= new TextTrie("start")).at(text, make);
        return;
      case "suffix":
        (this.#suffixes ??= new TextTrie("end")).at(text, make);
        return;
      case "template":
        (this.#templates ??= new TemplateTrie()).at(text, make);
    }
  }

  /** Appends what the text finds. Per request. */
  pushMatches(text: string, found: V[]): void {
    const exact = this.#exact.size === 0 ? undefined : this.#exact.get(text);
    if (exact !== undefined) found.push(exact);
    if (this.#prefixes !== null) this.#prefixes.pushMatches(text, 0, found);
    if (this.#suffixes !== null) this.#suffixes.pushMatches(text, 0, found);
    if (this.#templates !== null) this.#templates.pushMatches(text, found);
  }
}
