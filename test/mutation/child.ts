import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";
import type { CollectedTest } from "./collected-tests.ts";
import { configureGlobal } from "fast-check";
import { findMutants, instrument } from "./find-mutants.ts";

// node child.ts FILE FIRST TEST-FILE…: runs the tests with one mutant of FILE after the other, from FIRST on, in this process.
// Says `dry MS` once all tests have passed without, then `NUMBER killed TEST` or `NUMBER survived` for each. With ONLY=N that
// mutant is there from the start, so that it holds while modules load, too.

declare global {
  var isMutant: (id: number) => boolean;
}

const NONE = -1;
const COLLECTED = pathToFileURL(`${import.meta.dirname}/collected-tests.ts`).href;
const [file = "", first = "0", ...testFiles] = process.argv.slice(2);
const only = Number(process.env["ONLY"] ?? NONE);

let active = NONE;
let covered = new Set<number>();
globalThis.isMutant = (id) => {
  covered.add(id);
  return id === active;
};

// The same worlds each time, so that what is found is found again.
configureGlobal({ seed: 2 });

const target = pathToFileURL(file).href;
const source = readFileSync(file, "utf8");
const mutants = findMutants(source);
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "vitest" && context.parentURL !== COLLECTED
      ? { url: COLLECTED, shortCircuit: true }
      : next(specifier, context),
  load: (url, context, next) =>
    url === target
      ? { format: "module-typescript", source: instrument(source, mutants), shortCircuit: true }
      : next(url, context),
});

async function main(): Promise<void> {
  active = only;
  let loaded: string | null = null;
  const { collected } = await import(COLLECTED);
  try {
    for (const each of testFiles) await import(pathToFileURL(each).href);
  } catch (thrown) {
    loaded = `while loading: ${String(thrown)}`;
  }
  const tests = collected as readonly CollectedTest[];
  if (only !== NONE) return report(only, loaded ?? (await firstFailure(tests)));
  if (loaded !== null) throw new Error(loaded);
  const atLoad = covered;
  const coverage = await coverageOf(tests);
  for (const mutant of mutants.slice(Number(first))) {
    const covering = tests.filter((each) => coverage.get(each)!.has(mutant.id));
    // What holds only while modules load is asked of a process of its own.
    if (atLoad.has(mutant.id)) process.stdout.write(`${mutant.id} static\n`);
    else {
      active = mutant.id;
      report(mutant.id, await firstFailure(covering));
    }
  }
}

function report(id: number, failure: string | null): void {
  process.stdout.write(
    failure === null ? `${id} survived\n` : `${id} killed ${failure.replaceAll("\n", " ").slice(0, 120)}\n`,
  );
}

async function coverageOf(tests: readonly CollectedTest[]): Promise<ReadonlyMap<CollectedTest, ReadonlySet<number>>> {
  const coverage = new Map<CollectedTest, ReadonlySet<number>>();
  const beganMs = performance.now();
  for (const each of tests) {
    covered = new Set();
    await each.run();
    coverage.set(each, covered);
  }
  process.stdout.write(`dry ${Math.ceil(performance.now() - beganMs)}\n`);
  return coverage;
}

async function firstFailure(tests: readonly CollectedTest[]): Promise<string | null> {
  for (const each of tests) {
    try {
      await each.run();
    } catch {
      return each.name;
    }
  }
  return null;
}

await main();
