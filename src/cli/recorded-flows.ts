import { readLines } from "../io/lines.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { parseFlowLine } from "../observe/flow-line.ts";
import { compilePolicy, type CompiledPolicy } from "../policy/compile.ts";
import { type Decision, decideAndObserve } from "../policy/decide.ts";
import type { AuthorizationPolicy } from "../policy/document.ts";
import type { Question } from "../policy/facts.ts";
import type { MeshSettings } from "../policy/mesh-settings.ts";
import type { Observation } from "../policy/observation.ts";
import { questionOf } from "../control/map/flow-replay.ts";

/** A recorded flow, and what it asked the policies. */
export interface RecordedFlow {
  readonly flow: FlowRecord;
  readonly question: Question;
}

/** Lines that were read so far. */
export interface FlowTally {
  read: number;
  /** They say nothing of a decision, or are damaged. */
  skipped: number;
}

/**
 * What the called workloads' sidecars recorded, of all files. `takes` leaves flows out beforehand. Errors: `bad-input` for a
 * file that cannot be read.
 */
export async function* recordedFlows(
  files: readonly string[],
  settings: MeshSettings,
  tally: FlowTally,
  takes: (flow: FlowRecord) => boolean = () => true,
): AsyncIterable<RecordedFlow> {
  for (const file of files) {
    for await (const line of readLines(file)) {
      if (line.trim() === "") continue;
      const flow = parseFlowLine(line);
      const question = flow === null || flow.reporter === "source" || !takes(flow) ? null : questionOf(flow, settings);
      if (flow === null || question === null) {
        tally.skipped += 1;
        continue;
      }
      tally.read += 1;
      yield { flow, question };
    }
  }
}

/** Answers questions about a set of documents. */
export type FlowDecider = (question: Question) => {
  readonly decision: Decision;
  readonly observation: Observation | null;
};

/** A file of flows asks the same few workloads again and again: each is compiled once. */
export function createFlowDecider(documents: readonly AuthorizationPolicy[]): FlowDecider {
  const compiled = new Map<string, CompiledPolicy>();
  return ({ workload, settings, peer, request }) => {
    const labels = Object.entries(workload.labels).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const key = JSON.stringify([workload.namespace, labels]);
    const policy = compiled.get(key) ?? compilePolicy(documents, workload, settings);
    compiled.set(key, policy);
    return decideAndObserve(policy, peer, request);
  };
}

/** Kinds of flows that are told apart; what lies beyond is passed over. */
const KINDS_MAX = 10_000;

/** Flows that are alike to people, counted under their first. */
export class FlowKinds<T> {
  readonly #kinds = new Map<string, { readonly of: T; readonly example: FlowRecord; count: number }>();

  /** `kind` tells apart what caller, destination, method and path do not. */
  add(kind: string, flow: FlowRecord, of: T): void {
    const { source, destination, method, path } = flow;
    const { namespace, workload, port } = destination;
    const key = JSON.stringify([kind, source.principal, namespace, workload, port, method, path]);
    const known = this.#kinds.get(key);
    if (known !== undefined) known.count += 1;
    else if (this.#kinds.size < KINDS_MAX) this.#kinds.set(key, { of, example: flow, count: 1 });
  }

  /** The most frequent first. */
  all(): readonly { readonly of: T; readonly example: FlowRecord; readonly count: number }[] {
    return [...this.#kinds.values()].toSorted((a, b) => b.count - a.count);
  }
}

/** `spiffe://… → shop/orders:8080 GET /orders`. */
export function flowWords({ source, destination, method, path }: FlowRecord): string {
  const caller = source.principal ?? `${source.ip} without an identity`;
  const name = `${destination.namespace ?? "?"}/${destination.workload ?? destination.ip}:${destination.port}`;
  return `${caller} → ${method === null ? name : `${name} ${method} ${path ?? ""}`}`;
}
