import { decodeHuffman } from "./hpack-huffman.ts";
import { ENTRY_OVERHEAD, STATIC_COUNT, STATIC_FIELDS } from "./hpack-static-table.ts";
import { HpackTable } from "./hpack-table.ts";
import { COLON, FIELD_VALUE, HTAB, LOWER_TOKEN, SP } from "./octets.ts";

/**
 * What a header block held. `fields` is flat: name, value, name, value, as latin-1. With `too-large` and `malformed`
 * the block is read to its end all the same and the tables are in step, so only the message is lost; `refused` is a
 * COMPRESSION_ERROR that ends the connection.
 */
export type HeaderBlock =
  | {
      readonly at: "fields";
      readonly fields: string[];
      /** Names whose sender says that no hop may index them; null when there is none. RFC 7541 section 6.2.3. */
      readonly neverIndexed: readonly string[] | null;
    }
  | { readonly at: "too-large" }
  | { readonly at: "malformed"; readonly why: string }
  | { readonly at: "refused"; readonly why: string };

export interface HpackBounds {
  /** What SETTINGS_HEADER_TABLE_SIZE allows the peer. */
  readonly tableBytesMax: number;
  /** Name, value and 32 for each field, as SETTINGS_MAX_HEADER_LIST_SIZE counts. RFC 9113 section 6.5.2. */
  readonly listBytesMax: number;
  readonly countMax: number;
}

/**
 * Decodes the header blocks of one direction of a connection, in order. What a field is made of is checked when it is
 * entered into the table, so that repeating it costs nothing. RFC 7541; RFC 9113 section 8.2.1 for the octets.
 */
export class HpackDecoder {
  readonly #table: HpackTable;
  readonly #bounds: HpackBounds;
  #tableBytesMax: number;
  /** A lower limit has been agreed, so the next block must begin with an update. RFC 7541 section 4.2. */
  #isUpdateDue = false;
  #block: Buffer = NO_BLOCK;
  #at = 0;
  /** The block as latin-1, once a string of it is wanted. */
  #text: string | null = null;
  #fields: string[] = [];
  #neverIndexed: string[] | null = null;
  #listBytes = 0;
  #isTooLarge = false;
  #fault: string | null = null;
  /** Why the block is refused. */
  #failure = "";
  /** Of the string that was read last. */
  #stringFault: string | null = null;

  constructor(bounds: HpackBounds) {
    this.#bounds = bounds;
    this.#table = new HpackTable(bounds.tableBytesMax);
    this.#tableBytesMax = bounds.tableBytesMax;
  }

  /** The peer has acknowledged another SETTINGS_HEADER_TABLE_SIZE, not above the first one. */
  limitTable(bytesMax: number): void {
    this.#tableBytesMax = Math.min(bytesMax, this.#bounds.tableBytesMax);
    if (this.#table.bytesMax > this.#tableBytesMax) this.#isUpdateDue = true;
  }

  decode(block: Buffer): HeaderBlock {
    this.#begin(block);
    const isRead = this.#readUpdates() && this.#readFields();
    const fields = this.#fields;
    const neverIndexed = this.#neverIndexed;
    this.#block = NO_BLOCK;
    this.#text = null;
    this.#fields = [];
    if (!isRead) return { at: "refused", why: this.#failure };
    if (this.#fault !== null) return { at: "malformed", why: this.#fault };
    return this.#isTooLarge ? TOO_LARGE : { at: "fields", fields, neverIndexed };
  }

  #begin(block: Buffer): void {
    this.#block = block;
    this.#at = 0;
    this.#listBytes = 0;
    this.#isTooLarge = false;
    this.#fault = null;
    this.#neverIndexed = null;
  }

  /** Only at a block's beginning; two suffice to say how far the table shrank meanwhile. RFC 7541 section 4.2. */
  #readUpdates(): boolean {
    for (let count = 0; this.#at < this.#block.length && (this.#block[this.#at]! & 0xe0) === 0x20; count++) {
      if (count === 2) return this.#fail("there are more than two table size updates");
      const bytesMax = this.#readInteger(0x1f);
      if (bytesMax < 0) return false;
      if (bytesMax > this.#tableBytesMax) return this.#fail("a table size update is above the limit");
      this.#table.resize(bytesMax);
      this.#isUpdateDue = false;
    }
    return !this.#isUpdateDue || this.#fail("the table size update that a lower limit demands is missing");
  }

  #readFields(): boolean {
    const block = this.#block;
    while (this.#at < block.length) {
      const first = block[this.#at]!;
      let isRead: boolean;
      if (first >= 0x80) isRead = this.#readIndexed();
      else if (first >= 0x40) isRead = this.#readLiteral(0x3f, true);
      else if (first >= 0x20) return this.#fail("a table size update stands behind a field");
      else {
        isRead = this.#readLiteral(0x0f, false);
        if (first >= 0x10 && isRead) this.#noteNeverIndexed();
      }
      if (!isRead) return false;
    }
    return true;
  }

  /** RFC 7541 section 6.1. */
  #readIndexed(): boolean {
    const index = this.#readInteger(0x7f);
    if (index < 0) return false;
    if (index === 0) return this.#fail("index 0 is not used");
    if (index <= STATIC_COUNT) {
      this.#addField(STATIC_FIELDS[index * 2 - 2]!, STATIC_FIELDS[index * 2 - 1]!);
      return true;
    }
    const entry = this.#table.at(index - STATIC_COUNT - 1);
    if (entry === undefined) return this.#fail("an index is beyond the table");
    this.#fault ??= entry.nameFault ?? entry.valueFault;
    this.#addField(entry.name, entry.value);
    return true;
  }

  /** With indexing, without, and never: RFC 7541 section 6.2. */
  #readLiteral(indexMask: number, isEntered: boolean): boolean {
    const index = this.#readInteger(indexMask);
    if (index < 0) return false;
    const name = index === 0 ? this.#readString(true, isEntered) : this.#nameAt(index);
    if (name === null) return false;
    const nameFault = this.#stringFault;
    const value = this.#readString(false, isEntered);
    if (value === null) return false;
    const valueFault = this.#stringFault;
    if (isEntered) this.#table.insert({ name, value, nameFault, valueFault });
    this.#fault ??= nameFault ?? valueFault;
    this.#addField(name, value);
    return true;
  }

