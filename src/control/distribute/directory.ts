import { type CardeaError, toCardeaError } from "../../core/errors.ts";
import { listFilesBelow, readText } from "../../io/files.ts";
import { watchDirectory } from "../../io/watch.ts";

/** A directory of configuration that people and programs change while we run. */
export interface Directory {
  /** For messages. */
  readonly path: string;
  /**
   * All files with their texts, in the order of their paths; one that cannot be read is told in its place.
   * Errors: `bad-input` when the directory itself is absent or cannot be listed.
   */
  read(): Promise<readonly DirectoryFile[]>;
  /** Calls `onChange` soon after anything in it has changed. */
  watch(onChange: () => void): { close(): void };
}

export type DirectoryFile =
  | { readonly kind: "text"; readonly path: string; readonly text: string }
  | { readonly kind: "unreadable"; readonly path: string; readonly error: CardeaError };

/** Long enough for an editor's save in several steps, short beside the second that a change may take in all. */
export const CHANGE_DEBOUNCE_MS = 50;

/** The files of some endings in a real directory and all below it. Hidden ones are left out. */
export function openDirectory(path: string, endings: readonly string[]): Directory {
  return {
    path,
    async read() {
      const paths = await listFilesBelow(path);
      const wanted = paths.filter((each) => endings.some((ending) => each.endsWith(ending)));
      return Promise.all(wanted.map(readOne));
    },
    watch: (onChange) => watchDirectory(path, { debounceMs: CHANGE_DEBOUNCE_MS }, onChange),
  };
}

async function readOne(path: string): Promise<DirectoryFile> {
  try {
    return { kind: "text", path, text: await readText(path) };
  } catch (thrown) {
    return { kind: "unreadable", path, error: toCardeaError(thrown) };
  }
}
