import { joinAnswers } from "../control/flows/edge-sums.ts";
import { FLOW_PATHS } from "../control/flows/flow-routes.ts";
import type { EdgesAnswer, FlowsAnswer, TimeRange } from "../control/flows/query.ts";
import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { Address } from "../core/ports.ts";
import { callHttp } from "../io/http-client.ts";
import type { ParsedArgs, Terminal } from "./command.ts";
import { parseFlowLine } from "../observe/flow-line.ts";
import { readRunFile } from "./run-file.ts";
import { findStateDirectory, type StatePaths } from "./state-dir.ts";

const TIMEOUT_MS = 10_000;

/** What commands that ask the store take besides their own. */
export const STORE_FLAGS = [
  { name: "namespace", value: "NAME", repeat: true, summary: "what of either side is in it" },
  {
    name: "store",
    value: "HOST:PORT",
    repeat: true,
    summary: "the admin port of a control plane (kubectl port-forward); of several replicas all are asked",
  },
  { name: "state", value: "DIR", summary: "state directory of the mesh" },
] as const;

/** Whom a command asks: the stores that it names, or that of the mesh on this machine. Errors: as `findFlowStore`. */
export async function findFlowStores(args: ParsedArgs, terminal: Terminal): Promise<readonly [Address, ...Address[]]> {
  const [first, ...others] = args.flags("store").map(parseStore);
  if (first !== undefined) return [first, ...others];
  return [await findFlowStore(await findStateDirectory(args.flag("state"), terminal))];
}

function parseStore(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535)
    throw new CardeaError("bad-input", `--store: expected host:port, found ${JSON.stringify(text)}`);
  return { host: match[1] ?? match[2]!, port };
}

/** The control plane's admin port. Errors: `unreachable` when no mesh runs there, or none that keeps flows. */
export async function findFlowStore(paths: StatePaths): Promise<Address> {
  const run = await readRunFile(paths);
  if (run === null || run.up === null)
    throw new CardeaError("unreachable", `no mesh runs in ${paths.directory}; start it: cardea up`);
  if (run.control.flows === null)
    throw new CardeaError("unreachable", `this mesh keeps no flows: ${run.meshFile} says flowStore: false`);
  return run.control.admin;
}

/** The same where there is one. Errors: `bad-input` when run.json is damaged. */
export async function findFlowStoreIfAny(paths: StatePaths): Promise<Address | null> {
  const run = await readRunFile(paths);
  return run === null || run.up === null || run.control.flows === null ? null : run.control.admin;
}

/** Errors: `unreachable`, also when the store has no answer. */
export async function askFlows(store: Address, query: URLSearchParams): Promise<FlowsAnswer> {
  const lines = (await askFlowStore(store, `${FLOW_PATHS.flows}?${query.toString()}`)).trimEnd().split("\n");
  const { cursor } = JSON.parse(lines.pop() ?? "") as Pick<FlowsAnswer, "cursor">;
  return { flows: lines.map(parseFlowLine).filter((flow) => flow !== null), cursor };
}

/** Of no namespace in particular: all of them. Errors: `unreachable`, also when a store has no answer. */
export async function askEdges(
  [first, ...others]: readonly [Address, ...Address[]],
  { fromMs, toMs }: TimeRange,
  namespaces: readonly string[],
): Promise<EdgesAnswer> {
  const query = new URLSearchParams({ from: String(Math.floor(fromMs)), to: String(Math.ceil(toMs)) });
  for (const namespace of namespaces) query.append("namespace", namespace);
  const askOne = async (store: Address): Promise<EdgesAnswer> =>
    JSON.parse(await askFlowStore(store, `${FLOW_PATHS.edges}?${query.toString()}`)) as EdgesAnswer;
  const [answer, more] = await Promise.all([askOne(first), Promise.all(others.map(askOne))]);
  return joinAnswers([answer, ...more]);
}

/** What its admin port answers. Errors: `unreachable`, also when the store has no answer. */
export async function askFlowStore(store: Address, path: string): Promise<string> {
  const answer = await callHttp(store, { path, timeoutMs: TIMEOUT_MS }).catch((thrown: unknown) => {
    throw new CardeaError("unreachable", `the control plane does not answer: ${toCardeaError(thrown).message}`, thrown);
  });
  if (answer.status === 200) return answer.body;
  throw new CardeaError("unreachable", `the flow store has no answer: ${answer.body.trim().slice(0, 500)}`);
}
