import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { LabelSet } from "../distribute/policy-set.ts";
import type { PodFacts } from "./pod-facts.ts";

interface Counted {
  readonly labels: LabelSet;
  pods: number;
}

/** The different label sets of each identity's pods, counted as pods come and go. */
export class LabelSets {
  readonly #byIdentity = new Map<SpiffeId, Map<string, Counted>>();
  readonly #lists = new Map<SpiffeId, readonly LabelSet[]>();
  #changed = new Set<SpiffeId>();

  /** The identities whose list has changed since the last call. */
  takeChanged(): ReadonlySet<SpiffeId> {
    const taken = this.#changed;
    this.#changed = new Set();
    return taken;
  }

  add({ spiffeId, labels }: PodFacts): void {
    const sets = this.#byIdentity.get(spiffeId) ?? new Map<string, Counted>();
    this.#byIdentity.set(spiffeId, sets);
    const text = JSON.stringify(labels);
    const known = sets.get(text);
    if (known !== undefined) {
      known.pods += 1;
      return;
    }
    sets.set(text, { labels, pods: 1 });
    this.#note(spiffeId);
  }

  remove({ spiffeId, labels }: PodFacts): void {
    const sets = this.#byIdentity.get(spiffeId);
    const known = sets?.get(JSON.stringify(labels));
    if (sets === undefined || known === undefined) return;
    known.pods -= 1;
    if (known.pods > 0) return;
    sets.delete(JSON.stringify(labels));
    this.#note(spiffeId);
    if (sets.size === 0) this.#byIdentity.delete(spiffeId);
  }

  /** In a fixed order; the same array until it changes. */
  of(spiffeId: SpiffeId): readonly LabelSet[] {
    const known = this.#lists.get(spiffeId);
    if (known !== undefined) return known;
    const sets = [...(this.#byIdentity.get(spiffeId) ?? [])].toSorted(([left], [right]) => (left < right ? -1 : 1));
    const list = sets.map(([, { labels }]) => labels);
    if (list.length === 0) return NONE;
    this.#lists.set(spiffeId, list);
    return list;
  }

  #note(spiffeId: SpiffeId): void {
    this.#changed.add(spiffeId);
    this.#lists.delete(spiffeId);
  }
}

const NONE: readonly LabelSet[] = [];
