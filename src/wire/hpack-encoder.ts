import { encodeInteger, encodeString, type FieldName, fieldNameOf } from "./hpack-field-name.ts";
import { ENTRY_OVERHEAD, STATIC_COUNT } from "./hpack-static-table.ts";
import type { Headers } from "./headers.ts";

/**
 * Encodes the header blocks of one direction of a connection. Frugal with time rather than octets: no Huffman coding,
 * and entries only for fields whose values repeat. A block is built as one latin-1 string and written by one copy: octet
 * by octet, or string by string, it took two to three times as long (bench/micro/hpack.ts). RFC 7541.
 */
export class HpackEncoder {
  readonly #repeated = new Map<FieldName, RepeatedValues>();
  /** Octets of each entry, oldest first from `#oldest` on, to know when the peer has dropped it. */
  #sizes: number[] = [];
  #oldest = 0;
  #bytes = 0;
  #bytesMax: number;
  readonly #bytesCap: number;
  /** The size updates that the next block must begin with. RFC 7541 section 4.2. */
  #updates = "";
  #lowestMax: number;

  /** `bytesCap`: how much table we use at most, whatever the peer allows. */
  constructor(bytesCap: number) {
    this.#bytesCap = bytesCap;
    this.#bytesMax = Math.min(bytesCap, DEFAULT_TABLE_BYTES);
    this.#lowestMax = this.#bytesMax;
    if (this.#bytesMax !== DEFAULT_TABLE_BYTES) this.#updates = updateTo(this.#bytesMax);
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. RFC 9113 section 6.5.2. */
  limitTable(bytesMax: number): void {
    const next = Math.min(bytesMax, this.#bytesCap);
    if (next === this.#bytesMax) return;
    this.#bytesMax = next;
    this.#lowestMax = Math.min(this.#lowestMax, next);
    this.#evictUntil(next);
    // What happened between two blocks: the lowest limit, then the one that holds.
    this.#updates = this.#lowestMax < next ? updateTo(this.#lowestMax) + updateTo(next) : updateTo(next);
  }

  /**
   * One block: the fields of `first` (pseudo-header fields), then those of `headers`. Names may have any case. Both
   * must come from a parsed head or be constants: their octets are not looked at again. `neverIndexed`: names in lower
   * case that are to be written so that no hop enters them, as they came (RFC 7541 section 6.2.3).
   */
  encode(first: Headers, headers: Headers, neverIndexed: readonly string[] | null = null): string {
    let block = this.#updates;
    this.#updates = "";
    this.#lowestMax = this.#bytesMax;
    for (let i = 0; i < first.length; i += 2) block += this.#encodeField(first[i]!, first[i + 1]!);
    if (neverIndexed !== null) return block + this.#encodeSome(headers, neverIndexed);
    for (let i = 0; i < headers.length; i += 2) block += this.#encodeField(headers[i]!, headers[i + 1]!);
    return block;
  }

  #encodeSome(headers: Headers, neverIndexed: readonly string[]): string {
    let block = "";
    for (let i = 0; i < headers.length; i += 2) {
      const { name, indexing } = fieldNameOf(headers[i]!);
      const isNever = indexing !== "dropped" && neverIndexed.includes(name);
      block += isNever
        ? NEVER_INDEXED + encodeString(name) + encodeString(headers[i + 1]!)
        : this.#encodeField(headers[i]!, headers[i + 1]!);
    }
    return block;
  }

  #encodeField(text: string, value: string): string {
    const name = fieldNameOf(text);
    const indexed = name.indexed?.get(value);
    if (indexed !== undefined) return indexed;
    switch (name.indexing) {
      case "entered":
        // Queries hold secrets, and rarely come twice.
        if (text === ":path" && value.includes("?")) return name.literal + encodeString(value);
        return this.#encodeRepeated(name, value);
      case "plain":
      case "never":
        return name.literal + encodeString(value);
      case "dropped":
        return "";
    }
  }

  #encodeRepeated(name: FieldName, value: string): string {
    const bytes = name.name.length + value.length + ENTRY_OVERHEAD;
    if (bytes > this.#bytesMax / LARGE_PART) return name.literal + encodeString(value);
    let repeated = this.#repeated.get(name);
    if (repeated === undefined) {
      // Names without end would fill this map.
      if (this.#repeated.size === NAMES_MAX) return name.literal + encodeString(value);
      repeated = new RepeatedValues();
      this.#repeated.set(name, repeated);
    }
    const number = repeated.find(value, this.#oldest);
    if (number >= 0) return encodeInteger(STATIC_COUNT + this.#oldest + this.#sizes.length - number, 7, 0x80);
    if (!repeated.isWorthEntering(value)) return name.literal + encodeString(value);
    this.#evictUntil(this.#bytesMax - bytes);
    repeated.enter(value, this.#oldest + this.#sizes.length);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
    return name.entering + encodeString(value);
  }

  #evictUntil(bytes: number): void {
    while (this.#bytes > bytes && this.#sizes.length > 0) {
      this.#bytes -= this.#sizes.shift()!;
      this.#oldest++;
    }
  }
}

/** With a name of its own. RFC 7541 section 6.2.3. */
const NEVER_INDEXED = "\x10";
/** RFC 9113 section 6.5.2. */
const DEFAULT_TABLE_BYTES = 4_096;
/** An entry larger than this part of the table would drive out too many others. */
const LARGE_PART = 4;
const NAMES_MAX = 128;

/** The values of one name that were entered last, with the numbers of their entries. */
class RepeatedValues {
  readonly #values: string[] = [];
  readonly #numbers: number[] = [];
  #next = 0;
  #last = "";
  #credit = CREDIT_FIRST;

  /** The number of the value's entry, or -1. Entries below `oldest` are gone. */
  find(value: string, oldest: number): number {
    for (let i = 0; i < this.#values.length; i++) {
      if (this.#values[i] === value && this.#numbers[i]! >= oldest) {
        if (this.#credit < CREDIT_MAX) this.#credit++;
        return this.#numbers[i]!;
      }
    }
    return -1;
  }

  /** A name whose values rarely came back loses its credit, until one comes twice in a row. */
  isWorthEntering(value: string): boolean {
    if (this.#credit > 0) return true;
    const isAgain = value === this.#last;
    this.#last = value;
    if (isAgain) this.#credit = 1;
    return isAgain;
  }

  enter(value: string, number: number): void {
    this.#credit--;
    this.#values[this.#next] = value;
    this.#numbers[this.#next] = number;
    this.#next = (this.#next + 1) % VALUES_MAX;
  }
}

const VALUES_MAX = 4;
const CREDIT_FIRST = 8;
const CREDIT_MAX = 16;

function updateTo(bytesMax: number): string {
  return encodeInteger(bytesMax, 5, 0x20);
}
