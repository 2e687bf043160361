import { CardeaError } from "../core/errors.ts";
import { systemClock } from "../io/clock.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { formatFlowLine } from "../observe/flow-line.ts";
import type { Command, ExitCode, ParsedArgs, Terminal } from "./command.ts";
import { formatCompact } from "./flow-compact.ts";
import { type FlowFilter, filterTakes, parseFlowFilter } from "./flow-filter.ts";
import { followFlows } from "./flow-follow.ts";
import { listFlowFiles, readFlowsBackward } from "./flow-history.ts";
import { LivePairing, oncePerRequest } from "./flow-pairing.ts";
import { renderFlow, renderFlowHeader } from "./flow-row.ts";
import { explainLine } from "./program-name.ts";
import { findStateDirectory } from "./state-dir.ts";

/** Who talked to whom in a local mesh, and whether it was let through. */
export const command: Command = {
  name: "flows",
  summary: "show who talks to whom, and what was denied",
  usage:
    "cardea flows [--follow] [--verdict VERDICT] [--service NAME] [--dry-run denied] [--last N] [--since 5m] [-o json|compact]",
  example: "cardea flows --verdict denied --since 5m",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "follow", short: "f", value: null, summary: "go on with what happens from now on" },
    { name: "verdict", value: "VERDICT", repeat: true, summary: "allowed, denied, would-deny or error" },
    { name: "service", value: "NAME", repeat: true, summary: "to or from: payments, payments.shop or a SPIFFE ID" },
    { name: "dry-run", value: "VERDICT", summary: "what policies in a dry run would decide: allowed, denied or any" },
    { name: "audited", value: null, summary: "only what an AUDIT policy marked" },
    { name: "last", value: "N", summary: "the newest N (default: 20, or all that --since takes)" },
    { name: "since", value: "TIME", summary: "90s, 5m, 2h, 1d, or a time like 2026-11-22T09:30:00Z" },
    { name: "all", value: null, summary: "the records of both sidecars, not each request once" },
    { name: "output", short: "o", value: "FORMAT", summary: "json or compact" },
    { name: "json", value: null, summary: "the same as -o json" },
    { name: "state", value: "DIR", summary: "state directory of the mesh" },
  ],
  async run(args, terminal) {
    const request = parseRequest(args, systemClock.wallMs());
    const { flows: directory } = await findStateDirectory(args.flag("state"), terminal);
    const show = openOutput(request.format, terminal);
    if (request.isFollowing) return follow(directory, request, { terminal, show });
    const found = await readLast(directory, request);
    for (const flow of found) show(flow);
    if (found.length === 0) {
      const files = (await listFlowFiles(directory)).length;
      terminal.stderr(`no such flows; looked in ${files} flow ${files === 1 ? "file" : "files"} in ${directory}`);
    }
    tellWhere(found, args, terminal);
    return 0;
  },
};

type Format = "rows" | "json" | "compact";

interface Request {
  readonly filter: FlowFilter;
  readonly last: number;
  readonly isFollowing: boolean;
  readonly showsBoth: boolean;
  readonly format: Format;
}

const LAST_DEFAULT = 20;
/** With --since alone: more would not be read by anybody, and has to be held until the oldest is known. */
const LAST_MAX = 1_000_000;

function parseRequest(args: ParsedArgs, nowMs: number): Request {
  const filter = parseFlowFilter(args, nowMs);
  const last = args.flag("last");
  if (last !== undefined && !(/^\d{1,7}$/.test(last) && Number(last) <= LAST_MAX))
    throw new CardeaError("bad-input", `--last is a whole number up to ${LAST_MAX}, not ${JSON.stringify(last)}`);
  const lastWhenAbsent = filter.sinceMs === null ? LAST_DEFAULT : LAST_MAX;
  return {
    filter,
    last: last === undefined ? lastWhenAbsent : Number(last),
    isFollowing: args.isSet("follow"),
    showsBoth: args.isSet("all"),
    format: parseFormat(args),
  };
}

function parseFormat(args: ParsedArgs): Format {
  const format = args.isSet("json") ? "json" : (args.flag("output") ?? "rows");
  if (format === "json" || format === "compact" || format === "rows") return format;
  throw new CardeaError("bad-input", `--output is json or compact, not ${JSON.stringify(format)}`);
}

/** The newest that were asked for, oldest first. */
async function readLast(directory: string, request: Request): Promise<readonly FlowRecord[]> {
  const everything = readFlowsBackward(await listFlowFiles(directory));
  const found: FlowRecord[] = [];
  if (request.last === 0) return found;
  for await (const flow of request.showsBoth ? everything : oncePerRequest(everything)) {
    // Files are in the order of time but for a step of the clock, and the two halves of a pair.
    if (request.filter.sinceMs !== null && flow.timeMs < request.filter.sinceMs - CLOCK_STEP_MS) break;
    if (filterTakes(request.filter, flow)) found.push(flow);
    if (found.length === request.last) break;
  }
  return found.toSorted((a, b) => a.timeMs - b.timeMs);
}

const CLOCK_STEP_MS = 10_000;

interface Output {
  readonly terminal: Terminal;
  readonly show: (flow: FlowRecord) => void;
}

/** Shows the last ones, then what happens, until the reader has seen enough. */
async function follow(directory: string, request: Request, { terminal, show }: Output): Promise<ExitCode> {
  const ended = new Promise<void>((resolve) => {
    terminal.onSignal(() => resolve());
  });
  const pairing = new LivePairing();
  const shown = new Set<string>();
  const early: FlowRecord[] = [];
  let isLive = false;

  function showLive(flow: FlowRecord): void {
    if (filterTakes(request.filter, flow) && !shown.has(keyOf(flow))) show(flow);
  }
  const following = await followFlows(directory, systemClock, (flows) => {
    const passed = request.showsBoth ? flows : pairing.pass(flows, systemClock.monotonicMs());
    if (isLive) passed.forEach(showLive);
    else early.push(...passed);
  });
  // Following began before the past is read, so nothing falls between; what is in both is shown once.
  for (const flow of await readLast(directory, request)) {
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

/** Off a terminal nothing is cut: what reads us has no width. */
const WIDTH_OF_PIPES = 200;

function openOutput(format: Format, terminal: Terminal): (flow: FlowRecord) => void {
  switch (format) {
    case "json":
      return (flow) => terminal.stdout(formatFlowLine(flow));
    case "compact":
      return (flow) => terminal.stdout(formatCompact(flow));
    case "rows":
      return openRows(terminal);
  }
}

function openRows(terminal: Terminal): (flow: FlowRecord) => void {
  let isTitled = false;
  return (flow) => {
    const width = terminal.isTty ? terminal.width : WIDTH_OF_PIPES;
    if (!isTitled) terminal.stdout(renderFlowHeader(width, terminal.colour));
    isTitled = true;
    terminal.stdout(renderFlow(flow, width, terminal.colour));
  };
}

/** The next step, where there is one. */
function tellWhere(found: readonly FlowRecord[], args: ParsedArgs, terminal: Terminal): void {
  const denied = found.findLast((flow) => flow.verdict !== "allowed");
  if (denied === undefined || !terminal.isTty) return;
  terminal.stderr(`\nwhy? ${explainLine(denied.id, terminal.env, args.flag("state") ?? null)}`);
}
