import { type FileHandle, open } from "node:fs/promises";

/** A file that bytes are put into at one end and taken from at the other, piece by piece. One call at a time. */
export interface SpillFile {
  /** Bytes that wait. */
  readonly bytes: number;
  /** Appends; false, and nothing written, when the file would grow over its bound. Errors: Node's own. */
  append(piece: Buffer): Promise<boolean>;
  /** The oldest that wait, so many at the most. Errors: Node's own. */
  peek(bytesMax: number): Promise<Buffer>;
  /** So many of the oldest need not wait any more; an empty file is cut to nothing. Errors: Node's own. */
  drop(bytes: number): Promise<void>;
  close(): Promise<void>;
}

/** What an earlier process has left waits as well. Errors: Node's own. */
export async function openSpillFile(path: string, bytesMax: number): Promise<SpillFile> {
  const file = await openForBoth(path);
  let start = 0;
  let end = (await file.stat()).size;
  return {
    get bytes() {
      return end - start;
    },
    async append(piece) {
      if (end + piece.length > bytesMax) return false;
      await file.write(piece, 0, piece.length, end);
      end += piece.length;
      return true;
    },
    async peek(most) {
      const piece = Buffer.allocUnsafe(Math.min(most, end - start));
      const { bytesRead } = await file.read(piece, 0, piece.length, start);
      return piece.subarray(0, bytesRead);
    },
    async drop(count) {
      start += count;
      if (start < end) return;
      await file.truncate(0);
      start = 0;
      end = 0;
    },
    close: () => file.close(),
  };
}

/** For reading and writing; made where it is absent, for nobody else to read. */
async function openForBoth(path: string): Promise<FileHandle> {
  // Not "a+": on Linux that writes at the end whatever place is given.
  return open(path, "r+").catch(() => open(path, "w+", 0o600));
}
