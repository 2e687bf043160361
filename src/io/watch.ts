import { WatchedTree } from "./watched-tree.ts";

export interface Watching {
  close(): void;
}

interface WatchOptions {
  /** An editor's save is several events: the call comes once they have been quiet for this long. */
  readonly debounceMs: number;
  /** The call comes after this long even if they never are: a directory may be written to without a pause. */
  readonly delayMaxMs?: number;
  /** How often to look for what no event has told of. */
  readonly recheckMs?: number;
}

const RECHECK_MS = 1_000;
const DELAY_MAX_MS = 250;
/** Looking takes no more than this share of the time, however much there is to look at. */
const LOOKING_SHARE = 0.01;

/**
 * Calls `onChange` after anything in a directory or below it has changed. A directory that is absent, deleted or
 * replaced is watched again as soon as it is there. The callee reads what it needs: nothing is told of what changed.
 *
 * Whoever watches first and then reads misses nothing: the watches are set when this returns. Events are for speed
 * alone. The kernel drops them when its queue is full, without telling anybody, it grants so many watches and no more,
 * and network file systems have none; so the directory is also compared with what stood there when the callee was last
 * told, every `recheckMs`, or less often where it is so large that this would take more than a hundredth of the time.
 */
export function watchDirectory(directory: string, options: WatchOptions, onChange: () => void): Watching {
  const { debounceMs, delayMaxMs = DELAY_MAX_MS, recheckMs = RECHECK_MS } = options;
  const tree = new WatchedTree(directory, noticed);
  let told = tree.look();
  let quiet: NodeJS.Timeout | null = null;
  let longest: NodeJS.Timeout | null = null;

  function noticed(): void {
    if (quiet !== null) clearTimeout(quiet);
    quiet = setTimeout(tell, debounceMs);
    longest ??= setTimeout(tell, delayMaxMs);
  }

  function settle(): void {
    if (quiet !== null) clearTimeout(quiet);
    if (longest !== null) clearTimeout(longest);
    quiet = longest = null;
  }

  function tell(): void {
    settle();
    // Before the callee reads: what changes while it does is news.
    told = tree.look();
    onChange();
  }

  function recheck(): void {
    const startedMs = performance.now();
    if (tree.look() !== told) noticed();
    const spentMs = performance.now() - startedMs;
    next = setTimeout(recheck, Math.max(recheckMs, spentMs / LOOKING_SHARE)).unref();
  }

  let next = setTimeout(recheck, recheckMs).unref();
  return {
    close() {
      clearTimeout(next);
      settle();
      tree.close();
    },
  };
}
