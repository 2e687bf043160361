import { CardeaError } from "../core/errors.ts";
import { systemClock } from "../io/clock.ts";
import { createSystemRandom } from "../io/random.ts";
import { createSocketNetwork } from "../io/sockets.ts";
import { trustDomainOf, parseSpiffeId } from "../core/spiffe-id.ts";
import type { BreachTarget } from "./local/breach.ts";
import { playBreach } from "./local/breach-report.ts";
import { openFlowReader } from "./local/flow-reader.ts";
import { showAttempt } from "./local/show-attempt.ts";
import type { Command } from "./command.ts";
import { readRunFile, type RunFile, type RunningService } from "./run-file.ts";
import { findStateDirectory } from "./state-dir.ts";

/** Plays a breached web against the running sample mesh: what `up` does once, to be tried again after a policy change. */
export const command: Command = {
  name: "breach",
  summary: "play an attack on the running sample mesh: each attempt must be denied",
  usage: "cardea breach [--state DIR] [--json]",
  example: "cardea breach",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "state", value: "DIR", summary: "state directory of the mesh" },
    { name: "json", value: null, summary: "one JSON object an attempt" },
  ],
  async run(args, terminal) {
    const paths = await findStateDirectory(args.flag("state"), terminal);
    const run = await readRunFile(paths);
    if (run === null) throw new CardeaError("unreachable", `no mesh has its state in ${paths.directory}`);
    const shown = { terminal, isJson: args.isSet("json"), shownState: args.isSet("state") ? paths.directory : null };
    const flows = await openFlowReader(run.services.map((service) => service.flowFile));
    const reports = await playBreach(targetOf(run), flows, (report) => showAttempt(report, shown));
    return reports.every((report) => report.denied) ? 0 : 1;
  },
};

function targetOf(run: RunFile): BreachTarget {
  const web = serviceOf(run, "web", "shop");
  const payments = serviceOf(run, "payments", "payments").inbound[0];
  if (payments === undefined) throw new CardeaError("bad-input", "payments serves no port");
  return {
    outbound: web.outbound,
    payments: payments.listen,
    trustDomain: trustDomainOf(parseSpiffeId(web.principal)),
    network: createSocketNetwork(),
    clock: systemClock,
    random: createSystemRandom(),
  };
}

function serviceOf(run: RunFile, name: string, namespace: string): RunningService {
  const found = run.services.find((service) => service.name === name && service.namespace === namespace);
  if (found === undefined)
    throw new CardeaError("bad-input", `the mesh has no ${namespace}/${name}: the breach is of the sample mesh`);
  return found;
}
