import { jsonText } from "./json-text.ts";

/**
 * JSON that is put together as bytes, in a buffer that is used again and again. A line of some forty pieces is built so
 * in a third of the time that text takes, whose pieces are objects and must be flattened to be written
 * (bench/micro/flow-line.ts).
 */
export class JsonBytes {
  bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  length = 0;

  clear(): void {
    this.length = 0;
  }

  /** ASCII as it stands: names, punctuation, words of ours. */
  ascii(text: string): void {
    this.#reserve(text.length);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
    this.length = at;
  }

  /** Bytes that were put together before. */
  copy(made: Uint8Array): void {
    this.#reserve(made.length);
    this.bytes.set(made, this.length);
    this.length += made.length;
  }

  /** Any text, quoted. */
  text(text: string): void {
    if (text.length > PLAIN_MAX || !this.#plain(text)) this.#written(jsonText(text));
  }

  /** An integer from 0 up in digits; any other number as JSON writes it. */
  number(value: number): void {
    // NaN and Infinity are no JSON; they would be a fault of ours, and must not cost the line.
    if (value >= 0 && value <= SMALL_MAX && Number.isInteger(value)) this.digits(value, 1);
    else this.ascii(`${Number.isFinite(value) ? value : 0}`);
  }

  /** An integer from 0 to SMALL_MAX, in at least so many digits. */
  digits(value: number, countMin: number): void {
    this.#reserve(DIGITS_MAX);
    let count = countMin;
    for (let least = 10 ** countMin; least <= value; least *= 10) count++;
    let rest = value;
    for (let at = this.length + count - 1; at >= this.length; at--) {
      const tenth = Math.floor(rest / 10);
      this.bytes[at] = DIGIT_ZERO + rest - tenth * 10;
      rest = tenth;
    }
    this.length += count;
  }

  /** A copy of what was put together. */
  take(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.length));
  }

  toString(): string {
    return this.bytes.toString("utf8", 0, this.length);
  }

  /** False, and nothing written, when the text holds what must be looked at more closely. */
  #plain(text: string): boolean {
    this.#reserve(text.length + 2);
    const { bytes } = this;
    let at = this.length;
    bytes[at++] = QUOTE;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (PLAIN[code] !== 1) return false;
      bytes[at++] = code;
    }
    bytes[at++] = QUOTE;
    this.length = at;
    return true;
  }

  #written(text: string): void {
    this.#reserve(text.length * UTF8_BYTES_MAX);
    this.length += this.bytes.write(text, this.length, "utf8");
  }

  #reserve(count: number): void {
    const wanted = this.length + count;
    if (wanted <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(wanted * 2);
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}

const FIRST_BYTES = 4_096;
/** Longer texts may have to be cut; see jsonText. */
const PLAIN_MAX = 512;
/** A code unit's, at the most. */
const UTF8_BYTES_MAX = 3;
const SMALL_MAX = 999_999_999_999;
const DIGITS_MAX = 16;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DIGIT_ZERO = 0x30;

/** 1 for printable ASCII without the quote and the backslash: what nearly every field is made of. */
const PLAIN = new Uint8Array(128).fill(1, 0x20, 0x7f);
PLAIN[QUOTE] = 0;
PLAIN[BACKSLASH] = 0;
