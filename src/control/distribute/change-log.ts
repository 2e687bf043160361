/** Which names changed at which version: so that whoever knows a version need not compare everything. */
export class ChangeLog {
  readonly #entries: { readonly version: number; readonly names: readonly string[] }[] = [];
  #version = 0;
  #nameCount = 0;

  get version(): number {
    return this.#version;
  }

  add(names: readonly string[]): void {
    this.#version += 1;
    this.#entries.push({ version: this.#version, names });
    this.#nameCount += names.length;
    while (this.#nameCount > NAMES_KEPT_MAX) this.#nameCount -= this.#entries.shift()!.names.length;
  }

  /** The names that changed after a version; null: that is too long ago to know. */
  since(version: number): ReadonlySet<string> | null {
    if (version === this.#version) return NOTHING;
    const first = this.#entries[0]?.version;
    const isKnown = first !== undefined && version >= first - 1 && version <= this.#version;
    if (!isKnown) return null;
    const names = new Set<string>();
    for (let index = version + 1 - first; index < this.#entries.length; index += 1)
      for (const name of this.#entries[index]!.names) names.add(name);
    return names;
  }
}

const NAMES_KEPT_MAX = 8_192;
const NOTHING: ReadonlySet<string> = new Set();
