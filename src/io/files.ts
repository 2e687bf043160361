import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import {
  access,
  copyFile,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  truncate,
  unlink,
  writeFile,
} from "node:fs/promises";
import { basename, delimiter, dirname, join, resolve } from "node:path";
import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";

/** A whole file as text. Errors: `bad-input` when it is absent, unreadable, no file or over the size limit. */
export async function readText(path: string, bytesMax: number = LIMITS.documentBytesMax): Promise<string> {
  return translated(path, "cannot be read", async () => {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      if (size > bytesMax) throw new CardeaError("bad-input", `${path} is longer than ${bytesMax} bytes`);
      return await file.readFile("utf8");
    } finally {
      await file.close();
    }
  });
}

/** The same, or null when there is no such file. */
export async function readTextIfPresent(path: string, bytesMax?: number): Promise<string | null> {
  try {
    return await readText(path, bytesMax);
  } catch (thrown) {
    if (isAbsent(thrown)) return null;
    throw thrown;
  }
}

/**
 * Replaces a file in one step: a reader sees the old text or the new one, never half of it. The mode is set
 * before the first byte is written, so a secret is at no time readable by others. Errors: `bad-input`.
 */
export async function atomicWrite(path: string, text: string, mode = 0o644): Promise<void> {
  // The leading dot keeps the draft out of listFiles.
  const draft = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}`);
  await translated(path, "cannot be written", async () => {
    try {
      await writeFile(draft, text, { mode, flag: "wx", flush: true });
      await rename(draft, path);
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  });
}

/** Creates a file that must not exist yet; false when it does. Errors: `bad-input`. */
export async function createFile(path: string, text: string, mode = 0o644): Promise<boolean> {
  return translated(path, "cannot be written", async () => {
    try {
      await writeFile(path, text, { mode, flag: "wx" });
      return true;
    } catch (error) {
      if (codeOf(error) === "EEXIST") return false;
      throw error;
    }
  });
}

/** Names of the files in a directory, sorted, without hidden ones; empty when there is no such directory. */
export async function listFiles(directory: string): Promise<readonly string[]> {
  return translated(directory, "cannot be listed", async () => {
    try {
      const entries = await readdir(directory, { withFileTypes: true });
      // A symbolic link counts: Kubernetes mounts ConfigMaps as links.
      const files = entries.filter(
        (entry) => (entry.isFile() || entry.isSymbolicLink()) && !entry.name.startsWith("."),
      );
      return files.map((entry) => entry.name).toSorted();
    } catch (error) {
      if (codeOf(error) === "ENOENT") return [];
      throw error;
    }
  });
}

/** Paths of all files below a directory, sorted, hidden ones left out. Errors: `bad-input`. */
export async function listFilesBelow(directory: string): Promise<readonly string[]> {
  return translated(directory, "cannot be listed", async () => {
    const entries = await readdir(directory, { withFileTypes: true });
    const shown = entries.filter((entry) => !entry.name.startsWith("."));
    const nested = await Promise.all(shown.map((entry) => pathsOf(join(directory, entry.name), entry.isDirectory())));
    return nested.flat().toSorted();
  });
}

async function pathsOf(path: string, isDirectory: boolean): Promise<readonly string[]> {
  return isDirectory ? listFilesBelow(path) : [path];
}

/** Names of the directories in a directory, sorted; empty when there is no such directory. */
export async function listDirectories(directory: string): Promise<readonly string[]> {
  return translated(directory, "cannot be listed", async () => {
    try {
      const entries = await readdir(directory, { withFileTypes: true });
      return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).toSorted();
    } catch (error) {
      if (codeOf(error) === "ENOENT") return [];
      throw error;
    }
  });
}

/** When a file was last written, ms since the epoch; 0 when it is absent or cannot be looked at. */
export async function readModifiedMs(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs;
  } catch {
    return 0;
  }
}

/** What tells one state of a file from another. */
export interface FileMark {
  /** Inode, size and both times; a write changes one of them. */
  readonly text: string;
  readonly changedMs: number;
}

/** Null: it is absent or cannot be looked at. */
export async function readFileMark(path: string): Promise<FileMark | null> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return { text: `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`, changedMs: Number(ctimeNs / 1_000_000n) };
  } catch {
    return null;
  }
}

/** Deletes a file; false when it was not there, so exactly one of several callers gets true. Errors: `bad-input`. */
export async function removeFile(path: string): Promise<boolean> {
  return translated(path, "cannot be deleted", async () => {
    try {
      await unlink(path);
      return true;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return false;
      throw error;
    }
  });
}

/**
 * Empties a file that has grown over a bound, keeping what it held as `<path>.1`. For files that another process holds
 * open to append to: it writes on at the new beginning; a line that falls between the two steps is lost.
 */
export async function truncateIfLarger(path: string, bytesMax: number): Promise<void> {
  await translated(path, "cannot be cut", async () => {
    if ((await stat(path)).size <= bytesMax) return;
    await copyFile(path, `${path}.1`);
    await truncate(path, 0);
  });
}

/** Makes a directory and its parents, closed to others by default. Errors: `bad-input`. */
export async function makeDirectory(path: string, mode = 0o700): Promise<void> {
  await translated(path, "cannot be made", () => mkdir(path, { recursive: true, mode }));
}

/** Errors: `bad-input` when a directory belongs to somebody else, who could read and change what we keep in it. */
export async function assertOwnDirectory(path: string): Promise<void> {
  await translated(path, "cannot be used", async () => {
    const { uid } = await stat(path);
    if (process.getuid !== undefined && uid !== process.getuid())
      throw new CardeaError("bad-input", `${path} belongs to another user; name a directory of your own`);
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  });
}

/** What stands at a path. Errors: `bad-input` when it cannot be looked at. */
export async function readKind(path: string): Promise<"file" | "directory" | "other" | "absent"> {
  return translated(path, "cannot be read", async () => {
    try {
      const found = await stat(path);
      if (found.isFile()) return "file";
      return found.isDirectory() ? "directory" : "other";
    } catch (error) {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return "absent";
      throw error;
    }
  });
}

/** Where a program is that would be started by this name from here, or null; `searchPath` as in the variable PATH. */
export async function findProgram(name: string, cwd: string, searchPath: string): Promise<string | null> {
  const directories = name.includes("/") ? [""] : searchPath.split(delimiter);
  for (const directory of directories) {
    const path = resolve(cwd, directory, name);
    if (await isProgram(path)) return path;
  }
  return null;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** Whether we may create files in a directory. */
export async function isWritable(directory: string): Promise<boolean> {
  try {
    await access(directory, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  ENOENT: "no such file or directory",
  EISDIR: "it is a directory",
  ENOTDIR: "it is no directory",
  EROFS: "the file system is read-only",
  ENOSPC: "no space is left",
  EMFILE: "too many open files",
  ELOOP: "too many symbolic links",
  ENAMETOOLONG: "the name is too long",
};

/** The kernel's errors as ours, with the path and the reason in words. */
async function translated<T>(path: string, what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof CardeaError) throw error;
    const reason = REASONS[codeOf(error) ?? ""] ?? (error instanceof Error ? error.message : String(error));
    throw new CardeaError("bad-input", `${path} ${what}: ${reason}`, error);
  }
}

function isAbsent(thrown: unknown): boolean {
  return thrown instanceof CardeaError && codeOf(thrown.cause) === "ENOENT";
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
