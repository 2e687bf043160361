import { isWildcard, wildcardsAround } from "./hosts.ts";

/** Entries by host; wildcards, which are few, apart. */
export class HostTable<T> {
  readonly exact = new Map<string, T[]>();
  readonly wildcards = new Map<string, T[]>();

  add(host: string, entry: T): void {
    const table = isWildcard(host) ? this.wildcards : this.exact;
    const entries = table.get(host);
    if (entries === undefined) table.set(host, [entry]);
    else entries.push(entry);
  }

  /** Those for the host itself. */
  at(host: string): readonly T[] | undefined {
    return (isWildcard(host) ? this.wildcards : this.exact).get(host);
  }

  /** Those for the host itself, else for the most specific wildcard around it. */
  mostSpecific(host: string): readonly T[] | undefined {
    const found = this.at(host);
    if (found !== undefined || this.wildcards.size === 0) return found;
    for (const wildcard of wildcardsAround(host)) {
      const around = this.wildcards.get(wildcard);
      if (around !== undefined) return around;
    }
    return undefined;
  }
}
