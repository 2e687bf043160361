import { type Cipheriv, createCipheriv } from "node:crypto";

/**
 * The bytes that belong to one name and to no other: a stream cipher's key stream, so that a byte which is lost,
 * doubled, invented or of another stream shows wherever it stands.
 */
export class KeyedBytes {
  readonly #cipher: Cipheriv;
  /** How many bytes have been taken. */
  count = 0;

  constructor(name: string) {
    const key = Buffer.alloc(16);
    key.write(name, "latin1");
    this.#cipher = createCipheriv("aes-128-ctr", key, COUNTER);
  }

  /** The next bytes. */
  take(length: number): Buffer {
    this.count += length;
    return this.#cipher.update(length <= ZEROS.length ? ZEROS.subarray(0, length) : Buffer.alloc(length));
  }
}

/** Compares what comes with what belongs to a name. */
export class KeyedReader {
  readonly #expected: KeyedBytes;
  /** Whether all that came is what belongs there. */
  isTrue = true;

  constructor(name: string) {
    this.#expected = new KeyedBytes(name);
  }

  get count(): number {
    return this.#expected.count;
  }

  feed(piece: Buffer): void {
    if (!this.#expected.take(piece.length).equals(piece)) this.isTrue = false;
  }
}

const COUNTER = Buffer.alloc(16);
const ZEROS = Buffer.alloc(1024 * 1024);