  /** Of the field that was read last; bounded as the fields are. */
  #noteNeverIndexed(): void {
    const name = this.#fields.at(-2);
    if (name !== undefined) (this.#neverIndexed ??= []).push(name);
  }

  #nameAt(index: number): string | null {
    this.#stringFault = null;
    if (index <= STATIC_COUNT) return STATIC_FIELDS[index * 2 - 2]!;
    const entry = this.#table.at(index - STATIC_COUNT - 1);
    if (entry === undefined) {
      this.#failure = "a name's index is beyond the table";
      return null;
    }
    this.#stringFault = entry.nameFault;
    return entry.name;
  }

  #addField(name: string, value: string): void {
    this.#listBytes += name.length + value.length + ENTRY_OVERHEAD;
    if (this.#listBytes > this.#bounds.listBytesMax || this.#fields.length === this.#bounds.countMax * 2) {
      this.#isTooLarge = true;
      this.#fields.length = 0;
    }
    if (!this.#isTooLarge && this.#fault === null) this.#fields.push(name, value);
  }

  /**
   * An integer whose first octet has the bits of `mask` for it; -1 when it is refused. Four more octets (28 bits) are
   * enough for every index and length that can be valid. RFC 7541 section 5.1.
   */
  #readInteger(mask: number): number {
    const block = this.#block;
    let value = block[this.#at++]! & mask;
    if (value < mask) return value;
    for (let shift = 0; shift < 28; shift += 7) {
      if (this.#at >= block.length) break;
      const octet = block[this.#at++]!;
      value += (octet & 0x7f) << shift;
      if (octet < 0x80) return value;
    }
    this.#failure = "an integer is cut off or too large";
    return -1;
  }

  /** RFC 7541 section 5.2. `isKept`: it outlives the message, so it must not be a slice of the whole block's text. */
  #readString(isName: boolean, isKept: boolean): string | null {
    if (this.#at >= this.#block.length) return this.#failString("a string is missing");
    const isHuffman = this.#block[this.#at]! >= 0x80;
    const length = this.#readInteger(0x7f);
    if (length < 0) return null;
    const start = this.#at;
    const end = start + length;
    if (end > this.#block.length) return this.#failString("a string goes beyond the block");
    this.#at = end;
    if (isHuffman) return this.#readHuffman(start, end, isName);
    this.#stringFault = isName ? faultOfName(this.#block, start, end) : faultOfValue(this.#block, start, end);
    if (isKept) return this.#block.toString("latin1", start, end);
    this.#text ??= this.#block.toString("latin1");
    return this.#text.slice(start, end);
  }

  #readHuffman(start: number, end: number, isName: boolean): string | null {
    const room = ((end - start) * 8) / 5;
    if (scratch.length < room) scratch = Buffer.allocUnsafeSlow(room * 2);
    const length = decodeHuffman(this.#block, start, end, scratch);
    if (length < 0) return this.#failString("a Huffman-coded string is not valid");
    this.#stringFault = isName ? faultOfName(scratch, 0, length) : faultOfValue(scratch, 0, length);
    return scratch.toString("latin1", 0, length);
  }

  #failString(why: string): null {
    this.#failure = why;
    return null;
  }

  #fail(why: string): false {
    this.#failure = why;
    return false;
  }
}

const NO_BLOCK = Buffer.alloc(0);
const TOO_LARGE: HeaderBlock = Object.freeze({ at: "too-large" });

/** Holds nothing from one string to the next. A block has a bound, and so has this. */
let scratch: Buffer = Buffer.allocUnsafeSlow(4_096);

/** A token in lower case; a colon may stand before it, for what http2-head knows as pseudo-header fields. */
function faultOfName(bytes: Uint8Array, start: number, end: number): string | null {
  if (start === end) return "a field name is empty";
  for (let at = bytes[start] === COLON ? start + 1 : start; at < end; at++) {
    if (LOWER_TOKEN[bytes[at]!] !== 1) return "a field name is not a token in lower case";
  }
  return null;
}

/** As in HTTP/1.1, and stripped of whitespace by the sender. */
function faultOfValue(bytes: Uint8Array, start: number, end: number): string | null {
  for (let at = start; at < end; at++) {
    if (FIELD_VALUE[bytes[at]!] !== 1) return "a field value holds a control character";
  }
  if (start < end && (isWhitespace(bytes[start]!) || isWhitespace(bytes[end - 1]!))) {
    return "a field value begins or ends with whitespace";
  }
  return null;
}

function isWhitespace(octet: number): boolean {
  return octet === SP || octet === HTAB;
}
