import { readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { runMutants } from "./run-mutants.ts";
import { keyOf, knownKeys, type MutantName, nameMutants } from "./survivors.ts";
import { SLOW, TESTED } from "./tested-files.ts";

const USAGE = `npm run mutate -- [FILE…] [--jobs N] [--quick] [--out FILE]
Changes one place of a file at a time and runs the tests that cover it. A change that no test notices must stand in
test/mutation/survivors.json with its reason; ends with 1 where one does not, or where a reason is no longer needed.
--jobs  so many files at a time (1)
--quick without the second try, of all tests and more worlds, that survivors get who have no reason yet
--out   writes down those without a reason`;

const TOP = join(import.meta.dirname, "../..");

interface FileResult {
  readonly fresh: readonly MutantName[];
  /** Known survivors that are none, or that the file does not have any more. */
  readonly stale: readonly string[];
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: "string" },
      quick: { type: "boolean", default: false },
      jobs: { type: "string", default: "1" },
    },
  });
  const wanted = positionals.map((path) => relative(TOP, path));
  const unknown = wanted.filter((path) => !TESTED.has(path));
  const jobs = Number(values.jobs);
  if (unknown.length > 0 || !(jobs >= 1)) {
    say(`${USAGE}\nno tests are named for ${unknown.join(", ")}; see test/mutation/tested-files.ts`);
    return 2;
  }
  const options = { jobs, isQuick: values.quick };
  const results = await inParallel(wanted.length > 0 ? wanted : [...TESTED.keys()], options);
  const fresh = results.flatMap((result) => result.fresh);
  const stale = results.flatMap((result) => result.stale);
  for (const each of stale) say(`no longer survives: ${each}`);
  for (const each of fresh) say(`SURVIVED ${describe(each)}`);
  if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(fresh, null, 2)}\n`);
  return fresh.length > 0 || stale.length > 0 ? 1 : 0;
}

interface Options {
  readonly jobs: number;
  readonly isQuick: boolean;
}

async function inParallel(files: readonly string[], { jobs, isQuick }: Options): Promise<readonly FileResult[]> {
  const left = [...files];
  const results: FileResult[] = [];
  const work = async (): Promise<void> => {
    for (let file = left.shift(); file !== undefined; file = left.shift())
      results.push(await mutateFile(file, isQuick));
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return results;
}

async function mutateFile(file: string, isQuick: boolean): Promise<FileResult> {
  const names = nameMutants(file, readFileSync(join(TOP, file), "utf8"));
  const known = new Set(knownKeys(file));
  const knownIds = new Set([...names.keys()].filter((id) => known.has(keyOf(names[id]!))));
  const testFiles = TESTED.get(file)!.map((path) => join(TOP, path));
  const slowFiles = new Set([...SLOW].map((path) => join(TOP, path)));
  const run = { isQuick, file: join(TOP, file), mutants: names.length, testFiles, slowFiles, log: say };
  const survived = (await runMutants(run, knownIds)).map((id) => names[id]!);
  const fresh = survived.filter((each) => !known.has(keyOf(each)));
  const keys = new Set(survived.map(keyOf));
  const stale = [...known].filter((key) => !keys.has(key));
  say(
    `${file}: ${names.length} mutants, ${survived.length} survived, ${survived.length - fresh.length} for a known reason`,
  );
  return { fresh, stale };
}

function describe({ file, place, line, original, mutated, nth }: MutantName): string {
  return `${file} ${place}: ${original} → ${mutated ?? "(left out)"}${nth === 1 ? "" : ` (${nth})`}, in: ${line}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = await main();
