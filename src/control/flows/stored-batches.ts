import type { SpiffeId } from "../../core/spiffe-id.ts";

/**
 * What was stored lately, by its sender and the id of the first flow of each ScopeLogs: one that comes again is the one whose
 * answer got lost. A sender that lies about it loses flows of its own.
 */
export class StoredBatches {
  readonly #countMax: number;
  /** In the order in which they came. */
  readonly #known = new Set<string>();
  #sinceCommit: string[] = [];

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** Whether it is known; from now on it is. */
  isKnown(sender: SpiffeId, firstId: string): boolean {
    const key = `${sender} ${firstId}`;
    if (this.#known.has(key)) return true;
    this.#known.add(key);
    this.#sinceCommit.push(key);
    const [oldest] = this.#known;
    if (this.#known.size > this.#countMax) this.#known.delete(oldest!);
    return false;
  }

  committed(): void {
    this.#sinceCommit = [];
  }

  /** What was asked about since the last commit is not stored: it must be taken when it comes again. */
  rolledBack(): void {
    for (const key of this.#sinceCommit) this.#known.delete(key);
    this.#sinceCommit = [];
  }
}
