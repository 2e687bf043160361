import { close, fstat, fstatSync, open, read, rename, type Stats, stat, write } from "node:fs";

/** Whole lines that are on their way into a file. `offset` is how many bytes of them are in it. */
export interface Batch {
  readonly bytes: Buffer;
  offset: number;
}

/** Where batches go. Failures are Node's own errors, for line-file.ts to wait out. */
export interface AppendTarget {
  /** Appends what is missing of the batch; after an error it can be called again with the same one. */
  append(batch: Batch): Promise<void>;
  close(): Promise<void>;
}

interface OpenFile {
  readonly fd: number;
  readonly device: number;
  readonly inode: number;
  bytes: number;
  /** When the path was last seen to lead to it. */
  seenMs: number;
}

/** How long a file that was moved away may still be written to: asking for each write was 4 % of a busy sidecar. */
const LOOK_AGAIN_MS = 1_000;

const LINE_FEED = 0x0a;

/**
 * A file that is appended to for ever: rotated to `<path>.1` when it would grow over `bytesMax` (one predecessor is
 * kept), and made again when somebody has removed it, or within `lookAgainMs` when somebody has moved it.
 */
export function appendToFile(path: string, bytesMax: number, lookAgainMs = LOOK_AGAIN_MS): AppendTarget {
  let file: OpenFile | null = null;

  async function letGo(): Promise<void> {
    const old = file;
    file = null;
    if (old !== null) await closeFile(old.fd);
  }

  /** The file that stands at the path now. */
  async function current(batch: Batch): Promise<OpenFile> {
    if (file !== null && (await isStillThere(path, file, lookAgainMs))) return file;
    await letGo();
    // What was begun went into a file that is gone: the line that was torn begins again.
    batch.offset = batch.offset === 0 ? 0 : batch.bytes.lastIndexOf(LINE_FEED, batch.offset - 1) + 1;
    file = await openForAppending(path);
    return file;
  }

  async function rotated(batch: Batch): Promise<OpenFile> {
    const now = await current(batch);
    const isWhole = batch.offset === 0;
    if (!isWhole || now.bytes === 0 || now.bytes + batch.bytes.length <= bytesMax) return now;
    await letGo();
    await renameFile(path, `${path}.1`);
    return current(batch);
  }

  return {
    async append(batch) {
      const into = await rotated(batch);
      try {
        await writeAll(into, batch);
      } catch (error) {
        // Somebody may be putting another in its place.
        into.seenMs = Number.NEGATIVE_INFINITY;
        throw error;
      }
    },
    close: letGo,
  };
}

async function writeAll(into: OpenFile, batch: Batch): Promise<void> {
  while (batch.offset < batch.bytes.length) {
    const written = await writeSome(into.fd, batch);
    into.bytes += written;
    batch.offset += written;
  }
}

/** Standard output: a pipe to a log collector, or a terminal. */
export function appendToStdout(): AppendTarget {
  return {
    async append(batch) {
      while (batch.offset < batch.bytes.length) batch.offset += await writeSome(1, batch);
    },
    close: () => Promise.resolve(),
  };
}

/**
 * What is written to a file that was moved is found there; what is written to one that was removed is lost. So the
 * second is asked each time, which takes no disk, and the first now and then.
 */
async function isStillThere(path: string, file: OpenFile, lookAgainMs: number): Promise<boolean> {
  if (fstatSync(file.fd).nlink === 0) return false;
  const nowMs = performance.now();
  if (nowMs - file.seenMs < lookAgainMs) return true;
  file.seenMs = nowMs;
  try {
    const found = await statPath(path);
    return found.ino === file.inode && found.dev === file.device;
  } catch {
    return false;
  }
}

async function openForAppending(path: string): Promise<OpenFile> {
  // Records tell who called what, so they are the owner's to read.
  const fd = await openFile(path, "a+", 0o600);
  try {
    const found = await statFile(fd);
    const file = {
      fd,
      device: found.dev,
      inode: found.ino,
      bytes: found.isFile() ? found.size : 0,
      seenMs: performance.now(),
    };
    if (file.bytes > 0) await endTornLine(file);
    return file;
  } catch (error) {
    await closeFile(fd);
    throw error;
  }
}

/** A process that was killed in the middle of a write leaves half a line; ours must not become its other half. */
async function endTornLine(file: OpenFile): Promise<void> {
  const last = Buffer.alloc(1);
  await readAt(file.fd, last, file.bytes - 1);
  if (last[0] === LINE_FEED) return;
  file.bytes += await writeSome(file.fd, { bytes: Buffer.from("\n"), offset: 0 });
}

// node:fs with callbacks, wrapped by hand: its promises make a FileHandle and two objects more for every call.

function openFile(path: string, flags: string, mode: number): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, flags, mode, (error, fd) => (error === null ? resolve(fd) : reject(error)));
  });
}

function closeFile(fd: number): Promise<void> {
  return new Promise((resolve) => {
    // The bytes are with the kernel; a failing close has nothing left to tell.
    close(fd, () => resolve());
  });
}

function statPath(path: string): Promise<Stats> {
  return new Promise((resolve, reject) => {
    stat(path, (error, found) => (error === null ? resolve(found) : reject(error)));
  });
}

function statFile(fd: number): Promise<Stats> {
  return new Promise((resolve, reject) => {
    fstat(fd, (error, found) => (error === null ? resolve(found) : reject(error)));
  });
}

function renameFile(from: string, to: string): Promise<void> {
  return new Promise((resolve, reject) => {
    rename(from, to, (error) => (error === null ? resolve() : reject(error)));
  });
}

function readAt(fd: number, into: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, into, 0, into.length, position, (error, count) => (error === null ? resolve(count) : reject(error)));
  });
}

/** Bytes written: fewer than asked for when the disk has just become full. */
function writeSome(fd: number, batch: Batch): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, batch.bytes, batch.offset, batch.bytes.length - batch.offset, null, (error, count) =>
      error === null ? resolve(count) : reject(error),
    );
  });
}
