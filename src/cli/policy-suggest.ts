import { parsePolicyFiles } from "../config/policy-files.ts";
import { CardeaError } from "../core/errors.ts";
import { readLines } from "../io/lines.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { parseFlowLine } from "../observe/flow-line.ts";
import { isCutText } from "../observe/json-text.ts";
import { type Observation, suggestPolicies, type Suggestion, writeSuggestion } from "../policy/analysis/suggest.ts";
import { decideQuestion } from "../policy/explain.ts";
import type { MeshSettings } from "../policy/mesh-settings.ts";
import type { Command } from "./command.ts";
import { questionOf } from "./flow-replay.ts";
import { readMeshSettings } from "./policy-input.ts";

/** Policies that allow what was seen and no more. */
export const command: Command = {
  name: "policy suggest",
  summary: "the least that allows recorded flows, as policies, each rule with what it rests on",
  usage: "cardea policy suggest --flows FILE... [--mesh FILE] [--json]",
  example: "cardea policy suggest --flows ~/.local/state/cardea/local/flows/shop.orders.jsonl",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "flows", value: "FILE", repeat: true, summary: "recorded flows (JSON lines), of every called workload" },
    { name: "mesh", value: "FILE", summary: "mesh file, for its trust domain and root namespace" },
    { name: "json", value: null, summary: "one JSON object for each policy, and the sum" },
  ],
  async run(args, terminal) {
    const files = args.flags("flows");
    if (files.length === 0) throw new CardeaError("bad-input", `--flows is needed; usage: ${command.usage}`);
    const settings = await readMeshSettings(args.flag("mesh"));
    const seen = await observe(files, settings);
    const suggestions = suggestPolicies(
      [...seen.observations.values()].map(({ observation }) => observation),
      settings,
    );
    const missed = missedBy(suggestions, seen, settings);
    if (args.isSet("json")) {
      for (const suggestion of suggestions) terminal.stdout(JSON.stringify({ kind: "policy", ...suggestion }));
      terminal.stdout(JSON.stringify({ kind: "summary", flows: seen.read, skipped: seen.skipped, missed }));
    } else {
      terminal.stdout(suggestions.map(writeSuggestion).join("---\n").trimEnd());
      const passed = `${seen.skipped} lines passed over: denied, failed, of the caller's side, or damaged`;
      terminal.stderr(`${suggestions.length} policies allow ${seen.read - missed} of ${seen.read} flows; ${passed}`);
    }
    return missed > 0 || suggestions.length === 0 ? 1 : 0;
  },
};

interface Seen {
  readonly observations: Map<string, Kept>;
  read: number;
  skipped: number;
}

interface Kept {
  readonly observation: Observation;
  readonly example: FlowRecord;
}

/** Kinds of request that are kept; a file with more of them was not taken of services that people wrote. */
const KINDS_MAX = 200_000;

/** What was let through, as the called workload's own sidecar saw it. `would-deny` was let through in AUDIT. */
async function observe(files: readonly string[], settings: MeshSettings): Promise<Seen> {
  const seen: Seen = { observations: new Map(), read: 0, skipped: 0 };
  for (const file of files) {
    for await (const line of readLines(file)) {
      if (line.trim() === "") continue;
      const flow = parseFlowLine(line);
      const observation = flow === null ? null : observationOf(flow, settings);
      if (flow === null || observation === null) {
        seen.skipped += 1;
        continue;
      }
      seen.read += 1;
      add(seen, observation, flow);
    }
  }
  return seen;
}

function add({ observations }: Seen, observation: Observation, example: FlowRecord): void {
  const { principal, workload, port, request, firstMs } = observation;
  const key = JSON.stringify([principal, workload.namespace, workload.labels, port, request?.method, request?.path]);
  const known = observations.get(key)?.observation;
  if (known === undefined) {
    if (observations.size >= KINDS_MAX)
      throw new CardeaError(
        "bad-input",
        `the flows hold more than ${KINDS_MAX} kinds of request: give fewer at a time`,
      );
    observations.set(key, { observation, example });
    return;
  }
  const count = known.count + 1;
  const times = { firstMs: Math.min(known.firstMs, firstMs), lastMs: Math.max(known.lastMs, firstMs) };
  observations.set(key, { observation: { ...known, count, ...times }, example });
}

function observationOf(flow: FlowRecord, settings: MeshSettings): Observation | null {
  const wasLetThrough = flow.verdict === "allowed" || flow.verdict === "would-deny";
  if (flow.reporter === "source" || !wasLetThrough) return null;
  const question = questionOf(flow, settings);
  if (question === null || (flow.path !== null && isCutText(flow.path))) return null;
  const { workload, peer, request } = question;
  const times = { firstMs: flow.timeMs, lastMs: flow.timeMs };
  const asked = request === null ? null : { method: request.method, path: request.path };
  return { principal: peer.principal, workload, port: peer.destinationPort, request: asked, count: 1, ...times };
}

/** The suggestions are put before the engine with all that they were made of; what it denies was not understood. */
function missedBy(suggestions: readonly Suggestion[], { observations }: Seen, settings: MeshSettings): number {
  if (suggestions.length === 0) return 0;
  const text = suggestions.map(writeSuggestion).join("---\n");
  const { documents, faults } = parsePolicyFiles([{ path: "suggested", text }]);
  if (faults.length > 0) throw new Error(`a suggestion is not valid: ${faults[0]!.field}: ${faults[0]!.message}`);
  let missed = 0;
  for (const { observation, example } of observations.values()) {
    const question = questionOf(example, settings);
    if (question !== null && !decideQuestion(documents, question).allow) missed += observation.count;
  }
  return missed;
}
