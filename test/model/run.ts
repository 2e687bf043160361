import { parseArgs } from "node:util";
import * as fc from "fast-check";
import { WORLD } from "./arbitraries.ts";
import type { World } from "./plan.ts";
import { playWorld } from "./run-world.ts";

const USAGE = `npm run model -- [--seed N] [--worlds N] [--only JSON]
Plays random worlds of the model test (test/model): exchanges through two sidecars in memory. Ends with 1 at the first
that does not come out as the model says, made as small as it gets; --only plays the one that was printed.`;

/** So many from one seed; then the next seed, and what has been played so far is told. */
const BATCH = 2_000;

/** Nobody reads a stack of what fails as planned, and to write them down takes long. */
Error.stackTraceLimit = 0;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      worlds: { type: "string", default: "20000" },
      only: { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) return say(USAGE, 0);
  if (values.only !== undefined) return playOne(JSON.parse(values.only) as World);
  const seed = values.seed === undefined ? Date.now() >>> 0 : Number(values.seed);
  const worlds = Number(values.worlds);
  if (![seed, worlds].every(Number.isSafeInteger)) return say(USAGE, 2);
  for (let played = 0; played < worlds; played += BATCH) {
    const batch = { seed: (seed + played) >>> 0, numRuns: Math.min(BATCH, worlds - played) };
    const result = await fc.check(fc.asyncProperty(WORLD, isAsExpected), batch);
    if (result.failed) return report(result.counterexample![0], batch.seed);
    say(`${played + batch.numRuns} worlds, seed ${batch.seed}`, 0);
  }
  return say("all came out as expected", 0);
}

async function isAsExpected(world: World): Promise<boolean> {
  return (await playWorld(world)).length === 0;
}

async function playOne(world: World): Promise<number> {
  const faults = await playWorld(world);
  return say(faults.length === 0 ? "as expected" : faults.join("\n"), faults.length === 0 ? 0 : 1);
}

async function report(world: World, seed: number): Promise<number> {
  const faults = await playWorld(world);
  return say(`FOUND with seed ${seed}:\n${faults.join("\n")}\nreplay: --only '${JSON.stringify(world)}'`, 1);
}

function say(text: string, exitCode: number): number {
  process.stdout.write(`${text}\n`);
  return exitCode;
}

process.exitCode = await main();
