import { toCardeaError } from "../../core/errors.ts";
import type { GuardedFetch } from "../../core/guarded-fetch.ts";
import { createLatest, type Latest } from "../../core/latest.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Logger, Random, Timer } from "../../core/ports.ts";
import { type FetchedKeys, type FetchedSource, keySourceId } from "../../policy/authentication/key-source.ts";
import { fetchKeys } from "./fetch-keys.ts";

/** What is to be fetched, and how long that may take. */
export interface WantedKeys {
  readonly source: FetchedSource;
  readonly timeoutMs: number;
}

/** The keys of issuers, fetched and kept fresh. */
export interface KeyCache {
  /** By `keySourceId`. A new map for each change. */
  readonly fetched: Latest<ReadonlyMap<string, FetchedKeys>>;
  /** What is wanted from now on; what no longer is is forgotten. */
  want(wanted: readonly WantedKeys[]): void;
  close(): void;
}

/** What is counted. */
export interface KeyObserver {
  fetched(): void;
  failed(): void;
}

export interface KeyCacheOptions {
  readonly fetch: GuardedFetch;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly observer: KeyObserver;
}

interface Entry {
  readonly wanted: WantedKeys;
  keys: FetchedKeys;
  /** When the keys came; null: they never have. */
  fetchedAtMs: number | null;
  failures: number;
  timer: Timer | null;
}

const NOT_YET = "they are being fetched for the first time";
const RETRY_MS = 1_000;

/**
 * Fetches at once what is newly wanted, and again when it grows old by Cache-Control, within bounds of ours. While a source
 * fails the old keys serve on for `jwksKeptMs`, and are asked for ever more seldom; after that there are none, and every
 * token of theirs is refused.
 */
export function openKeyCache(options: KeyCacheOptions): KeyCache {
  const { clock, random, logger, observer } = options;
  const fetched = createLatest<ReadonlyMap<string, FetchedKeys>>(new Map());
  const entries = new Map<string, Entry>();
  let isOpen = true;

  function publish(): void {
    fetched.set(new Map([...entries].map(([id, { keys }]) => [id, keys])));
  }

  async function refresh(id: string, entry: Entry): Promise<void> {
    entry.timer = null;
    const { source, timeoutMs } = entry.wanted;
    const place = placeOf(source);
    const before = entry.keys;
    try {
      const bounded = Math.min(timeoutMs, LIMITS.jwksFetchMs);
      const { jwks, maxAgeMs } = await fetchKeys(source, bounded, options.fetch);
      if (!isCurrent(id, entry)) return;
      observer.fetched();
      if (before.jwks !== jwks) logger.log("info", "jwks-changed", { address: place });
      else if (entry.failures > 0)
        logger.log("info", "jwks-fetched-again", { address: place, failures: entry.failures });
      Object.assign(entry, { failures: 0, fetchedAtMs: clock.monotonicMs(), keys: { jwks, error: null } });
      wait(id, entry, within(maxAgeMs ?? LIMITS.jwksRefreshMs));
    } catch (thrown) {
      if (!isCurrent(id, entry)) return;
      observer.failed();
      entry.failures += 1;
      const error = toCardeaError(thrown).message.slice(0, 500);
      const isKept = entry.fetchedAtMs !== null && clock.monotonicMs() - entry.fetchedAtMs < LIMITS.jwksKeptMs;
      if (!isKept) entry.keys = { jwks: null, error };
      logger.log(isKept ? "warn" : "error", isKept ? "jwks-not-refreshed" : "jwks-missing", {
        address: place,
        error,
        failures: entry.failures,
      });
      wait(id, entry, Math.min(RETRY_MS * 2 ** Math.min(entry.failures - 1, 20), LIMITS.jwksRetryMsMax));
    }
    if (before.jwks !== entry.keys.jwks || before.error !== entry.keys.error) publish();
  }

  function wait(id: string, entry: Entry, delayMs: number): void {
    // Between four fifths and the whole, so that many sources and replicas do not ask as one.
    entry.timer = clock.setTimer(delayMs * (0.8 + 0.2 * random.float()), () => void refresh(id, entry));
  }

  function isCurrent(id: string, entry: Entry): boolean {
    return isOpen && entries.get(id) === entry;
  }

  return {
    fetched,
    want(wanted) {
      const byId = new Map(wanted.slice(0, LIMITS.jwksSourcesMax).map((each) => [keySourceId(each.source), each]));
      const gone = [...entries.keys()].filter((id) => !byId.has(id));
      for (const id of gone) {
        entries.get(id)?.timer?.cancel();
        entries.delete(id);
      }
      const added = [...byId].filter(([id]) => !entries.has(id));
      for (const [id, each] of added)
        entries.set(id, {
          wanted: each,
          keys: { jwks: null, error: NOT_YET },
          fetchedAtMs: null,
          failures: 0,
          timer: null,
        });
      if (gone.length + added.length > 0) publish();
      for (const [id] of added) void refresh(id, entries.get(id)!);
    },
    close() {
      isOpen = false;
      for (const { timer } of entries.values()) timer?.cancel();
    },
  };
}

function within(maxAgeMs: number): number {
  return Math.min(Math.max(maxAgeMs, LIMITS.jwksRefreshMsMin), LIMITS.jwksRefreshMsMax);
}

function placeOf(source: FetchedSource): string {
  return source.from === "uri" ? source.uri : source.issuer;
}
