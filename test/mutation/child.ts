import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";
import type { CollectedTest } from "./collected-tests.ts";
import { configureGlobal } from "fast-check";
import { findMutants, instrument } from "./find-mutants.ts";

// node child.ts FILE TEST-FILE…: runs the tests with one mutant of FILE after the other, in this process.
// Says `dry MS` (of the processor) once all tests have passed without, then `NUMBER killed TEST` or `NUMBER survived` for each. With ONLY=N that
// mutant is there from the start, so that it holds while modules load, too. With CHOSEN=N,N… only those are tried.

declare global {
  var isMutant: (id: number) => boolean;
}

const NONE = -1;
const COLLECTED = pathToFileURL(`${import.meta.dirname}/collected-tests.ts`).href;
const [file = "", ...testFiles] = process.argv.slice(2);
const only = Number(process.env["ONLY"] ?? NONE);
const chosen = process.env["CHOSEN"] === undefined ? null : new Set(process.env["CHOSEN"].split(",").map(Number));

let active = NONE;
let covered = new Set<number>();
/** How often places of the file were passed in the test that is run, and how often they may be. */
let passed = 0;
let passedMax = Number.POSITIVE_INFINITY;
globalThis.isMutant = (id) => {
  passed += 1;
  if (passed > passedMax) throw new Error("does not end");
  covered.add(id);
  return id === active;
};

/** Without a mutant; none with ONLY, where a mutant was there from the start. */
const usual = new Map<CollectedTest, number>();
/** A mutant that makes a loop endless is known by this, however busy the machine is. */
const PASSED_FACTOR = 100;
const PASSED_MIN = 1_000_000;

// The same worlds each time, so that what is found is found again; that it is found is enough.
configureGlobal({ seed: Number(process.env["SEED"] ?? "2"), endOnFailure: true });

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
  if (only !== NONE) return report(only, loaded ?? (await firstFailure(tests))?.name ?? null);
  if (loaded !== null) throw new Error(loaded);
  const atLoad = covered;
  const coverage = await coverageOf(tests);
  // What has just found one finds most of its neighbours, too.
  const inTurn = [...tests];
  for (const mutant of mutants) {
    if (chosen !== null && !chosen.has(mutant.id)) continue;
    const covering = inTurn.filter((each) => coverage.get(each)!.has(mutant.id));
    // What holds only while modules load is asked of a process of its own.
    if (atLoad.has(mutant.id)) process.stdout.write(`${mutant.id} static\n`);
    else {
      active = mutant.id;
      const failed = await firstFailure(covering);
      report(mutant.id, failed?.name ?? null);
      if (failed !== null) inTurn.unshift(...inTurn.splice(inTurn.indexOf(failed), 1));
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
  const began = process.cpuUsage();
  for (const each of tests) {
    covered = new Set();
    passed = 0;
    await each.run();
    coverage.set(each, covered);
    usual.set(each, passed);
  }
  const { user, system } = process.cpuUsage(began);
  process.stdout.write(`dry ${Math.ceil((user + system) / 1_000)}\n`);
  return coverage;
}

async function firstFailure(tests: readonly CollectedTest[]): Promise<CollectedTest | null> {
  for (const each of tests) {
    passed = 0;
    const passedUsually = usual.get(each);
    // What is not known is left to the time of the processor.
    passedMax = passedUsually === undefined ? Number.POSITIVE_INFINITY : PASSED_MIN + PASSED_FACTOR * passedUsually;
    try {
      await each.run();
    } catch {
      return each;
    }
  }
  return null;
}

await main();
