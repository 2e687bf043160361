import { flowMatcher } from "../control/flows/flow-match.ts";
import { CardeaError } from "../core/errors.ts";
import { readHttpLines } from "../io/http-lines.ts";
import type { Command } from "./command.ts";
import { FLOW_FILTER_FLAGS, parseTimelessFilter } from "./flow-filter.ts";
import { readJoinedServices, readRunFile, type RunningService } from "./run-file.ts";
import { SIDECAR_TAP_PATH } from "./sidecar-paths.ts";
import { findStateDirectory, type StatePaths } from "./state-dir.ts";
import { formatTapEvent, parseTapEvent, takesBeginning } from "./tap-event.ts";

/** The sidecar says something every two seconds, if only that it is there. */
const SILENCE_MS = 15_000;

/** What one workload's sidecar does, as it does it. */
export const command: Command = {
  name: "tap",
  summary: "exchanges of one workload as they begin and end, from its sidecar itself",
  usage: "cardea tap WORKLOAD [--verdict VERDICT] [--from NAME] [--to NAME] [--path PREFIX] [--json] [--state DIR]",
  example: "cardea tap shop/orders --method POST",
  positional: { min: 1, max: 1 },
  flags: [
    ...FLOW_FILTER_FLAGS,
    { name: "json", value: null, summary: "one JSON object a line: began, ended, lost" },
    { name: "state", value: "DIR", summary: "state directory of the mesh" },
  ],
  async run(args, terminal) {
    const filter = parseTimelessFilter(args);
    const takes = flowMatcher(filter, "all");
    const { admin } = await findWorkload(await findStateDirectory(args.flag("state"), terminal), args.positional[0]!);
    const ended = new AbortController();
    terminal.onSignal(() => ended.abort());
    const call = { path: SIDECAR_TAP_PATH, silenceMs: SILENCE_MS, signal: ended.signal };
    for await (const line of readHttpLines(admin, call)) {
      const event = parseTapEvent(line);
      if (event === null) continue;
      if (event.at === "began" && !takesBeginning(filter, event)) continue;
      if (event.at === "ended" && !takes(event.flow)) continue;
      terminal.stdout(args.isSet("json") ? line : formatTapEvent(event, terminal.colour));
    }
    if (!ended.signal.aborted) throw new CardeaError("unreachable", "the sidecar has ended");
    return 0;
  },
};

/** `orders`, `shop/orders` or `orders.shop`. Errors: `unreachable` when no mesh runs, `bad-input` when it is not in it. */
async function findWorkload(paths: StatePaths, name: string): Promise<RunningService> {
  const run = await readRunFile(paths);
  if (run === null || run.up === null)
    throw new CardeaError("unreachable", `no mesh runs in ${paths.directory}; start it: cardea up`);
  const services = [...run.services, ...(await readJoinedServices(paths))];
  const found = services.filter((each) =>
    [each.name, `${each.namespace}/${each.name}`, `${each.name}.${each.namespace}`].includes(name),
  );
  const [first, another] = found;
  if (first === undefined || another !== undefined) {
    const names = services.map((each) => `${each.namespace}/${each.name}`).join(", ");
    const what = first === undefined ? "no" : "more than one";
    throw new CardeaError("bad-input", `${what} workload here is called ${JSON.stringify(name)}: ${names}`);
  }
  return first;
}
