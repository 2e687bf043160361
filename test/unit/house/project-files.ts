import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root, with a trailing slash. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** A file of the project: its path from the root, with forward slashes, and its text. */
export interface ProjectFile {
  readonly path: string;
  readonly text: string;
}

/** What is made on the spot and not ours to check. */
const MADE = new Set(["node_modules", "dist", "coverage", ".git", ".cardea"]);

/** Every file under `place` (a folder or a file, from the root) whose name ends in one of `endings`, sorted. */
export function readProjectFiles(place: string, endings: readonly string[]): ProjectFile[] {
  return listFiles(place)
    .filter((path) => endings.some((ending) => path.endsWith(ending)))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
}

export function readProjectFile(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

export function projectHas(path: string): boolean {
  return existsSync(join(ROOT, path));
}

function listFiles(place: string): string[] {
  const absolute = join(ROOT, place);
  if (!existsSync(absolute)) return [];
  if (statSync(absolute).isFile()) return [place];
  return readdirSync(absolute, { withFileTypes: true }).flatMap((entry) => {
    if (MADE.has(entry.name)) return [];
    const path = place === "." ? entry.name : `${place}/${entry.name}`;
    if (entry.isDirectory()) return listFiles(path);
    return entry.isFile() ? [path] : [];
  });
}
