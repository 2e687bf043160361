import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { About, Changes } from "./about.ts";

/** Which names changed at which version: so that whoever knows a version need not compare everything. */
export class ChangeLog {
  readonly #entries: { readonly version: number; readonly changes: Changes }[] = [];
  /** What was asked for last, by the version that it was asked from: a thousand streams ask the same. */
  readonly #answers = new Map<number, Changes>();
  #version = 0;
  #nameCount = 0;

  get version(): number {
    return this.#version;
  }

  add(changes: Changes): void {
    this.#version += 1;
    this.#answers.clear();
    this.#entries.push({ version: this.#version, changes });
    this.#nameCount += changes.names.size;
    while (this.#nameCount > NAMES_KEPT_MAX) this.#nameCount -= this.#entries.shift()!.changes.names.size;
  }

  /** What changed after a version; null: that is too long ago to know. */
  since(version: number): Changes | null {
    if (version === this.#version) return NOTHING;
    const first = this.#entries[0]?.version;
    const isKnown = first !== undefined && version >= first - 1 && version <= this.#version;
    if (!isKnown) return null;
    const known = this.#answers.get(version) ?? merged(this.#entries.slice(version + 1 - first));
    this.#answers.set(version, known);
    return known;
  }
}

function merged(entries: readonly { readonly changes: Changes }[]): Changes {
  if (entries.length === 1) return entries[0]!.changes;
  const names = new Map<string, readonly About[]>();
  const identities = new Set<SpiffeId>();
  const opened = new Set<string>();
  for (const { changes } of entries) {
    for (const [name, abouts] of changes.names) names.set(name, [...(names.get(name) ?? []), ...abouts]);
    for (const identity of changes.identities) identities.add(identity);
    for (const name of changes.opened) opened.add(name);
  }
  return { names, identities, opened };
}

const NAMES_KEPT_MAX = 65_536;
const NOTHING: Changes = { names: new Map(), identities: new Set(), opened: new Set() };
