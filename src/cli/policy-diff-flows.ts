import { readLines } from "../io/lines.ts";
import { parseFlowLine } from "../observe/flow-line.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { compilePolicy, type CompiledPolicy } from "../policy/compile.ts";
import { type Decision, decideRequest, decideTcp } from "../policy/decide.ts";
import type { AuthorizationPolicy } from "../policy/document.ts";
import type { Question } from "../policy/facts.ts";
import type { MeshSettings } from "../policy/mesh-settings.ts";
import { questionOf } from "./flow-replay.ts";

/** What recorded flows would come to. */
export interface FlowFlips {
  /** Flows that a policy decided, by the called workload's own sidecar. */
  readonly read: number;
  /** Lines that say nothing of a decision, or are damaged. */
  readonly skipped: number;
  readonly flipped: readonly FlippedFlow[];
}

/** Flows of one caller to one destination with one method and path that flip. */
export interface FlippedFlow {
  readonly change: "newly-allowed" | "newly-denied";
  readonly count: number;
  readonly example: FlowRecord;
  readonly before: Decision;
  readonly after: Decision;
}

/** Kinds of flows that are told apart; what lies beyond is counted under the last. */
const KINDS_MAX = 10_000;

/** Decides every recorded flow by both sets. Null without a file. Errors: `bad-input` for one that cannot be read. */
export async function flippedFlows(
  files: readonly string[],
  sets: {
    readonly before: readonly AuthorizationPolicy[];
    readonly after: readonly AuthorizationPolicy[];
    readonly settings: MeshSettings;
  },
): Promise<FlowFlips | null> {
  if (files.length === 0) return null;
  const decideBefore = createDecider(sets.before);
  const decideAfter = createDecider(sets.after);
  const found = new Map<string, FlippedFlow>();
  let [read, skipped] = [0, 0];
  for (const file of files) {
    for await (const line of readLines(file)) {
      if (line.trim() === "") continue;
      const flow = parseFlowLine(line);
      const question = flow === null || flow.reporter === "source" ? null : questionOf(flow, sets.settings);
      if (flow === null || question === null) {
        skipped += 1;
        continue;
      }
      read += 1;
      const [before, after] = [decideBefore(question), decideAfter(question)];
      if (before.allow === after.allow) continue;
      const change = after.allow ? "newly-allowed" : "newly-denied";
      const key = keyOf(flow, change);
      const known = found.get(key);
      if (known === undefined && found.size >= KINDS_MAX) continue;
      found.set(
        key,
        known === undefined ? { change, count: 1, example: flow, before, after } : { ...known, count: known.count + 1 },
      );
    }
  }
  return { read, skipped, flipped: [...found.values()].toSorted((a, b) => b.count - a.count) };
}

function keyOf({ source, destination, method, path }: FlowRecord, change: string): string {
  return JSON.stringify([
    change,
    source.principal,
    destination.namespace,
    destination.workload,
    destination.port,
    method,
    path,
  ]);
}

/** A file of flows asks the same few workloads again and again. */
function createDecider(documents: readonly AuthorizationPolicy[]): (question: Question) => Decision {
  const compiled = new Map<string, CompiledPolicy>();
  return ({ workload, settings, peer, request }) => {
    const key = JSON.stringify([
      workload.namespace,
      Object.entries(workload.labels).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ]);
    const policy = compiled.get(key) ?? compilePolicy(documents, workload, settings);
    compiled.set(key, policy);
    return request === null ? decideTcp(policy, peer) : decideRequest(policy, peer, request);
  };
}
