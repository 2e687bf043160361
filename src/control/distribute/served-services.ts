import type { About } from "./about.ts";

/** How many workloads serve each service: so that a change knows which services it opened. */
export class ServedServices {
  readonly #counts = new Map<string, number>();
  /** Counts as they were at the last `takeOpened`, of the services that have changed since. */
  #before = new Map<string, number>();

  /** What a resource was about, and is. Services themselves serve nothing. */
  note(was: About | null | undefined, is: About | null | undefined): void {
    this.#add(was, -1);
    this.#add(is, 1);
  }

  /** The services that nothing served the last time, and something serves now. */
  takeOpened(): ReadonlySet<string> {
    const opened = [...this.#before].filter(([name, count]) => count === 0 && this.#count(name) > 0);
    this.#before = new Map();
    return new Set(opened.map(([name]) => name));
  }

  #add(about: About | null | undefined, difference: number): void {
    if (about === null || about === undefined || about.isService) return;
    for (const name of about.services) {
      const count = this.#count(name);
      if (!this.#before.has(name)) this.#before.set(name, count);
      if (count + difference === 0) this.#counts.delete(name);
      else this.#counts.set(name, count + difference);
    }
  }

  #count(name: string): number {
    return this.#counts.get(name) ?? 0;
  }
}
