import { parseArgs } from "node:util";
import { openCrossing } from "./crossing.ts";
import { type Finding, fuzzOne } from "./fuzz.ts";
import { runProperties } from "./properties.ts";

const USAGE = `npm run fuzz -- [--seed N] [--inputs N] [--crossings N] [--seconds N] [--only INDEX]
Inputs for the HTTP/1.1 codecs: nine in ten mutated from sound ones, the rest from fast-check. Before them, crossings:
requests of HTTP/2 through sidecars to an app of HTTP/1.1, which must come as what they were, or not at all. Ends with 1
at the first finding, or when the time was up before all inputs were tried; the same seed gives the same inputs.`;

const PROGRESS_EVERY = 100_000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      inputs: { type: "string", default: "1000000" },
      crossings: { type: "string", default: "10000" },
      seconds: { type: "string", default: "900" },
      only: { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) return say(USAGE, 0);
  const seed = values.seed === undefined ? Date.now() >>> 0 : Number(values.seed);
  const inputs = Number(values.inputs);
  const crossings = Number(values.crossings);
  const deadlineMs = Date.now() + Number(values.seconds) * 1_000;
  if (![seed, inputs, crossings, deadlineMs].every(Number.isSafeInteger)) return say(USAGE, 2);
  say(`seed ${seed}`, 0);
  if (values.only !== undefined) return report(seed, fuzzOne(seed, Number(values.only)), 1);
  const crossed = await runCrossings(seed, crossings);
  if (crossed !== null) return say(crossed, 1);
  const structured = Math.floor(inputs / 10);
  const failure = runProperties(seed, structured);
  if (failure !== null) return say(`FOUND by fast-check (replay: --seed ${seed})\n${failure}`, 1);
  say(`${structured} from fast-check`, 0);
  return runMutations(seed, inputs - structured, deadlineMs, structured);
}

/** What was found, in words, or null. */
async function runCrossings(seed: number, count: number): Promise<string | null> {
  const crossing = await openCrossing();
  for (let index = 0; index < count; index++) {
    const fault = await crossing.play(seed, index);
    if (fault !== null) return `FOUND in crossing ${index} (replay: --seed ${seed})\n${fault}`;
  }
  const { crossed, refused } = crossing.counts;
  say(`${count} crossings: ${crossed} requests came to the app as they were sent, ${refused} did not come`, 0);
  return null;
}

function runMutations(seed: number, count: number, deadlineMs: number, done: number): number {
  for (let index = 0; index < count; index++) {
    const finding = fuzzOne(seed, index);
    if (finding !== null) return report(seed, finding, done + index + 1);
    if (index % 1_000 === 0 && Date.now() > deadlineMs) return say(`time is up after ${done + index} inputs`, 1);
    if ((done + index + 1) % PROGRESS_EVERY === 0) say(`${done + index + 1} inputs`, 0);
  }
  return say(`${done + count} inputs, no finding`, 0);
}

function report(seed: number, finding: Finding | null, tried: number): number {
  if (finding === null) return say(`${tried} input, no finding`, 0);
  const replay = `--seed ${seed} --only ${finding.index}`;
  return say(
    `FOUND in ${finding.target}: ${finding.message}\n${JSON.stringify(finding.input.toString("latin1"))}\nreplay: ${replay}`,
    1,
  );
}

function say(text: string, exitCode: number): number {
  process.stdout.write(`${text}\n`);
  return exitCode;
}

process.exitCode = await main();
