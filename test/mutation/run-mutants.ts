import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface MutantRun {
  readonly file: string;
  readonly mutants: number;
  readonly testFiles: readonly string[];
  readonly log: (line: string) => void;
}

/** A mutant may make a loop endless: it is found out by then, and counts as killed. */
const STILL_MS_MIN = 20_000;
/** The tests' own time without a mutant, so many times. */
const STILL_FACTOR = 8;
const CHILD = join(import.meta.dirname, "child.ts");
/** Properties are tried less often than in the tests: most mutants fall at the first tries. */
const RUNS_FACTOR = "0.05";

/** Runs the tests with each mutant of the file. → Numbers of those that no test has noticed. */
export async function runMutants(run: MutantRun): Promise<readonly number[]> {
  const survived: number[] = [];
  const atLoad: number[] = [];
  let next = 0;
  let dryMs = 0;
  while (next < run.mutants) {
    await follow(run, next, null, dryMs, (words) => {
      if (words[0] === "dry") dryMs = Number(words[1]);
      else {
        next = Number(words[0]) + 1;
        if (words[1] === "survived") survived.push(Number(words[0]));
        if (words[1] === "static") atLoad.push(Number(words[0]));
      }
    });
    if (dryMs === 0) throw new Error(`the tests of ${run.file} do not pass without a mutant`);
    // The child was ended over this one.
    if (next < run.mutants) run.log(`${run.file}: mutant ${next} does not end`);
    next += 1;
  }
  for (const id of atLoad) {
    let isKilled = false;
    await follow(run, 0, id, dryMs, (words) => {
      isKilled = words[1] === "killed";
      if (words[1] === "survived") survived.push(id);
    });
    if (isKilled || survived.includes(id)) continue;
    run.log(`${run.file}: mutant ${id} does not end`);
  }
  return survived.toSorted((a, b) => a - b);
}

/** Follows one child to its end, and ends it when it says nothing for too long. */
async function follow(
  { file, testFiles }: MutantRun,
  first: number,
  only: number | null,
  dryMs: number,
  onLine: (words: readonly string[]) => void,
): Promise<void> {
  const env = { ...process.env, CARDEA_TEST_RUNS: RUNS_FACTOR, ...(only === null ? {} : { ONLY: String(only) }) };
  const child = spawn(process.execPath, [CHILD, file, String(first), ...testFiles], {
    env,
    stdio: ["ignore", "pipe", dryMs === 0 ? "inherit" : "ignore"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  let timer = setTimeout(() => {}, 0);
  const wait = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => child.kill("SIGKILL"), dryMs === 0 ? 300_000 : STILL_MS_MIN + STILL_FACTOR * dryMs);
  };
  wait();
  createInterface({ input: child.stdout }).on("line", (line) => {
    wait();
    onLine(line.split(" "));
  });
  await ended;
  clearTimeout(timer);
}
