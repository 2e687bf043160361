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

  /** Adds the line and its line feed. */
  add(line: string): void {
    // UTF-8 needs three octets a code unit at the most.
    const block = this.#blockFor(line.length * 3 + 1);
    const before = block.used;
    block.used += block.buffer.write(line, before, "utf8");
    block.buffer[block.used++] = LINE_FEED;
    this.lines++;
    block.lines++;
    this.bytes += block.used - before;
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

  #blockFor(bytesMax: number): Block {
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.buffer.length - last.used >= bytesMax) return last;
    const block = { buffer: this.#buffer(bytesMax), used: 0, lines: 0 };
    this.#blocks.push(block);
    return block;
  }

  #buffer(bytesMax: number): Buffer {
    if (bytesMax > this.#blockBytes) return Buffer.allocUnsafeSlow(bytesMax);
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
