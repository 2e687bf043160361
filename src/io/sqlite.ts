import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CardeaError } from "../core/errors.ts";

/** A value of a row as it is read. Integers beyond the safe ones, and invalid text, are not for here. */
export type SqlValue = string | number | Uint8Array | null;

/** As it is written. A number is a real one to SQLite, but in a column that is declared INTEGER; a bigint never is. */
export type SqlInput = SqlValue | bigint;

/** One statement, prepared. Rows come as lists, in the order of the columns. */
export interface SqlStatement {
  /** How many rows it has changed. */
  run(...values: SqlInput[]): number;
  rows(...values: SqlInput[]): readonly (readonly SqlValue[])[];
}

export interface SqlDatabase {
  exec(sql: string): void;
  prepare(sql: string): SqlStatement;
  close(): void;
}

/**
 * A database in a file of its own, which nobody else writes. What is committed outlives this process however that ends;
 * the last moments before the machine itself fails may be lost, never the file. Errors of everything here: `disk-full`
 * where the disk takes no more, `damaged` when the file is no database or is broken, `internal`.
 */
export function openDatabase(path: string): SqlDatabase {
  const database = translated(() => new DatabaseSync(path));
  try {
    translated(() => database.exec(SETTINGS));
  } catch (error) {
    database.close();
    throw error;
  }
  return {
    exec: (sql) => translated(() => database.exec(sql)),
    prepare: (sql) => translated(() => wrap(database.prepare(sql))),
    close: () => translated(() => database.close()),
  };
}

/** One writer, which reads as well; a write-ahead log, synchronised at each of its checkpoints (sqlite.org/wal.html). */
const SETTINGS = `
  PRAGMA page_size = 4096;
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  PRAGMA temp_store = MEMORY;
  PRAGMA cache_size = -16384;
  PRAGMA journal_size_limit = 16777216;
`;

function wrap(statement: StatementSync): SqlStatement {
  statement.setReturnArrays(true);
  return {
    run: (...values) => translated(() => Number(statement.run(...values).changes)),
    rows: (...values) => translated(() => statement.all(...values) as unknown as SqlValue[][]),
  };
}

function translated<T>(work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw new CardeaError(codeOf(thrown), thrown instanceof Error ? thrown.message : String(thrown), thrown);
  }
}

/** SQLite's primary result codes: sqlite.org/rescode.html. */
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;

function codeOf(thrown: unknown): "disk-full" | "damaged" | "internal" {
  const { errcode } = thrown as { errcode?: unknown };
  switch (typeof errcode === "number" ? errcode & 0xff : 0) {
    case FULL:
    case IOERR:
    case CANTOPEN:
      return "disk-full";
    case CORRUPT:
    case NOTADB:
      return "damaged";
    default:
      return "internal";
  }
}
