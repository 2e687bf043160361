import { flowMatcher } from "../control/flows/flow-match.ts";
import type { FlowFilter } from "../control/flows/query.ts";
import { CardeaError } from "../core/errors.ts";
import type { Address } from "../core/ports.ts";
import { systemClock } from "../io/clock.ts";
import type { FlowRecord } from "../observe/flow.ts";
import type { Command, ExitCode, ParsedArgs, Terminal } from "./command.ts";
import { FLOW_FILTER_FLAGS, FLOW_TIME_FLAGS, parseFlowFilter } from "./flow-filter.ts";
import { followFlows } from "./flow-follow.ts";
import { listFlowFiles, mergeBackward, readFlowsBackward } from "./flow-history.ts";
import { type FlowFormat, openFlowOutput, parseFlowFormat } from "./flow-output.ts";
import { LivePairing, oncePerRequest } from "./flow-pairing.ts";
import { findFlowStoreIfAny } from "./flow-store.ts";
import { explainLine } from "./program-name.ts";
import { findStateDirectory } from "./state-dir.ts";
import { readStoreBackward, sieveFor, withoutTwins } from "./stored-flows.ts";

/** Who talked to whom in a local mesh, and whether it was let through. */
export const command: Command = {
  name: "flows",
  summary: "show who talks to whom, and what was denied",
  usage:
    "cardea flows [--follow] [--verdict VERDICT] [--service NAME] [--from NAME] [--to NAME] [--namespace NAME] [--status 5xx] [--since 5m] [--last N] [-o json|compact|dict]",
  example: "cardea flows --verdict denied --since 5m",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "follow", short: "f", value: null, summary: "go on with what happens from now on" },
    ...FLOW_FILTER_FLAGS,
    ...FLOW_TIME_FLAGS,
    { name: "last", value: "N", summary: "the newest N (default: 20, or all that --since takes)" },
    { name: "first", value: "N", summary: "the oldest N of what there is, or of what --since takes" },
    { name: "all", value: null, summary: "the records of both sidecars, not each request once" },
    { name: "output", short: "o", value: "FORMAT", summary: "table, json, compact or dict" },
    { name: "json", value: null, summary: "the same as -o json" },
    { name: "state", value: "DIR", summary: "state directory of the mesh" },
  ],
  async run(args, terminal) {
    const request = parseRequest(args, systemClock.wallMs());
    const paths = await findStateDirectory(args.flag("state"), terminal);
    const past: Past = {
      directory: paths.flows,
      store: await findFlowStoreIfAny(paths),
      onFailure: (why) => terminal.stderr(`${why}; this is what the flow files have`),
    };
    const show = openFlowOutput(request.format, terminal);
    if (request.isFollowing) return follow(past, request, { terminal, show });
    const found = await readPast(past, request);
    for (const flow of found) show(flow);
    if (found.length === 0) {
      const files = (await listFlowFiles(past.directory)).length;
      const where = `${files} flow ${files === 1 ? "file" : "files"} in ${past.directory}`;
      terminal.stderr(`no such flows; looked in ${where}${past.store === null ? "" : " and in the store"}`);
    }
    tellWhere(found, args, terminal);
    return 0;
  },
};

interface Request {
  readonly filter: FlowFilter;
  readonly takes: (flow: FlowRecord) => boolean;
  readonly count: number;
  /** The oldest of all, instead of the newest. */
  readonly isFirst: boolean;
  readonly isFollowing: boolean;
  readonly showsBoth: boolean;
  readonly format: FlowFormat;
}

/** Where flows of the past are. */
interface Past {
  readonly directory: string;
  readonly store: Address | null;
  readonly onFailure: (why: string) => void;
}

const LAST_DEFAULT = 20;
/** With --since alone: more would not be read by anybody, and has to be held until the oldest is known. */
const LAST_MAX = 1_000_000;

