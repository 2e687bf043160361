import { type FSWatcher, statSync, watch } from "node:fs";

export interface Watching {
  close(): void;
}

interface WatchOptions {
  /** An editor's save is several events: the call comes once they have been quiet for this long. */
  readonly debounceMs: number;
  /** The call comes after this long even if they never are: a directory may be written to without a pause. */
  readonly delayMaxMs?: number;
  /** How often to look whether the directory is still the one being watched (a checkout may replace it). */
  readonly recheckMs?: number;
}

const RECHECK_MS = 1_000;
const DELAY_MAX_MS = 250;

/**
 * Calls `onChange` after anything in a directory or below it has changed. A directory that is absent, deleted
 * or replaced is watched again as soon as it is there. The callee reads what it needs: nothing is told of what
 * changed. To miss nothing, watch first and read then.
 */
export function watchDirectory(directory: string, options: WatchOptions, onChange: () => void): Watching {
  let watched: { mark: string; watcher: FSWatcher } | null = null;
  let quiet: NodeJS.Timeout | null = null;
  let longest: NodeJS.Timeout | null = null;

  function noticed(): void {
    if (quiet !== null) clearTimeout(quiet);
    quiet = setTimeout(tell, options.debounceMs);
    longest ??= setTimeout(tell, options.delayMaxMs ?? DELAY_MAX_MS);
  }

  function settle(): void {
    if (quiet !== null) clearTimeout(quiet);
    if (longest !== null) clearTimeout(longest);
    quiet = longest = null;
  }

  function tell(): void {
    settle();
    onChange();
  }

  function forget(): void {
    watched?.watcher.close();
    watched = null;
  }

  /** Whether another directory (or none) stands at the path now. */
  function rewatch(): boolean {
    const mark = readMark(directory);
    if (mark === (watched?.mark ?? null)) return false;
    forget();
    if (mark === null) return true;
    const watcher = openWatcher(directory, noticed, forget);
    if (watcher !== null) watched = { mark, watcher };
    return true;
  }

  rewatch();
  const recheck = setInterval(() => void (rewatch() && noticed()), options.recheckMs ?? RECHECK_MS);
  recheck.unref();
  return {
    close() {
      clearInterval(recheck);
      settle();
      forget();
    },
  };
}

function openWatcher(directory: string, onEvent: () => void, onLost: () => void): FSWatcher | null {
  try {
    const watcher = watch(directory, { recursive: true, persistent: false }, onEvent);
    watcher.on("error", onLost);
    return watcher;
  } catch {
    return null;
  }
}

/** What tells a directory from another at the same path. Inodes are used again at once, so its birth belongs to it. */
function readMark(path: string): string | null {
  try {
    const { dev, ino, birthtimeNs } = statSync(path, { bigint: true });
    return `${dev}:${ino}:${birthtimeNs}`;
  } catch {
    return null;
  }
}
