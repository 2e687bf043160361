import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

export interface MutantRun {
  readonly file: string;
  readonly mutants: number;
  readonly testFiles: readonly string[];
  /** Those among them that take long, and are asked of what the others leave alone. */
  readonly slowFiles: ReadonlySet<string>;
  /** Without the second try. */
  readonly isQuick: boolean;
  readonly log: (line: string) => void;
}

/**
 * A mutant may make a loop endless in which no place is passed that is known of: it is found out by then, and counts as
 * killed. In time of the processor, which a busy machine does not make longer.
 */
const STILL_MS_MIN = 5_000;
/** The tests' own time without a mutant, so many times. */
const STILL_FACTOR = 8;
/** For all tests without a mutant. */
const DRY_MS_MAX = 300_000;
const CHILD = join(import.meta.dirname, "child.ts");

/** How the tests are run: properties as often as they are usually tried, times `runs`. */
interface Tries {
  readonly runs: string;
  readonly seed: string;
  readonly withSlow: boolean;
}

/** Most mutants fall at the first tries. */
const QUICK: Tries = { runs: "0.05", seed: "2", withSlow: false };
/** What is left is tried again with all tests, in other worlds, and more of them. */
const EARNEST: Tries = { runs: "0.5", seed: "3", withSlow: true };

/** Runs the tests with each mutant of the file. → Numbers of those that no test has noticed. `known`: need no second try. */
export async function runMutants(run: MutantRun, known: ReadonlySet<number>): Promise<readonly number[]> {
  const survived = await tryMutants(run, QUICK, null);
  const fresh = survived.filter((id) => !known.has(id));
  if (run.isQuick || fresh.length === 0) return survived;
  const still = new Set(await tryMutants(run, EARNEST, fresh));
  return survived.filter((id) => known.has(id) || still.has(id));
}

/** Tries those that are chosen; null: all. */
async function tryMutants(run: MutantRun, tries: Tries, chosen: readonly number[] | null): Promise<readonly number[]> {
  const survived: number[] = [];
  const atLoad: number[] = [];
  const left = new Set(chosen ?? Array.from({ length: run.mutants }, (_, id) => id));
  let dryMs = 0;
  while (left.size > 0) {
    const env = { CHOSEN: [...left].join(",") };
    await follow(run, { tries, env, dryMs }, (words) => {
      if (words[0] === "dry") dryMs = Number(words[1]);
      else {
        left.delete(Number(words[0]));
        if (words[1] === "survived") survived.push(Number(words[0]));
        if (words[1] === "static") atLoad.push(Number(words[0]));
      }
    });
    if (dryMs === 0) throw new Error(`the tests of ${run.file} do not pass without a mutant`);
    // The child was ended over this one.
    const [stuck] = left;
    if (stuck === undefined) break;
    run.log(`${run.file}: mutant ${stuck} does not end`);
    left.delete(stuck);
  }
  for (const id of atLoad) {
    let isEnded = false;
    await follow(run, { tries, env: { ONLY: String(id) }, dryMs }, (words) => {
      isEnded = true;
      if (words[1] === "survived") survived.push(id);
    });
    if (!isEnded) run.log(`${run.file}: mutant ${id} does not end`);
  }
  return survived.toSorted((a, b) => a - b);
}

interface Child {
  readonly tries: Tries;
  readonly env: Readonly<Record<string, string>>;
  /** 0: not known yet. */
  readonly dryMs: number;
}

/** Follows one child to its end, and ends it when it says nothing for too long. */
async function follow(
  { file, testFiles: all, slowFiles }: MutantRun,
  { tries, env: own, dryMs: knownMs }: Child,
  onLine: (words: readonly string[]) => void,
): Promise<void> {
  const env = { ...process.env, CARDEA_TEST_RUNS: tries.runs, SEED: tries.seed, ...own };
  const quick = all.filter((path) => !slowFiles.has(path));
  const testFiles = tries.withSlow || quick.length === 0 ? all : quick;
  let dryMs = knownMs;
  const child = spawn(process.execPath, [CHILD, file, ...testFiles], {
    env,
    stdio: ["ignore", "pipe", dryMs === 0 ? "inherit" : "ignore"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  let heardMs = 0;
  const timer = setInterval(() => {
    const stillMax = dryMs === 0 ? DRY_MS_MAX : STILL_MS_MIN + STILL_FACTOR * dryMs;
    if (cpuMsOf(child.pid!) - heardMs > stillMax) child.kill("SIGKILL");
  }, 1_000);
  createInterface({ input: child.stdout }).on("line", (line) => {
    const words = line.split(" ");
    if (words[0] === "dry") dryMs = Number(words[1]);
    heardMs = cpuMsOf(child.pid!);
    onLine(words);
  });
  await ended;
  clearInterval(timer);
}

/** proc(5): fields 14 and 15 of stat, in hundredths of a second. 0: the process has ended. */
function cpuMsOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return 0;
  }
}
