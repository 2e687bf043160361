import { parsePolicyFiles } from "../config/policy-files.ts";
import { CardeaError } from "../core/errors.ts";
import { systemClock } from "../io/clock.ts";
import { questionOf } from "../policy/analysis/observed-question.ts";
import { type Observation, suggestPolicies, type Suggestion, writeSuggestion } from "../policy/analysis/suggest.ts";
import { decideQuestion } from "../policy/explain.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../policy/mesh-settings.ts";
import type { Command, ExitCode, ParsedArgs, Terminal } from "./command.ts";
import { addObservation, observeFlows } from "./flow-observations.ts";
import { readGround } from "./known-ground.ts";
import { reportUnused } from "./policy-unused.ts";
import { observeTraces } from "./trace-observations.ts";

/** Policies that allow what was seen and no more; and the other way round, grants that nothing needed. */
export const command: Command = {
  name: "policy suggest",
  summary:
    "the least that allows recorded flows or traces, as policies with their evidence; or grants that nothing used",
  usage:
    "cardea policy suggest [--flows FILE]... [--traces FILE]... [--mesh FILE] [--namespace NAME] [--policies PATH --unused-since DAYS] [--json]",
  example: "cardea policy suggest --flows ~/.local/state/cardea/local/flows/shop.orders.jsonl",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "flows", value: "FILE", repeat: true, summary: "recorded flows (JSON lines), of every called workload" },
    { name: "traces", value: "FILE", repeat: true, summary: "traces: Jaeger's or OTLP's JSON, also packed by gzip" },
    { name: "mesh", value: "FILE", summary: "mesh file or Kubernetes manifests: identities, labels and ports" },
    { name: "namespace", value: "NAME", summary: "of services whose spans name none", default: "default" },
    { name: "policies", value: "PATH", repeat: true, summary: "with --unused-since: the policies to look at" },
    { name: "unused-since", value: "DAYS", summary: "print the grants that nothing used for so many days" },
    { name: "json", value: null, summary: "one JSON object for each policy or grant, and the sum" },
  ],
  async run(args, terminal) {
    const [flows, traces, mesh] = [args.flags("flows"), args.flags("traces"), args.flag("mesh")];
    if (flows.length + traces.length === 0)
      throw new CardeaError("bad-input", `--flows or --traces is needed; usage: ${command.usage}`);
    const ground = mesh === undefined ? null : await readGround(mesh);
    const settings = ground?.settings ?? DEFAULT_MESH_SETTINGS;
    const tally = { read: 0, skipped: 0 };
    const kinds = new Map<string, Observation>();
    for (const seen of await observeFlows(flows, settings, tally)) addObservation(kinds, seen);
    const namespace = args.flag("namespace") ?? "default";
    const traced = await observeTraces(traces, { settings, workloads: ground?.workloads ?? null, namespace });
    for (const seen of traced.observations) addObservation(kinds, seen);
    tellTraced(traced, terminal);
    const seen = {
      observations: [...kinds.values()],
      settings,
      ...tally,
      read: tally.read + traced.observations.length,
    };
    const days = args.flag("unused-since");
    if (days === undefined) return suggest(seen, args, terminal);
    return reportUnused({ ...seen, days, nowMs: systemClock.wallMs() }, args, terminal);
  },
};

function tellTraced(
  { begun, unknown, refused }: Awaited<ReturnType<typeof observeTraces>>,
  { stderr }: Pick<Terminal, "stderr">,
): void {
  if (unknown.length > 0) stderr(`not among the workloads, and left out: ${unknown.join(", ")}`);
  if (begun > 0) stderr(`${begun} spans have no parent in the traces: who called there is not known, and not granted`);
  if (refused > 0) stderr(`${refused} calls have a path that a sidecar refuses, and are left out`);
}

interface Seen {
  readonly observations: readonly Observation[];
  readonly settings: MeshSettings;
  readonly read: number;
  readonly skipped: number;
}

function suggest({ observations, settings, read, skipped }: Seen, args: ParsedArgs, terminal: Terminal): ExitCode {
  const suggestions = suggestPolicies(observations, settings);
  const missed = missedBy(suggestions, observations, settings);
  if (args.isSet("json")) {
    for (const suggestion of suggestions) terminal.stdout(JSON.stringify({ kind: "policy", ...suggestion }));
    terminal.stdout(JSON.stringify({ kind: "summary", flows: read, skipped, missed }));
  } else {
    terminal.stdout(suggestions.map(writeSuggestion).join("---\n").trimEnd());
    const passed = `${skipped} lines passed over: denied, failed, of the caller's side, or damaged`;
    terminal.stderr(`${suggestions.length} policies allow ${read - missed} of ${read} flows; ${passed}`);
  }
  return missed > 0 || suggestions.length === 0 ? 1 : 0;
}

/** The suggestions are put before the engine with all that they were made of; what it denies was not understood. */
function missedBy(
  suggestions: readonly Suggestion[],
  observations: readonly Observation[],
  settings: MeshSettings,
): number {
  if (suggestions.length === 0) return 0;
  const text = suggestions.map(writeSuggestion).join("---\n");
  const { documents, faults } = parsePolicyFiles([{ path: "suggested", text }]);
  if (faults.length > 0) throw new Error(`a suggestion is not valid: ${faults[0]!.field}: ${faults[0]!.message}`);
  return observations
    .filter((observation) => !decideQuestion(documents, questionOf(observation, settings)).allow)
    .reduce((sum, { count }) => sum + count, 0);
}
