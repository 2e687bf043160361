import { CardeaError } from "../core/errors.ts";
import { WIRE_TYPES } from "./protobuf-reader.ts";

/**
 * Walks through a protobuf message field by field, without an object for each: for what comes in by the ten thousand. All
 * others read by tables (protobuf-message.ts). Errors of every method: `bad-input` for what is no protobuf.
 */
export class ProtobufCursor {
  readonly bytes: Buffer;
  /** Of the next octet, and after the last. A message within the message is walked through by moving `end` for a while. */
  at: number;
  end: number;
  /** What stands in the tag that was read last. */
  number = 0;
  wireType = 0;
  /** Where the length-delimited value that was read last begins and ends. */
  valueStart = 0;
  valueEnd = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.at = 0;
    this.end = bytes.length;
  }

  /** Goes to the next field; false at the end. */
  next(): boolean {
    if (this.at >= this.end) return false;
    const tag = this.varint();
    this.number = Math.floor(tag / 8);
    this.wireType = tag % 8;
    return true;
  }

  /** Whether the field is this one, with this wire type. A known field of another type is refused. */
  is(number: number, wireType: number): boolean {
    if (this.number !== number) return false;
    if (this.wireType !== wireType) throw refused(`field ${number} has wire type ${this.wireType}`);
    return true;
  }

  /** Numbers beyond the safe integers come as near as they can. */
  varint(): number {
    const { bytes, end } = this;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < VARINT_MAX && this.at < end; count++) {
      const octet = bytes[this.at++]!;
      value += (octet & 0x7f) * scale;
      if (octet < 0x80) return value;
      scale *= 128;
    }
    throw refused("a number has no end");
  }

  /** Passes a length-delimited value, and says where it stood. */
  value(): void {
    const length = this.varint();
    if (length > this.end - this.at) throw refused("it ends within a field");
    this.valueStart = this.at;
    this.valueEnd = this.at += length;
  }

  /** Where an eight-octet value stands. */
  fixed64(): number {
    const { at } = this;
    this.#advance(8);
    return at;
  }

  /** Passes the field whose tag was read. */
  skip(): void {
    switch (this.wireType) {
      case WIRE_TYPES.varint:
        this.varint();
        break;
      case WIRE_TYPES.fixed64:
        this.#advance(8);
        break;
      case WIRE_TYPES.bytes:
        this.value();
        break;
      case WIRE_TYPES.fixed32:
        this.#advance(4);
        break;
      default:
        throw refused(`${this.wireType} is no wire type of proto3`);
    }
  }

  #advance(count: number): void {
    if (count > this.end - this.at) throw refused("it ends within a field");
    this.at += count;
  }
}

const VARINT_MAX = 10;

function refused(why: string): CardeaError {
  return new CardeaError("bad-input", `no valid protobuf message: ${why}`);
}
