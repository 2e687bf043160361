import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { About } from "./about.ts";
import type { EgressScope } from "./egress-scope.ts";
import type { RegistryContent } from "./registry-content.ts";
import type { Names, Resource, ResourceTable, TypeView } from "./resource.ts";

/**
 * The registry as callers of one identity may see it. Nothing is copied: what is in the scope is decided when it is asked
 * for, and what has changed is worked out once for all streams that ask the same.
 */
export class AddressView implements TypeView {
  readonly version: string;
  readonly resources: ResourceTable;
  readonly #registry: RegistryContent;
  readonly #scope: EgressScope;
  readonly #caller: SpiffeId;
  readonly #answers = new WeakMap<TypeView, { readonly names: Names | null }>();

  constructor(registry: RegistryContent, scope: EgressScope, caller: SpiffeId) {
    this.version = registry.version;
    this.#registry = registry;
    this.#scope = scope;
    this.#caller = caller;
    this.resources = new VisibleResources(registry.resources, (each) => this.sees(each.about));
  }

  /** Whatever its own workloads are, a sidecar has to know them. */
  sees(about: About | null): boolean {
    return about === null || about.spiffeId === this.#caller || this.#scope.sees(about);
  }

  changedSince(before: TypeView): Names | null {
    const known = this.#answers.get(before) ?? { names: this.#compare(before) };
    this.#answers.set(before, known);
    return known.names;
  }

  #compare(before: TypeView): Names | null {
    const changes = this.#registry.changedSince?.(before.version) ?? null;
    if (changes === null || !(before instanceof AddressView)) return null;
    const names = new Set<string>();
    for (const [name, abouts] of changes.names)
      if (abouts.length === 0 || abouts.some((about) => this.sees(about) || before.sees(about))) names.add(name);
    if (before.#scope.key === this.#scope.key) return names;
    for (const { name, about } of this.#registry.resources.values())
      if (this.sees(about) !== before.sees(about)) names.add(name);
    return names;
  }
}

class VisibleResources implements ResourceTable {
  readonly #all: ReadonlyMap<string, Resource>;
  readonly #sees: (resource: Resource) => boolean;

  constructor(all: ReadonlyMap<string, Resource>, sees: (resource: Resource) => boolean) {
    this.#all = all;
    this.#sees = sees;
  }

  get(name: string): Resource | undefined {
    const resource = this.#all.get(name);
    return resource !== undefined && this.#sees(resource) ? resource : undefined;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  *values(): Generator<Resource> {
    for (const resource of this.#all.values()) if (this.#sees(resource)) yield resource;
  }

  *keys(): Generator<string> {
    for (const { name } of this.values()) yield name;
  }
}
