import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * Where a folder of the shared corpus lies, beside the repository, or null when this checkout has none. Tests that need
 * it skip by `describe.skipIf(path === null)` and say so in their name.
 */
export function corpusPath(name: string): string | null {
  const path = fileURLToPath(new URL(`../../../shared/corpus/${name}`, import.meta.url));
  return existsSync(path) ? path : null;
}
