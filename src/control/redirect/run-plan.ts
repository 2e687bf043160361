import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { planCleanup, type RedirectPlan } from "./plan.ts";
import type { RedirectHost, Step } from "./step.ts";

/** Runs the steps in order. One that fails takes back all that was loaded. Errors: `unreachable`, with what it said. */
export async function runPlan(plan: RedirectPlan, host: RedirectHost): Promise<void> {
  try {
    for (const each of plan.steps) await runStep(each, host);
  } catch (thrown) {
    const error = toCardeaError(thrown);
    if (plan.backend === null) throw error;
    throw new CardeaError("unreachable", `${error.message}\n  ${await takeBack(host)}`, error);
  }
}

async function takeBack(host: RedirectHost): Promise<string> {
  try {
    for (const each of (await planCleanup(host)).steps) await runStep(each, host);
    return "what had been loaded was taken back";
  } catch (thrown) {
    return `and taking back what had been loaded failed: ${toCardeaError(thrown).message}`;
  }
}

async function runStep(step: Step, host: RedirectHost): Promise<void> {
  const result = await host.run(step);
  if (result?.code === 0) return;
  const why = result === null ? "there is no such program" : result.stderr.trim() || `it ended with ${result.code}`;
  throw new CardeaError("unreachable", `${[step.program, ...step.args].join(" ")}: ${why}`);
}
