import { type FileHandle, open } from "node:fs/promises";

const CHUNK_BYTES = 256 * 1024;
const LINE_FEED = 0x0a;

/**
 * The whole lines of a file, the last first, without reading more of it than is asked for. What was appended after
 * the call is not seen, and neither is a last line without its end. An absent file has no lines.
 */
export async function* readLinesBackward(path: string): AsyncGenerator<string> {
  for await (const block of readBlocksBackward(path)) {
    let end = block.length - 1;
    while (end >= 0) {
      const start = end === 0 ? 0 : block.lastIndexOf(LINE_FEED, end - 1) + 1;
      yield block.toString("utf8", start, end);
      end = start - 1;
    }
  }
}

/** The last whole line that contains the text, or null. Lines that do not are never made into strings. */
export async function findLastLine(path: string, text: string): Promise<string | null> {
  const needle = Buffer.from(text);
  for await (const block of readBlocksBackward(path)) {
    const at = block.lastIndexOf(needle);
    if (at >= 0) {
      const start = at === 0 ? 0 : block.lastIndexOf(LINE_FEED, at - 1) + 1;
      return block.toString("utf8", start, block.indexOf(LINE_FEED, at));
    }
  }
  return null;
}

/** Blocks of whole lines, the last first; every block ends with a line feed. */
async function* readBlocksBackward(path: string): AsyncGenerator<Buffer> {
  const file = await openIfPresent(path);
  if (file === null) return;
  try {
    let position = (await file.stat()).size;
    /** The beginning of what was read so far: the rest of a line whose start comes with the next chunk. */
    let rest: Buffer = Buffer.alloc(0);
    let isTail = true;
    while (position > 0) {
      const start = Math.max(0, position - CHUNK_BYTES);
      const block = Buffer.concat([await readExactly(file, start, position - start), rest]);
      position = start;
      const firstEnd = start === 0 ? -1 : block.indexOf(LINE_FEED);
      if (start > 0 && firstEnd < 0) {
        rest = block;
        continue;
      }
      rest = block.subarray(0, firstEnd + 1);
      const whole = block.subarray(firstEnd + 1, isTail ? block.lastIndexOf(LINE_FEED) + 1 : block.length);
      isTail &&= whole.length === 0;
      if (whole.length > 0) yield whole;
    }
  } finally {
    await file.close();
  }
}

async function openIfPresent(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, "r");
  } catch {
    return null;
  }
}

/** Less when the file was cut meanwhile. */
async function readExactly(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, position);
  return bytes.subarray(0, bytesRead);
}
