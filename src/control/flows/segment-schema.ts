import { ROLL_UP_SCHEMA } from "./roll-up.ts";

/**
 * A row's number tells its time: milliseconds since the segment's base, times this, and a count within each. So rows lie
 * in the order of time, and need no index for it.
 */
export const ROWS_PER_MS = 4_096;

/**
 * One file of the store. `host` and `path` are numbers of `texts`, or the text itself where there is no room for more. What
 * was not simply allowed `is_told`: people ask for it by its id.
 */
export const SEGMENT_SCHEMA = `
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS edges (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS links (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS outcomes (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS flows (
    at INTEGER PRIMARY KEY, id INTEGER NOT NULL, ids BLOB NOT NULL, link INTEGER NOT NULL, outcome INTEGER NOT NULL,
    host, path, source_port INTEGER NOT NULL, upstream_port INTEGER, received INTEGER NOT NULL, sent INTEGER NOT NULL,
    micros INTEGER NOT NULL, rare TEXT, is_told INTEGER);
  CREATE INDEX IF NOT EXISTS told ON flows (id) WHERE is_told = 1;
  CREATE INDEX IF NOT EXISTS of_link ON flows (link);
  CREATE TABLE IF NOT EXISTS losses (time_ms INTEGER NOT NULL, sender TEXT NOT NULL, reason TEXT NOT NULL,
    verdict TEXT NOT NULL, principal TEXT, flows INTEGER NOT NULL);
  ${ROLL_UP_SCHEMA}
`;

/** Numbers of `meta`: when the segment began, and 1 while there are rows that no roll-up counts yet. */
export const META = { baseMs: "base_ms", isUncounted: "is_uncounted" } as const;
