import type { WireType } from "./protobuf-reader.ts";

/** Writes one protobuf message. */
export class ProtobufWriter {
  readonly #pieces: Buffer[] = [];

  tag(number: number, wireType: WireType): void {
    this.#varint(BigInt(number) * 8n + BigInt(wireType));
  }

  /** An integer of any of protobuf's kinds: a negative one is written as its 64-bit two's complement. */
  integer(value: number): void {
    this.#varint(BigInt.asUintN(64, BigInt(value)));
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

  #varint(value: bigint): void {
    const octets: number[] = [];
    let rest = value;
    while (rest > 0x7fn) {
      octets.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    octets.push(Number(rest));
    this.#pieces.push(Buffer.from(octets));
  }
}
