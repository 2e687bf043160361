import type { StateFiles } from "../../src/core/state-files.ts";

/** State in memory; `texts` can be looked at and damaged. */
export interface MemoryStateFiles extends StateFiles {
  readonly texts: Map<string, string>;
}

export function createMemoryStateFiles(): MemoryStateFiles {
  const texts = new Map<string, string>();
  return {
    directory: "/state",
    texts,
    read: async (path) => texts.get(path) ?? null,
    readPrivate: async (path) => texts.get(path) ?? null,
    async write(path, text) {
      texts.set(path, text);
    },
    async create(path, text) {
      if (texts.has(path)) return false;
      texts.set(path, text);
      return true;
    },
    remove: async (path) => texts.delete(path),
    async list(path) {
      const names = [...texts.keys()].filter((each) => each.startsWith(`${path}/`));
      return names.map((each) => each.slice(path.length + 1)).toSorted();
    },
  };
}
