import { FLOW_PATHS } from "../control/flows/flow-routes.ts";
import { CardeaError } from "../core/errors.ts";
import type { Address } from "../core/ports.ts";
import { TRACE_LIMITS } from "../core/trace-limits.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { formatFlowLine, parseFlowLine } from "../observe/flow-line.ts";
import { traceTree, type TracedExchange } from "../observe/trace-tree.ts";
import type { Command } from "./command.ts";
import { askFlowStore, findFlowStore } from "./flow-store.ts";
import { findStateDirectory } from "./state-dir.ts";
import { renderTrace } from "./trace-waterfall.ts";

/** Off a terminal nothing is cut. */
const WIDTH_OF_PIPES = 200;

/** What led to what: all that the sidecars recorded of one trace. */
export const command: Command = {
  name: "trace",
  summary: "one trace as a tree: who called whom, how it came out, and how long it took",
  usage: "cardea trace ID [--json] [--state DIR]",
  example: "cardea trace 4bf92f3577b34da6a3ce929d0e0e4736",
  positional: { min: 1, max: 1 },
  flags: [
    { name: "json", value: null, summary: "its flow records, one a line" },
    { name: "state", value: "DIR", summary: "state directory of the mesh" },
  ],
  async run(args, terminal) {
    const store = await findFlowStore(await findStateDirectory(args.flag("state"), terminal));
    const traceId = await traceIdOf(args.positional[0]!, store);
    const flows = await flowsOf(traceId, store);
    if (flows.length === 0) {
      terminal.stderr(`nothing is known of trace ${traceId}`);
      return 1;
    }
    if (args.isSet("json")) for (const flow of flows) terminal.stdout(formatFlowLine(flow));
    else {
      const width = terminal.isTty ? terminal.width : WIDTH_OF_PIPES;
      const roots = traceTree(flows);
      terminal.stdout(
        `trace ${traceId}, ${countOf(roots)} exchanges, from ${new Date(roots[0]!.startMs).toISOString()}`,
      );
      for (const line of renderTrace(roots, { width, colour: terminal.colour })) terminal.stdout(line);
    }
    if (flows.length >= TRACE_LIMITS.traceFlowsMax) terminal.stderr(`there is more of it than ${flows.length} records`);
    return 0;
  },
};

/** A trace's id, or that of a flow: of a denial, as callers are told it. Errors: `bad-input`. */
async function traceIdOf(id: string, store: Address): Promise<string> {
  if (/^[0-9a-f]{32}$/.test(id)) return id;
  if (!/^[0-9a-f]{8,16}$/.test(id))
    throw new CardeaError("bad-input", `${JSON.stringify(id)} is no id of a trace (32 digits) or a flow (8 to 16)`);
  const flows = parseLines(await askFlowStore(store, `${FLOW_PATHS.flow}?id=${id}`));
  const traceIds = new Set(flows.flatMap(({ traceId }) => (traceId === null ? [] : [traceId])));
  if (traceIds.size === 1) return [...traceIds][0]!;
  throw new CardeaError(
    "bad-input",
    traceIds.size === 0 ? `no flow ${id} of a trace is known` : `${id} begins several`,
  );
}

/** By time, the oldest first. */
async function flowsOf(traceId: string, store: Address): Promise<readonly FlowRecord[]> {
  const flows: FlowRecord[] = [];
  for (let cursor: string | null = ""; cursor !== null && flows.length < TRACE_LIMITS.traceFlowsMax; ) {
    const query = new URLSearchParams({ trace: traceId, ...(cursor === "" ? {} : { cursor }) });
    const lines = (await askFlowStore(store, `${FLOW_PATHS.flows}?${query.toString()}`)).trimEnd().split("\n");
    ({ cursor } = JSON.parse(lines.pop()!) as { readonly cursor: string | null });
    flows.push(...lines.map(parseFlowLine).filter((flow) => flow !== null));
  }
  return flows.slice(0, TRACE_LIMITS.traceFlowsMax).toSorted((a, b) => a.timeMs - b.timeMs);
}

function parseLines(body: string): readonly FlowRecord[] {
  return body
    .split("\n")
    .map(parseFlowLine)
    .filter((flow) => flow !== null);
}

function countOf(roots: readonly TracedExchange[]): number {
  return roots.reduce((count, { children }) => count + 1 + countOf(children), 0);
}
