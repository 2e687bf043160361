import type { SqlDatabase, SqlStatement } from "../../io/sqlite.ts";

/**
 * Texts that stand in rows as small numbers. All that have come so far are known in memory, so a segment bounds how many
 * there may be.
 */
export class Dictionary {
  readonly #ids = new Map<string, number>();
  readonly #texts: string[] = [];
  readonly #insert: SqlStatement;
  readonly #countMax: number;

  /** The table must be there: id from 0, text. Errors: `damaged` when the ids have gaps. */
  constructor(database: SqlDatabase, table: string, countMax: number) {
    this.#insert = database.prepare(`INSERT INTO ${table} (id, text) VALUES (?, ?)`);
    this.#countMax = countMax;
    for (const [, text] of database.prepare(`SELECT id, text FROM ${table} ORDER BY id`).rows())
      this.#keep(text as string);
  }

  get size(): number {
    return this.#texts.length;
  }

  get isFull(): boolean {
    return this.size >= this.#countMax;
  }

  /** The text's number, which it gets now if it has none; null: there is room for no more. */
  idOf(text: string): number | null {
    const known = this.#ids.get(text);
    if (known !== undefined) return known;
    if (this.isFull) return null;
    this.#insert.run(this.size, text);
    return this.#keep(text);
  }

  textOf(id: number): string | undefined {
    return this.#texts[id];
  }

  /** After a transaction that was given up: its entries are no more. */
  forget(sizeBefore: number): void {
    for (const text of this.#texts.splice(sizeBefore)) this.#ids.delete(text);
  }

  #keep(text: string): number {
    const id = this.#texts.push(text) - 1;
    this.#ids.set(text, id);
    return id;
  }
}
