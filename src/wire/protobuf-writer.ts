import type { WireType } from "./protobuf-reader.ts";

/** Writes one protobuf message. */
export class ProtobufWriter {
  readonly #pieces: Buffer[] = [];

  tag(number: number, wireType: WireType): void {
    this.#varint(number * 8 + wireType);
  }

  /** An integer of any of protobuf's kinds: a negative one is written as its 64-bit two's complement. */
  integer(value: number): void {
    if (value >= 0) this.#varint(value);
    else this.#negative(value);
  }

  double(value: number): void {
    const octets = Buffer.allocUnsafe(8);
    octets.writeDoubleLE(value);
    this.#pieces.push(octets);
  }

  /** The callee keeps the buffer. */
  bytes(value: Uint8Array): void {
    this.integer(value.length);
    this.#pieces.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  }

  string(value: string): void {
    this.bytes(Buffer.from(value, "utf8"));
  }

  finish(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  #varint(value: number): void {
    if (value < ONE_OCTET.length) {
      this.#pieces.push(ONE_OCTET[value]!);
      return;
    }
    const octets: number[] = [];
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) octets.push((rest % 128) | 0x80);
    octets.push(rest);
    this.#pieces.push(Buffer.from(octets));
  }

  #negative(value: number): void {
    const octets: number[] = [];
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest > 0x7fn; rest >>= 7n) octets.push(Number(rest & 0x7fn) | 0x80);
    octets.push(Number(rest));
    this.#pieces.push(Buffer.from(octets));
  }
}

/** Most numbers on the wire, tags and lengths among them, are small. Nobody writes into these. */
const ONE_OCTET: readonly Buffer[] = Array.from({ length: 128 }, (_, value) => Buffer.from([value]));
