import { join } from "node:path";
import {
  formatRevisionFile,
  parseRevisionFile,
  type RevisionFile,
  revisionFileName,
} from "../../config/revision-file.ts";
import { LIMITS } from "../../core/limits.ts";
import { atomicWrite, listFiles, makeDirectory, readModifiedMs, readText, removeFile } from "../../io/files.ts";

/** The policy revisions that were in force, as files: for explanations, and for a start while the policies are faulty. */
export interface RevisionArchive {
  /** Keeps the revision as the newest, and the newest few in all. Errors: `bad-input` (a full disk). */
  save(file: RevisionFile): Promise<void>;
  /** The one that was in force last, or null. Errors: `bad-input`. */
  newest(): Promise<RevisionFile | null>;
}

export function openRevisionArchive(directory: string): RevisionArchive {
  return {
    async save(file) {
      await makeDirectory(directory);
      await atomicWrite(join(directory, revisionFileName(file.revision)), formatRevisionFile(file), 0o600);
      for (const path of (await newestFirst(directory)).slice(LIMITS.revisionsKept)) await removeFile(path);
    },
    async newest() {
      const [path] = await newestFirst(directory);
      return path === undefined ? null : parseRevisionFile(await readText(path, LIMITS.revisionBytesMax), path);
    },
  };
}

/** By the time of writing: a revision that comes back is written again, and so is the newest again. */
async function newestFirst(directory: string): Promise<readonly string[]> {
  const paths = (await listFiles(directory)).map((name) => join(directory, name));
  const written = await Promise.all(paths.map(async (path) => ({ path, atMs: await readModifiedMs(path) })));
  return written.toSorted((left, right) => right.atMs - left.atMs).map(({ path }) => path);
}
