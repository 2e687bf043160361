import { readFileSync } from "node:fs";
import { join } from "node:path";
import { findMutants } from "./find-mutants.ts";

/** A change of a file, told so that changes elsewhere in the file do not matter. */
export interface MutantName {
  readonly file: string;
  /** The function or constant that it stands in. */
  readonly place: string;
  /** The line that it begins in, as it is written. */
  readonly line: string;
  readonly original: string;
  /** Null: the statement is left out. */
  readonly mutated: string | null;
  /** From 1: which of those that are otherwise the same. */
  readonly nth: number;
}

/** Changes that no test notices, and why none has to. */
export interface Survivors {
  readonly reason: string;
  /** Where the change costs time or memory alone: the file of tests that holds the decision, whatever is chosen there. */
  readonly heldBy?: string;
  readonly file: string;
  readonly mutants: readonly SurvivorName[];
}

/** As it stands in the file: `nth` where it is not 1. */
type SurvivorName = Omit<MutantName, "file" | "nth"> & { readonly nth?: number };

/** Those that are known. */
export const SURVIVORS: readonly Survivors[] = JSON.parse(
  readFileSync(join(import.meta.dirname, "survivors.json"), "utf8"),
);

/** The keys of all that are known of a file. */
export function knownKeys(file: string, survivors: readonly Survivors[] = SURVIVORS): readonly string[] {
  return survivors
    .filter((each) => each.file === file)
    .flatMap(({ mutants }) => mutants.map((each) => keyOf({ file, nth: 1, ...each })));
}

/** The names of all changes of a source, by their numbers. */
export function nameMutants(file: string, source: string): readonly MutantName[] {
  const lines = source.split("\n");
  const seen = new Map<string, number>();
  return findMutants(source).map(({ place, original, mutated, line }) => {
    const name = { file, place, line: lines[line - 1]!.trim(), original, mutated };
    const key = keyOf({ ...name, nth: 1 });
    const nth = (seen.get(key) ?? 0) + 1;
    seen.set(key, nth);
    return { ...name, nth };
  });
}

/** Equal for the same change. */
export function keyOf({ file, place, line, original, mutated, nth }: MutantName): string {
  return JSON.stringify([file, place, line, original, mutated, nth]);
}
