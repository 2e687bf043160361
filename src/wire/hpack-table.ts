import { ENTRY_OVERHEAD } from "./hpack-static-table.ts";

/** A field as it was entered; the faults say why a message that holds it is malformed, or are null. */
export interface HpackEntry {
  readonly name: string;
  readonly value: string;
  readonly nameFault: string | null;
  readonly valueFault: string | null;
}

/** The dynamic table: newest entry first, bounded in bytes. RFC 7541 section 2.3.2. */
export class HpackTable {
  count = 0;
  bytes = 0;
  bytesMax: number;
  /** A ring with room for as many of the smallest entries as there can be. */
  readonly #ring: (HpackEntry | undefined)[];
  #newest = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
    this.#ring = Array.from({ length: Math.max(1, Math.floor(bytesMax / ENTRY_OVERHEAD)) });
  }

  /** The entry at `index`, 0 being the newest; undefined when there is none. */
  at(index: number): HpackEntry | undefined {
    if (index >= this.count) return undefined;
    const place = this.#newest - index;
    return this.#ring[place < 0 ? place + this.#ring.length : place];
  }

  /** Makes room by dropping the oldest entries; one that is larger than the table empties it. RFC 7541 section 4.4. */
  insert(entry: HpackEntry): void {
    const bytes = bytesOf(entry);
    this.#evictUntil(this.bytesMax - bytes);
    if (bytes > this.bytesMax) return;
    this.#newest = (this.#newest + 1) % this.#ring.length;
    this.#ring[this.#newest] = entry;
    this.count++;
    this.bytes += bytes;
  }

  /** `bytesMax` must not be above the one that the table was made with. RFC 7541 section 4.3. */
  resize(bytesMax: number): void {
    this.bytesMax = bytesMax;
    this.#evictUntil(bytesMax);
  }

  #evictUntil(bytes: number): void {
    while (this.count > 0 && this.bytes > bytes) {
      const place = (this.#newest - this.count + 1 + this.#ring.length) % this.#ring.length;
      this.bytes -= bytesOf(this.#ring[place]!);
      this.#ring[place] = undefined;
      this.count--;
    }
  }
}

/** RFC 7541 section 4.1. */
function bytesOf(entry: HpackEntry): number {
  return entry.name.length + entry.value.length + ENTRY_OVERHEAD;
}
