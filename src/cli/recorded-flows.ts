import { isDeepStrictEqual } from "node:util";
import { readLines } from "../io/lines.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { parseFlowLine } from "../observe/flow-line.ts";
import { compilePolicy, type CompiledPolicy } from "../policy/compile.ts";
import { type Decision, decideAndObserve } from "../policy/decide.ts";
import type { AuthorizationPolicy } from "../policy/document.ts";
import type { Question } from "../policy/facts.ts";
import { missingFor } from "../policy/missing.ts";
import type { MeshSettings } from "../policy/mesh-settings.ts";
import type { Observation } from "../policy/observation.ts";
import { boundsOf } from "../policy/unrecorded.ts";
import { questionOf } from "../control/map/flow-replay.ts";

/** A recorded flow, and what it asked the policies. */
export interface RecordedFlow {
  readonly flow: FlowRecord;
  readonly question: Question;
}

/** Which flows are taken, and as what. */
interface Taken {
  readonly takes?: (flow: FlowRecord) => boolean;
  /** Whose tokens are known: where the names of their users begin. */
  readonly issuers?: readonly string[];
}

/** Lines that were read so far. */
export interface FlowTally {
  read: number;
  /** They say nothing of a decision, or are damaged. */
  skipped: number;
}

/**
 * What the called workloads' sidecars recorded, of all files. Errors: `bad-input` for a
 * file that cannot be read.
 */
export async function* recordedFlows(
  files: readonly string[],
  settings: MeshSettings,
  tally: FlowTally,
  { takes = () => true, issuers = [] }: Taken = {},
): AsyncIterable<RecordedFlow> {
  for (const file of files) {
    for await (const line of readLines(file)) {
      if (line.trim() === "") continue;
      const flow = parseFlowLine(line);
      const question =
        flow === null || flow.reporter === "source" || !takes(flow) ? null : questionOf(flow, settings, issuers);
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
export type FlowDecider = (question: Question) => FlowAnswer;

interface FlowAnswer {
  readonly decision: Decision;
  readonly observation: Observation | null;
  /** What of the question is not recorded and would tell whether it is allowed: then `decision` is one of two. Mostly empty. */
  readonly missing: readonly string[];
  /** False: what policies say that decide nothing hangs on it. */
  readonly isObservationKnown: boolean;
}

/** A file of flows asks the same few workloads again and again: each is compiled once. */
export function createFlowDecider(documents: readonly AuthorizationPolicy[]): FlowDecider {
  const decide = createDecider(documents);
  const bounds = boundsOf(documents);
  if (bounds === null) return (question) => ({ ...decide(question), missing: [], isObservationKnown: true });
  const decideStrictly = createDecider(bounds.strictest);
  const decideLeniently = createDecider(bounds.mostLenient);
  return (question) => {
    const answer = decide(question);
    if (question.request === null) return { ...answer, missing: [], isObservationKnown: true };
    const [strict, lenient] = [decideStrictly(question), decideLeniently(question)];
    const missing = strict.decision.allow === lenient.decision.allow ? [] : missingFor(documents, question);
    const isObservationKnown = isDeepStrictEqual(strict.observation, lenient.observation);
    // Where both come to one end, so does whatever is not recorded; which rule has its name there may hang on it.
    const decision = answer.decision.allow === strict.decision.allow ? answer.decision : strict.decision;
    return { ...answer, decision, missing, isObservationKnown };
  };
}

function createDecider(documents: readonly AuthorizationPolicy[]) {
  const compiled = new Map<string, CompiledPolicy>();
  return ({ workload, settings, peer, request }: Question) => {
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
