import { createCipheriv, createHash } from "node:crypto";

/** More than twice the longest body, so that no part of one comes again in it. */
const POOL_BYTES = 1024 * 1024;
const POOL = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(POOL_BYTES));

/**
 * The bytes that belong to one name: a stretch of one long row of random bytes, from a place that the name tells. What
 * is lost, doubled or of another name shows wherever it stands, and no byte has to be made or copied for it.
 */
export class OwnBytes {
  readonly #from: number;
  /** How many bytes have been taken. */
  count = 0;

  constructor(name: string) {
    this.#from = createHash("md5").update(name).digest().readUInt32LE(0) % POOL_BYTES;
  }

  /** The next bytes. Nobody may change them. */
  take(length: number): Buffer {
    const start = (this.#from + this.count) % POOL_BYTES;
    this.count += length;
    const end = start + length;
    if (end <= POOL_BYTES) return POOL.subarray(start, end);
    return Buffer.concat([POOL.subarray(start), POOL.subarray(0, end - POOL_BYTES)]);
  }
}

/** Compares what comes with what belongs to a name. */
export class OwnBytesReader {
  readonly #expected: OwnBytes;
  /** Whether all that came is what belongs there. */
  isTrue = true;

  constructor(name: string) {
    this.#expected = new OwnBytes(name);
  }

  get count(): number {
    return this.#expected.count;
  }

  feed(piece: Buffer): void {
    if (piece.length > POOL_BYTES || !this.#expected.take(piece.length).equals(piece)) this.isTrue = false;
  }
}
