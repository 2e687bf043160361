/**
 * Protobuf that is put together as bytes, in a buffer that is used again and again: for what is written for every request.
 * What is rare is written by tables (protobuf-message.ts). Lengths stand before what they measure, so whoever writes a
 * message within a message knows its length first, or puts it together in a buffer of its own.
 */
export class ProtobufBytes {
  bytes: Buffer;
  length = 0;

  constructor(firstBytes = FIRST_BYTES) {
    this.bytes = Buffer.allocUnsafeSlow(firstBytes);
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

  /** Whole milliseconds from 0 up as nanoseconds in eight octets: more than a number can hold, so in two halves. */
  nanoseconds(timeMs: number): void {
    this.#reserve(8);
    const high = Math.floor(timeMs / 65_536) * 1e6;
    const low = (high % 65_536) * 65_536 + (timeMs % 65_536) * 1e6;
    this.length = this.bytes.writeUInt32LE(low % 2 ** 32, this.length);
    this.length = this.bytes.writeUInt32LE(Math.floor(high / 65_536) + Math.floor(low / 2 ** 32), this.length);
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

  /** Octets that are written in hexadecimal digits; other characters are no matter for this. */
  hexadecimal(digits: string): void {
    this.#reserve(digits.length / 2);
    this.length += this.bytes.write(digits, this.length, "hex");
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

const FIRST_BYTES = 4_096;
const VARINT_MAX = 10;
