import { FLOW_PATHS } from "../control/flows/flow-routes.ts";
import type { EdgesAnswer, TimeRange } from "../control/flows/query.ts";
import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { Address } from "../core/ports.ts";
import { callHttp } from "../io/http-client.ts";
import { readRunFile } from "./run-file.ts";
import type { StatePaths } from "./state-dir.ts";

const TIMEOUT_MS = 10_000;

/** The control plane's admin port. Errors: `unreachable` when no mesh runs there, or none that keeps flows. */
export async function findFlowStore(paths: StatePaths): Promise<Address> {
  const run = await readRunFile(paths);
  if (run === null || run.up === null)
    throw new CardeaError("unreachable", `no mesh runs in ${paths.directory}; start it: cardea up`);
  if (run.control.flows === null)
    throw new CardeaError("unreachable", `this mesh keeps no flows: ${run.meshFile} says flowStore: false`);
  return run.control.admin;
}

/** Errors: `unreachable`, also when the store has no answer. */
export async function askEdges(store: Address, { fromMs, toMs }: TimeRange): Promise<EdgesAnswer> {
  const query = new URLSearchParams({ from: String(Math.floor(fromMs)), to: String(Math.ceil(toMs)) });
  return JSON.parse(await askFlowStore(store, `${FLOW_PATHS.edges}?${query.toString()}`)) as EdgesAnswer;
}

/** What its admin port answers. Errors: `unreachable`, also when the store has no answer. */
export async function askFlowStore(store: Address, path: string): Promise<string> {
  const answer = await callHttp(store, { path, timeoutMs: TIMEOUT_MS }).catch((thrown: unknown) => {
    throw new CardeaError("unreachable", `the control plane does not answer: ${toCardeaError(thrown).message}`, thrown);
  });
  if (answer.status === 200) return answer.body;
  throw new CardeaError("unreachable", `the flow store has no answer: ${answer.body.trim().slice(0, 500)}`);
}
