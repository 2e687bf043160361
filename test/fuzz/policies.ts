import { isDeepStrictEqual, parseArgs } from "node:util";
import * as fc from "fast-check";
import { compilePolicy } from "../../src/policy/compile.ts";
import { decideRequest, decideTcp } from "../../src/policy/decide.ts";
import { interpret } from "../../src/policy/interpret.ts";
import {
  crowdedPolicies,
  denselyCrowdedPolicies,
  peers,
  policies,
  requests,
  settings,
  workloads,
} from "../support/policy-arbitraries.ts";

const USAGE = `node test/fuzz/policies.ts [--seed N] [--worlds N]
Random policies and requests: the compiled form must decide as the interpreter does. The tests run a few thousand worlds;
this runs a hundred thousand unless told. Ends with 1 at the first difference; the same seed gives the same worlds.`;

const QUESTIONS_PER_WORLD = 8;
/** Crowded worlds are slow to interpret, and fewer of them do. */
const CROWDED_SHARE = 20;

function main(): number {
  const { values } = parseArgs({
    options: { seed: { type: "string" }, worlds: { type: "string", default: "100000" }, help: { type: "boolean" } },
  });
  const seed = values.seed === undefined ? Date.now() >>> 0 : Number(values.seed);
  const worlds = Number(values.worlds);
  if (values.help === true || ![seed, worlds].every(Number.isSafeInteger))
    return say(USAGE, values.help === true ? 0 : 2);
  say(`seed ${seed}`, 0);
  const crowdedWorlds = Math.ceil(worlds / CROWDED_SHARE);
  const failure =
    compare(policies, seed, worlds) ??
    compare(crowdedPolicies, seed, crowdedWorlds) ??
    compare(denselyCrowdedPolicies, seed, crowdedWorlds);
  if (failure !== null) return say(`FOUND (replay: --seed ${seed})\n${failure}`, 1);
  return say(`${worlds} worlds of ${QUESTIONS_PER_WORLD} questions, no difference`, 0);
}

function compare(documents: typeof policies, seed: number, numRuns: number): string | null {
  const world = fc.record({ documents, workload: workloads, settings });
  const questions = fc.array(fc.tuple(peers, fc.option(requests, { freq: 4 })), {
    minLength: QUESTIONS_PER_WORLD,
    maxLength: QUESTIONS_PER_WORLD,
  });
  const property = fc.property(world, questions, (each, asked) => {
    const compiled = compilePolicy(each.documents, each.workload, each.settings);
    return asked.every(([peer, request]) => {
      const actual = request === null ? decideTcp(compiled, peer) : decideRequest(compiled, peer, request);
      return isDeepStrictEqual(actual, interpret(each.documents, { ...each, peer, request }));
    });
  });
  const details = fc.check(property, { seed, numRuns });
  return details.failed ? (fc.defaultReportMessage(details) ?? "failed") : null;
}

function say(text: string, exitCode: number): number {
  process.stdout.write(`${text}\n`);
  return exitCode;
}

process.exitCode = main();
