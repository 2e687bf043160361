import { randomBytes } from "node:crypto";
import { link, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CardeaError } from "../core/errors.ts";
import type { StateFiles } from "../core/state-files.ts";
import { atomicWrite, listFiles, makeDirectory, readTextIfPresent, removeFile } from "./files.ts";

/** The state in a directory of the file system, made when it is not there. */
export function openStateFiles(directory: string): StateFiles {
  const at = (path: string): string => join(directory, ...pathNames(path));
  return {
    directory,
    read: (path) => readTextIfPresent(at(path)),
    readPrivate: (path) => readPrivate(at(path)),
    async write(path, text) {
      await makeDirectory(dirname(at(path)));
      await atomicWrite(at(path), text, 0o600);
    },
    async create(path, text) {
      await makeDirectory(dirname(at(path)));
      return createWhole(at(path), text);
    },
    remove: (path) => removeFile(at(path)),
    list: (path) => listFiles(at(path)),
  };
}

/** Names from tokens and the like become paths: none may leave the directory. */
function pathNames(path: string): readonly string[] {
  const names = path.split("/");
  const isInside = names.every((name) => name !== "" && name !== "." && name !== ".." && !/[\\\0]/.test(name));
  if (!isInside) throw new CardeaError("internal", `${JSON.stringify(path)} is no path inside the state directory`);
  return names;
}

async function readPrivate(path: string): Promise<string | null> {
  const text = await readTextIfPresent(path);
  if (text === null) return null;
  const { mode } = await stat(path);
  if ((mode & 0o077) === 0) return text;
  const permissions = (mode & 0o777).toString(8);
  throw new CardeaError("bad-input", `${path} holds a key and others may read it (mode ${permissions}); chmod 600 it`);
}

/** A link cannot replace a file, and what it points to is whole: so one of several writers wins, with all it wrote. */
async function createWhole(path: string, text: string): Promise<boolean> {
  const draft = join(dirname(path), `.draft-${randomBytes(6).toString("hex")}`);
  await atomicWrite(draft, text, 0o600);
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw new CardeaError("bad-input", `${path} cannot be written: ${(error as Error).message}`, error);
  } finally {
    await removeFile(draft);
  }
}
