import { systemClock } from "../io/clock.ts";
import type { Command } from "./command.ts";
import { type Edge, edgesOf, nameEnd } from "../control/flows/edge.ts";
import { renderEdges } from "./edge-row.ts";
import { parseSince } from "./flow-filter.ts";
import { askEdges, findFlowStores, STORE_FLAGS } from "./flow-store.ts";

/** Off a terminal nothing is cut. */
const WIDTH_OF_PIPES = 1_000;

/** Who talked to whom, summed up. */
export const command: Command = {
  name: "edges",
  summary: "who talks to whom, summed up: rates, denials, errors, latency, TLS",
  usage:
    "cardea edges [--since 15m] [--service NAME] [--denied] [--json] [--namespace NAME] [--state DIR | --store HOST:PORT …]",
  example: "cardea edges --since 1h --denied",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "since", value: "TIME", summary: "how far back: 90s, 15m, 2h, 1d, or a time", default: "15m" },
    { name: "service", value: "NAME", repeat: true, summary: "to or from: a workload's or a service's name" },
    { name: "denied", value: null, summary: "those alone that were, or would be, denied" },
    { name: "json", value: null, summary: "one JSON object a line" },
    ...STORE_FLAGS,
  ],
  async run(args, terminal) {
    const stores = await findFlowStores(args, terminal);
    const nowMs = systemClock.wallMs();
    const fromMs = parseSince(args.flag("since")!, nowMs);
    const answer = await askEdges(
      stores,
      { fromMs: Math.min(fromMs, nowMs - 1), toMs: nowMs },
      args.flags("namespace"),
    );
    const edges = edgesOf(answer.edges).filter((edge) => isWanted(edge, args.flags("service"), args.isSet("denied")));
    if (args.isSet("json")) for (const edge of edges) terminal.stdout(JSON.stringify(edge));
    else {
      const width = terminal.isTty ? terminal.width : WIDTH_OF_PIPES;
      // What is under way of the last minute is no whole one.
      const seconds = Math.max(1, (Math.min(nowMs, answer.toMs) - answer.fromMs) / 1_000);
      for (const line of renderEdges(edges, { seconds, width, colour: terminal.colour })) terminal.stdout(line);
    }
    if (edges.length === 0) terminal.stderr("no such edges");
    if (answer.lostFlows > 0)
      terminal.stderr(`${answer.lostFlows} more flows were lost on their way: sidecars had no room for them`);
    return 0;
  },
};

function isWanted(edge: Edge, services: readonly string[], isDeniedAlone: boolean): boolean {
  if (isDeniedAlone && edge.flows.denied + edge.flows["would-deny"] === 0) return false;
  const ends = [edge.source, edge.destination];
  return (
    services.length === 0 || ends.some((end) => services.some((name) => name === nameEnd(end) || name === end.service))
  );
}
