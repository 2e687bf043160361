import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A change that no test notices, and why none has to. */
export interface Survivor {
  readonly file: string;
  /** The function or constant that it stands in. */
  readonly place: string;
  readonly original: string;
  /** Null: the statement is left out. */
  readonly mutated: string | null;
  readonly reason: string;
}

/** Those that are known. */
export const SURVIVORS: readonly Survivor[] = JSON.parse(
  readFileSync(join(import.meta.dirname, "survivors.json"), "utf8"),
);

/** Whether one of the known survivors is this one. Lines do not count: they move. */
export function isKnown(survivor: Survivor, known: readonly Survivor[] = SURVIVORS): boolean {
  return known.some(
    ({ file, place, original, mutated }) =>
      file === survivor.file &&
      place === survivor.place &&
      original === survivor.original &&
      mutated === survivor.mutated,
  );
}
