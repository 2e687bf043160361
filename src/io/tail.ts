import { type FileHandle, open } from "node:fs/promises";

/** Reads what is appended to a file, by asking now and then. */
export interface Tail {
  /** The whole lines that have come since the last call, in order; empty when there is no such file. */
  read(): Promise<readonly string[]>;
}

/** One call hands out no more than this; the rest comes with the next. */
const READ_BYTES_MAX = 4 * 1024 * 1024;
const LINE_FEED = 0x0a;

interface Place {
  readonly inode: number;
  readonly offset: number;
}

/**
 * Follows a file from its start, or from where it ends now. When it is rotated to `<path>.1`, what was left of the old
 * one is read first. A line is handed out when it is whole.
 */
export async function openTail(path: string, from: "start" | "end"): Promise<Tail> {
  let place: Place | null = from === "end" ? await readEnd(path) : null;
  return {
    async read() {
      const file = await openIfPresent(path);
      if (file === null) return [];
      try {
        const { ino } = await file.stat();
        const isSame = place === null || place.inode === ino;
        const rest = isSame || place === null ? [] : await readRotated(`${path}.1`, place);
        const found = await readLines(file, isSame && place !== null ? place.offset : 0);
        place = { inode: ino, offset: found.offset };
        return [...rest, ...found.lines];
      } finally {
        await file.close();
      }
    },
  };
}

async function readEnd(path: string): Promise<Place | null> {
  const file = await openIfPresent(path);
  if (file === null) return null;
  try {
    const { ino, size } = await file.stat();
    return { inode: ino, offset: size };
  } finally {
    await file.close();
  }
}

async function readRotated(path: string, place: Place): Promise<readonly string[]> {
  const file = await openIfPresent(path);
  if (file === null) return [];
  try {
    const { ino } = await file.stat();
    return ino === place.inode ? (await readLines(file, place.offset)).lines : [];
  } finally {
    await file.close();
  }
}

async function readLines(file: FileHandle, offset: number): Promise<{ lines: readonly string[]; offset: number }> {
  const { size } = await file.stat();
  // A file that has become shorter was emptied and begins anew.
  const start = size < offset ? 0 : offset;
  const bytes = Buffer.alloc(Math.min(size - start, READ_BYTES_MAX));
  const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
  const end = bytes.lastIndexOf(LINE_FEED, bytesRead - 1) + 1;
  if (end === 0) return { lines: [], offset: start };
  return { lines: bytes.toString("utf8", 0, end - 1).split("\n"), offset: start + end };
}

async function openIfPresent(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, "r");
  } catch {
    return null;
  }
}
