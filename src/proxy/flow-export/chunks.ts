import { ProtobufBytes } from "../../wire/protobuf-bytes.ts";

/** What a chunk is sealed at: room for a long record is left, and a DATA frame takes it whole. */
export const CHUNK_FULL_BYTES = 14_336;
const CHUNK_BYTES = 16_384;
/** 1 MiB: the rest, after a collector was away, is left to the runtime. */
const SPARE_MAX = 64;

/**
 * Memory that records are written into and that is used again once they have been sent. As fresh memory, some megabytes in a
 * second outside of the heap, they made the collector go through all of it again and again: three quarters of what a record
 * cost.
 */
export class Chunks {
  readonly #spare: Buffer[] = [];

  take(): ProtobufBytes {
    return new ProtobufBytes(CHUNK_BYTES, this.#spare.pop());
  }

  /** Nobody looks at these any more; of others than a chunk's nothing is kept. */
  giveBack(bytes: Buffer): void {
    if (bytes.buffer.byteLength === CHUNK_BYTES && this.#spare.length < SPARE_MAX)
      this.#spare.push(Buffer.from(bytes.buffer));
  }

  /** What was written, as bytes to keep: a chunk that is less than half full is not kept for it. */
  seal(chunk: ProtobufBytes): Buffer {
    const bytes = chunk.bytes.subarray(0, chunk.length);
    if (bytes.length >= CHUNK_BYTES / 2) return bytes;
    const copied = Buffer.from(bytes);
    this.giveBack(bytes);
    return copied;
  }
}