function parseRequest(args: ParsedArgs, nowMs: number): Request {
  const filter = parseFlowFilter(args, nowMs);
  const [last, first] = [parseCount(args, "last"), parseCount(args, "first")];
  const isFollowing = args.isSet("follow");
  if (first !== undefined && (last !== undefined || isFollowing))
    throw new CardeaError("bad-input", "--first goes with neither --last nor --follow");
  if (isFollowing && filter.toMs !== undefined) throw new CardeaError("bad-input", "--until does not go with --follow");
  return {
    filter,
    takes: flowMatcher(filter, "all"),
    count: last ?? first ?? (filter.fromMs === undefined ? LAST_DEFAULT : LAST_MAX),
    isFirst: first !== undefined,
    isFollowing,
    showsBoth: args.isSet("all"),
    format: parseFlowFormat(args),
  };
}

function parseCount(args: ParsedArgs, flag: "last" | "first"): number | undefined {
  const text = args.flag(flag);
  if (text === undefined || (/^\d{1,7}$/.test(text) && Number(text) <= LAST_MAX))
    return text === undefined ? undefined : Number(text);
  throw new CardeaError("bad-input", `--${flag} is a whole number up to ${LAST_MAX}, not ${JSON.stringify(text)}`);
}

/** Those that were asked for, oldest first. */
async function readPast(past: Past, request: Request): Promise<readonly FlowRecord[]> {
  const { filter, takes, count, isFirst, showsBoth } = request;
  let found: FlowRecord[] = [];
  if (count === 0) return found;
  const everything = withoutTwins(mergeBackward(await sourcesOf(past, request)));
  for await (const flow of showsBoth ? everything : oncePerRequest(everything)) {
    // Files are in the order of time but for a step of the clock, and the two halves of a pair.
    if (filter.fromMs !== undefined && flow.timeMs < filter.fromMs - CLOCK_STEP_MS) break;
    if (takes(flow)) found.push(flow);
    if (!isFirst && found.length === count) break;
    // The oldest are the last that come.
    if (isFirst && found.length >= 2 * count) found = found.slice(-count);
  }
  return found.slice(-count).toSorted((a, b) => a.timeMs - b.timeMs);
}

/** Files hold the very newest, and what no store was sent; the store goes further back. */
async function sourcesOf({ directory, store, onFailure }: Past, { filter, showsBoth }: Request) {
  const files = readFlowsBackward(await listFlowFiles(directory));
  return store === null ? [files] : [files, readStoreBackward(store, sieveFor(filter, showsBoth), onFailure)];
}

const CLOCK_STEP_MS = 10_000;

interface Output {
  readonly terminal: Terminal;
  readonly show: (flow: FlowRecord) => void;
}

/** Shows the last ones, then what happens, until the reader has seen enough. */
async function follow(past: Past, request: Request, { terminal, show }: Output): Promise<ExitCode> {
  const ended = new Promise<void>((resolve) => {
    terminal.onSignal(() => resolve());
  });
  const pairing = new LivePairing();
  const shown = new Set<string>();
  const early: FlowRecord[] = [];
  let isLive = false;

  function showLive(flow: FlowRecord): void {
    if (request.takes(flow) && !shown.has(keyOf(flow))) show(flow);
  }
  const following = await followFlows(past.directory, systemClock, (flows) => {
    const passed = request.showsBoth ? flows : pairing.pass(flows, systemClock.monotonicMs());
    if (isLive) passed.forEach(showLive);
    else early.push(...passed);
  });
  // Following began before the past is read, so nothing falls between; what is in both is shown once.
  for (const flow of await readPast(past, request)) {
    shown.add(keyOf(flow));
    show(flow);
  }
  isLive = true;
  early.forEach(showLive);
  await ended;
  await following.close();
  return 0;
}

function keyOf(flow: FlowRecord): string {
  return `${flow.reporter} ${flow.id}`;
}

/** The next step, where there is one. */
function tellWhere(found: readonly FlowRecord[], args: ParsedArgs, terminal: Terminal): void {
  const denied = found.findLast((flow) => flow.verdict !== "allowed");
  if (denied === undefined || !terminal.isTty) return;
  terminal.stderr(`\nwhy? ${explainLine(denied.id, terminal.env, args.flag("state") ?? null)}`);
}
