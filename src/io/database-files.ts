import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

/** SQLite keeps these beside a database while it is open, and after a crash. */
const COMPANIONS = ["", "-wal", "-shm", "-journal"];

/** The databases of one directory. Synchronous: for a thread of its own. */
export interface DatabaseFiles {
  /** Names, sorted. */
  list(): readonly string[];
  pathOf(name: string): string;
  /** With what stands beside it; 0: it is not there. */
  bytesOf(name: string): number;
  remove(name: string): void;
  /** Out of the way, and kept; answers under which name. */
  moveAside(name: string): string;
}

/** Makes the directory where it is absent, for nobody else to read. */
export function openDatabaseFiles(directory: string, suffix: string): DatabaseFiles {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const pathOf = (name: string): string => join(directory, name);
  return {
    list: () =>
      readdirSync(directory)
        .filter((name) => name.endsWith(suffix))
        .toSorted(),
    pathOf,
    bytesOf: (name) =>
      COMPANIONS.reduce((sum, end) => sum + (statSync(pathOf(name + end), { throwIfNoEntry: false })?.size ?? 0), 0),
    remove: (name) => {
      for (const end of COMPANIONS) rmSync(pathOf(name + end), { force: true });
    },
    moveAside(name) {
      let aside = `${name}.damaged`;
      for (let i = 1; existsSync(pathOf(aside)); i++) aside = `${name}.damaged.${i}`;
      for (const end of COMPANIONS)
        if (existsSync(pathOf(name + end))) renameSync(pathOf(name + end), pathOf(aside + end));
      return aside;
    },
  };
}
