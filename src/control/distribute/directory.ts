import { type CardeaError, toCardeaError } from "../../core/errors.ts";
import { systemClock } from "../../io/clock.ts";
import { listFilesBelow, readFileMark, readText } from "../../io/files.ts";
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

/** A file as it was read, with its mark from before. */
interface Known {
  readonly mark: string;
  readonly file: DirectoryFile;
}

/** Two writes within one tick of the file system's clock have one mark: a file must have rested before it is believed. */
const RESTED_MS = 1_000;

/** The files of some endings in a real directory and all below it, read anew where they have changed. Hidden ones are left out. */
export function openDirectory(path: string, endings: readonly string[]): Directory {
  let known: ReadonlyMap<string, Known> = new Map();

  async function readIfChanged(each: string): Promise<Known> {
    const mark = await readFileMark(each);
    const before = known.get(each);
    if (mark !== null && before?.mark === mark.text) return before;
    const file = await readOne(each);
    const hasRested = mark !== null && systemClock.wallMs() - mark.changedMs > RESTED_MS;
    return { mark: hasRested && file.kind === "text" ? mark.text : "", file };
  }

  return {
    path,
    async read() {
      const paths = await listFilesBelow(path);
      const wanted = paths.filter((each) => endings.some((ending) => each.endsWith(ending)));
      const read = await Promise.all(wanted.map(async (each) => [each, await readIfChanged(each)] as const));
      known = new Map(read);
      return read.map(([, { file }]) => file);
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
