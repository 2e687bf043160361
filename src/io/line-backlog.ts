import type { Batch } from "./append-file.ts";

/**
 * Lines that wait to be written, as bytes from the moment they come. As texts they outlived several collections of the
 * young generation each, in some forty pieces a line, and were most of what a busy sidecar's collector had to copy.
 */
export class LineBacklog {
  lines = 0;
  bytes = 0;
  readonly #blockBytes: number;
  /** Full ones and the one that is being filled, oldest first. */
  #blocks: Block[] = [];
  /** One that was written out, for the next lines: a block is not made for each batch. */
  #spare: Buffer | null = null;

  /** `blockBytes`: how much is written at once; a longer line has a block of its own. */
  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes;
  }

  /** Adds a line, which is the first `length` of the bytes, and its line feed. */
  add(line: Uint8Array, length: number): void {
    const block = this.#blockFor(length + 1);
    block.buffer.set(length === line.length ? line : line.subarray(0, length), block.used);
    block.used += length;
    block.buffer[block.used++] = LINE_FEED;
    block.lines++;
    this.lines++;
    this.bytes += length + 1;
  }

  /** The oldest lines, which are the caller's from now on; null when none wait. */
  take(): Batch | null {
    const block = this.#blocks.shift();
    if (block === undefined) return null;
    this.lines -= block.lines;
    this.bytes -= block.used;
    return { bytes: block.buffer.subarray(0, block.used), offset: 0 };
  }

  /** A batch of ours is written, and nobody looks at it any more. */
  giveBack({ bytes }: Batch): void {
    if (bytes.buffer.byteLength === this.#blockBytes) this.#spare = Buffer.from(bytes.buffer);
  }

  clear(): void {
    this.#blocks = [];
    this.lines = 0;
    this.bytes = 0;
  }

  #blockFor(bytes: number): Block {
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.buffer.length - last.used >= bytes) return last;
    const block = { buffer: this.#buffer(bytes), used: 0, lines: 0 };
    this.#blocks.push(block);
    return block;
  }

  #buffer(bytes: number): Buffer {
    if (bytes > this.#blockBytes) return Buffer.allocUnsafeSlow(bytes);
    const buffer = this.#spare ?? Buffer.allocUnsafeSlow(this.#blockBytes);
    this.#spare = null;
    return buffer;
  }
}

interface Block {
  readonly buffer: Buffer;
  used: number;
  lines: number;
}

const LINE_FEED = 0x0a;
