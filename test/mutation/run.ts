import { readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { findMutants, type Mutant } from "./find-mutants.ts";
import { runMutants } from "./run-mutants.ts";
import { isKnown, type Survivor, SURVIVORS } from "./survivors.ts";
import { TESTED } from "./tested-files.ts";

const USAGE = `npm run mutate -- [FILE…] [--out FILE]
Changes one place of a file at a time and runs the tests that cover it. A change that no test notices must stand in
test/mutation/survivors.json with its reason; ends with 1 where one does not, or where a reason is no longer needed.`;

const TOP = join(import.meta.dirname, "../..");

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { out: { type: "string" } } });
  const wanted = positionals.map((path) => relative(TOP, path));
  const unknown = wanted.filter((path) => !TESTED.has(path));
  if (unknown.length > 0) {
    say(`${USAGE}\nno tests are named for ${unknown.join(", ")}; see test/mutation/tested-files.ts`);
    return 2;
  }
  const files = wanted.length > 0 ? wanted : [...TESTED.keys()];
  const fresh: Survivor[] = [];
  let isStale = false;
  for (const file of files) {
    const mutants = findMutants(readFileSync(join(TOP, file), "utf8"));
    const testFiles = TESTED.get(file)!.map((path) => join(TOP, path));
    const survived = await runMutants({ file: join(TOP, file), mutants: mutants.length, testFiles, log: say });
    const all = survived.map((id) => survivorOf(file, mutants[id]!));
    fresh.push(...all.filter((each) => !isKnown(each)));
    const gone = SURVIVORS.filter((known) => known.file === file && !all.some((each) => isKnown(each, [known])));
    isStale ||= gone.length > 0;
    for (const each of gone) say(`no longer survives: ${describe(each)}`);
    say(
      `${file}: ${mutants.length} mutants, ${all.length} survived, ${all.length - all.filter((each) => !isKnown(each)).length} of them for a known reason`,
    );
  }
  for (const each of fresh) say(`SURVIVED ${describe(each)}`);
  if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(fresh, null, 2)}\n`);
  return fresh.length > 0 || isStale ? 1 : 0;
}

function survivorOf(file: string, { place, original, mutated, line }: Mutant): Survivor & { readonly line: number } {
  return { file, place, original, mutated, reason: "", line };
}

function describe({ file, place, original, mutated, ...rest }: Survivor): string {
  const line = "line" in rest ? `:${String(rest.line)}` : "";
  return `${file}${line} ${place}: ${original} → ${mutated ?? "(left out)"}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = await main();
