import type { SqlDatabase, SqlStatement } from "../../io/sqlite.ts";
import { KIND_COUNT } from "./flow-parts.ts";
import { EDGE_LATENCY_BOUNDS_MS, type TimeRange } from "./query.ts";

/** Sums over spans of time, one table each, from the shortest on: a question is answered from the longest that fit. */
export const ROLL_UP_LEVELS = [
  { table: "per_minute", spanMs: 60_000 },
  { table: "per_ten_minutes", spanMs: 600_000 },
  { table: "per_hour", spanMs: 3_600_000 },
] as const;

const LATENCY_COUNT = EDGE_LATENCY_BOUNDS_MS.length + 1;
const SUMS = ["flows", "received", "sent", ...Array.from({ length: LATENCY_COUNT }, (_, i) => `l${i}`)];
/** Columns of the sums, in the order of a list of them: flows, bytes each way, and flows by duration. */
export const SUM_COUNT = SUMS.length;

/** `key` is an edge's number and the kind of its outcome in one. */
export const ROLL_UP_SCHEMA = ROLL_UP_LEVELS.map(
  ({ table }) => `CREATE TABLE IF NOT EXISTS ${table} (
    span INTEGER NOT NULL, key INTEGER NOT NULL, ${SUMS.map((name) => `${name} INTEGER NOT NULL`).join(", ")},
    PRIMARY KEY (span, key)) WITHOUT ROWID;`,
).join("\n");

export function rollUpKey(edge: number, kind: number): number {
  return edge * KIND_COUNT + kind;
}

export function splitKey(key: number): { readonly edge: number; readonly kind: number } {
  return { edge: Math.floor(key / KIND_COUNT), kind: key % KIND_COUNT };
}

type Sums = Float64Array;

/** What has been counted since it was last written, by minute and key. */
export class RollUps {
  readonly #minutes = new Map<number, Map<number, Sums>>();
  readonly #upserts: readonly SqlStatement[];
  readonly #clears: readonly SqlStatement[];
  #lastMinute = Number.NaN;
  #last = new Map<number, Sums>();

  constructor(database: SqlDatabase) {
    const added = SUMS.map((name) => `${name} = ${name} + excluded.${name}`).join(", ");
    const places = SUMS.map(() => "?").join(", ");
    this.#upserts = ROLL_UP_LEVELS.map(({ table }) =>
      database.prepare(`INSERT INTO ${table} VALUES (?, ?, ${places}) ON CONFLICT DO UPDATE SET ${added}`),
    );
    this.#clears = ROLL_UP_LEVELS.map(({ table }) => database.prepare(`DELETE FROM ${table}`));
  }

  get isEmpty(): boolean {
    return this.#minutes.size === 0;
  }

  // oxlint-disable-next-line max-params -- Numbers of every flow that comes: an object of them would be made for nothing.
  count(timeMs: number, key: number, received: number, sent: number, durationMs: number, flows: number): void {
    const minute = Math.floor(timeMs / MINUTE_MS);
    if (minute !== this.#lastMinute) {
      this.#last = this.#minutes.get(minute) ?? new Map<number, Sums>();
      this.#minutes.set(minute, this.#last);
      this.#lastMinute = minute;
    }
    let sums = this.#last.get(key);
    if (sums === undefined) this.#last.set(key, (sums = new Float64Array(SUM_COUNT)));
    sums[0]! += flows;
    sums[1]! += received * flows;
    sums[2]! += sent * flows;
    sums[3 + latencyIndex(durationMs)]! += flows;
  }

  /** Adds all to the tables, within a transaction of the caller's, who calls `clear` once that has gone well. */
  write(): void {
    for (const [level, { spanMs }] of ROLL_UP_LEVELS.entries()) {
      const upsert = this.#upserts[level]!;
      for (const [span, byKey] of this.#inSpansOf(spanMs))
        for (const [key, sums] of byKey) upsert.run(span, key, ...sums);
    }
  }

  /** The same, in place of whatever the tables say. */
  writeAnew(): void {
    for (const clear of this.#clears) clear.run();
    this.write();
  }

  clear(): void {
    this.#minutes.clear();
    this.#lastMinute = Number.NaN;
  }

  /** A few minutes are in memory at a time, which are one or two spans of the longer kinds. */
  #inSpansOf(spanMs: number): ReadonlyMap<number, ReadonlyMap<number, Sums>> {
    if (spanMs === MINUTE_MS) return this.#minutes;
    const spans = new Map<number, Map<number, Sums>>();
    for (const [minute, byKey] of this.#minutes) {
      const span = Math.floor((minute * MINUTE_MS) / spanMs);
      const into = spans.get(span) ?? new Map<number, Sums>();
      spans.set(span, into);
      for (const [key, sums] of byKey) addTo(into, key, sums);
    }
    return spans;
  }
}

const MINUTE_MS = 60_000;

function addTo(into: Map<number, Sums>, key: number, sums: Sums): void {
  const before = into.get(key);
  if (before === undefined) into.set(key, sums.slice());
  else for (let i = 0; i < SUM_COUNT; i++) before[i]! += sums[i]!;
}

function latencyIndex(durationMs: number): number {
  let i = 0;
  while (i < EDGE_LATENCY_BOUNDS_MS.length && durationMs > EDGE_LATENCY_BOUNDS_MS[i]!) i++;
  return i;
}

/** Questions over longer ranges are answered to ten minutes, and to the hour: a map of a day does not turn on a minute. */
const COARSER = [
  { rangeMs: 86_400_000, level: 2 },
  { rangeMs: 7_200_000, level: 1 },
  { rangeMs: 0, level: 0 },
] as const;

/** The range as it can be summed: what the ends cut through belongs to it whole. */
export function alignedRange({ fromMs, toMs }: TimeRange): TimeRange {
  const { level } = COARSER.find(({ rangeMs }) => toMs - fromMs > rangeMs) ?? COARSER[2];
  const { spanMs } = ROLL_UP_LEVELS[level];
  return { fromMs: Math.floor(fromMs / spanMs) * spanMs, toMs: Math.ceil(toMs / spanMs) * spanMs };
}

/** Which spans of which table make up an aligned range, together. */
export function spansOf({ fromMs, toMs }: TimeRange): readonly { table: string; from: number; to: number }[] {
  const parts: { table: string; from: number; to: number }[] = [];
  let rest: TimeRange[] = [{ fromMs, toMs }];
  for (const { table, spanMs } of ROLL_UP_LEVELS.toReversed()) {
    const ranges = rest;
    rest = [];
    for (const range of ranges) {
      const from = Math.ceil(range.fromMs / spanMs);
      const to = Math.floor(range.toMs / spanMs);
      if (from >= to) {
        rest.push(range);
        continue;
      }
      parts.push({ table, from, to });
      if (range.fromMs < from * spanMs) rest.push({ fromMs: range.fromMs, toMs: from * spanMs });
      if (to * spanMs < range.toMs) rest.push({ fromMs: to * spanMs, toMs: range.toMs });
    }
  }
  return parts;
}

/** Sums by key over spans of a table. */
export function sumStatement(database: SqlDatabase, table: string): SqlStatement {
  const sums = SUMS.map((name) => `sum(${name})`).join(", ");
  return database.prepare(`SELECT key, ${sums} FROM ${table} WHERE span >= ? AND span < ? GROUP BY key`);
}
