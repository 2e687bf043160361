import { isUtf8 } from "node:buffer";
import { CardeaError } from "../core/errors.ts";

/** How a field's value is laid out. Groups (3, 4) do not exist in proto3. protobuf.dev/programming-guides/encoding. */
export const WIRE_TYPES = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

export type WireType = (typeof WIRE_TYPES)[keyof typeof WIRE_TYPES];

/**
 * Reads one protobuf message, within its bounds. Errors of every method: `bad-input` for what is truncated, overlong or
 * not protobuf. The buffer stays its owner's; `bytes` answers views into it.
 */
export class ProtobufReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#end;
  }

  /** Field number and wire type of what comes next. */
  tag(): { readonly number: number; readonly wireType: WireType } {
    const tag = this.uint64();
    const number = Math.floor(tag / 8);
    const wireType = tag % 8;
    if (number < 1 || number > FIELD_NUMBER_MAX) throw refused(`${number} is no field number`);
    if (!isWireType(wireType)) throw refused(`${wireType} is no wire type of proto3`);
    return { number, wireType };
  }

  /** The low 32 bits, as every reader of protobuf has it. */
  uint32(): number {
    return this.#varint().low;
  }

  int32(): number {
    return this.#varint().low | 0;
  }

  /** Errors: `bad-input`, too, when it is no safe integer. */
  int64(): number {
    const { low, high } = this.#varint();
    return safe((high | 0) * 2 ** 32 + low);
  }

  /** Errors: `bad-input`, too, when it is no safe integer. */
  uint64(): number {
    const { low, high } = this.#varint();
    return safe(high * 2 ** 32 + low);
  }

  bool(): boolean {
    const { low, high } = this.#varint();
    return (low | high) !== 0;
  }

  double(): number {
    const at = this.#at;
    this.#advance(8);
    return this.#bytes.readDoubleLE(at);
  }

  /** A view of a length-delimited value. */
  bytes(): Buffer {
    const start = this.#begin();
    return this.#bytes.subarray(start, this.#at);
  }

  /** Errors: `bad-input`, too, when it is not UTF-8, which proto3 demands. */
  string(): string {
    const view = this.bytes();
    if (!isUtf8(view)) throw refused("a text is not UTF-8");
    return view.toString("utf8");
  }

  /** A reader of a length-delimited value. */
  nested(): ProtobufReader {
    const start = this.#begin();
    return new ProtobufReader(this.#bytes, start, this.#at);
  }

  /** What a field of another version of the message holds. */
  skip(wireType: WireType): void {
    switch (wireType) {
      case WIRE_TYPES.varint:
        this.#varint();
        break;
      case WIRE_TYPES.fixed64:
        this.#advance(8);
        break;
      case WIRE_TYPES.bytes:
        this.#begin();
        break;
      case WIRE_TYPES.fixed32:
        this.#advance(4);
        break;
    }
  }

  /** Passes a length and what it spans; answers where that begins. */
  #begin(): number {
    const length = this.uint64();
    const start = this.#at;
    this.#advance(length);
    return start;
  }

  #advance(count: number): void {
    if (count > this.#end - this.#at) throw refused("it ends within a field");
    this.#at += count;
  }

  #varint(): Varint {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#at >= this.#end) throw refused("it ends within a number");
      const octet = this.#bytes[this.#at++]!;
      const bits = octet & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else if (bits > 1) break;
      else high |= bits << 31;
      if (octet < 0x80) return { low: low >>> 0, high: high >>> 0 };
    }
    throw refused("a number has more than 64 bits");
  }
}

interface Varint {
  readonly low: number;
  readonly high: number;
}

const FIELD_NUMBER_MAX = 2 ** 29 - 1;

function isWireType(value: number): value is WireType {
  return value === 0 || value === 1 || value === 2 || value === 5;
}

function safe(value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw refused("a number is larger than any that is meant");
}

function refused(why: string): CardeaError {
  return new CardeaError("bad-input", `no valid protobuf message: ${why}`);
}
