/**
 * Protobuf that is put together as bytes, in a buffer that is used again and again: for what is written for every request.
 * What is rare is written by tables (protobuf-message.ts). Lengths stand before what they measure, so whoever writes a
 * message within a message knows its length first, or puts it together in a buffer of its own.
 */
export class ProtobufBytes {
  bytes: Buffer;
  length = 0;

  /** `first`: memory to begin with, which is written over. */
  constructor(firstBytes = FIRST_BYTES, first?: Buffer) {
    this.bytes = first ?? Buffer.allocUnsafeSlow(firstBytes);
  }

  clear(): void {
    this.length = 0;
  }

  /** A tag of a field whose number is below 16, and the like. */
  octet(value: number): void {
    this.#reserve(1);
    this.bytes[this.length++] = value;
  }

  /** An integer from 0 to Number.MAX_SAFE_INTEGER. */
  varint(value: number): void {
    this.#reserve(VARINT_MAX);
    let rest = value;
    while (rest > 0x7f) {
      this.bytes[this.length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.length++] = rest;
  }

  double(value: number): void {
    this.#reserve(8);
    this.length = this.bytes.writeDoubleLE(value, this.length);
  }

  /** Whole milliseconds from 0 up as nanoseconds in eight octets. */
  nanoseconds(timeMs: number): void {
    this.nanosecondsAt(this.skip(8), timeMs);
  }

  // What was left out before, by `skip` or in bytes that were copied, is put in at its place.

  /** Leaves so many octets out, which are anything until they are put in; answers where they begin. */
  skip(octets: number): number {
    this.#reserve(octets);
    const at = this.length;
    this.length += octets;
    return at;
  }

  /** Nanoseconds are more than a number can hold, so they go in two halves. */
  nanosecondsAt(at: number, timeMs: number): void {
    const high = Math.floor(timeMs / 65_536) * 1e6;
    const low = (high % 65_536) * 65_536 + (timeMs % 65_536) * 1e6;
    this.#word(at, low % 2 ** 32);
    this.#word(at + 4, Math.floor(high / 65_536) + Math.floor(low / 2 ** 32));
  }

  doubleAt(at: number, value: number): void {
    this.bytes.writeDoubleLE(value, at);
  }

  /** An integer in exactly so many octets: longer than it need be, which every reader takes. */
  varintAt(at: number, value: number, octets: number): void {
    const { bytes } = this;
    let rest = value;
    for (let i = at; i < at + octets - 1; i++) {
      const next = Math.floor(rest / 128);
      bytes[i] = (rest - next * 128) | 0x80;
      rest = next;
    }
    bytes[at + octets - 1] = rest;
  }

  /** One octet for each character, which must not be above U+00FF. */
  latin1At(at: number, text: string): void {
    const { bytes } = this;
    for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
  }

  #word(at: number, value: number): void {
    const { bytes } = this;
    bytes[at] = value;
    bytes[at + 1] = value >>> 8;
    bytes[at + 2] = value >>> 16;
    bytes[at + 3] = value >>> 24;
  }

  /** Eight octets. */
  fixed64(value: bigint): void {
    this.#reserve(8);
    this.length = this.bytes.writeBigUInt64LE(value, this.length);
  }

  /** Bytes that were put together before. */
  copy(made: Uint8Array, length = made.length): void {
    this.#reserve(length);
    if (length === made.length) this.bytes.set(made, this.length);
    else this.bytes.set(made.subarray(0, length), this.length);
    this.length += length;
  }

  /** What is no ASCII is not written, and false returned. No length stands before it. */
  ascii(text: string): boolean {
    this.#reserve(text.length);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) return false;
      bytes[at++] = code;
    }
    this.length = at;
    return true;
  }

  /** Octets that are written in hexadecimal digits, two each; other characters are no matter for this. */
  hexadecimal(digits: string): void {
    this.#reserve(digits.length / 2);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i + 1 < digits.length; i += 2)
      bytes[at++] = (digitOf(digits.charCodeAt(i)) << 4) | digitOf(digits.charCodeAt(i + 1));
    this.length = at;
  }

  /** A copy of what was put together. */
  take(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.length));
  }

  #reserve(count: number): void {
    const wanted = this.length + count;
    if (wanted <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(wanted * 2);
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}

/** Octets that an integer takes. */
export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) length++;
  return length;
}

/** 0 to 9, a to f, A to F. */
function digitOf(code: number): number {
  return (code & 0x0f) + (code > 0x39 ? 9 : 0);
}

const FIRST_BYTES = 4_096;
const VARINT_MAX = 10;
