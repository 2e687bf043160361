import type { FlowRecord } from "../observe/flow.ts";
import type { Decision } from "../policy/decision.ts";
import type { AuthorizationPolicy } from "../policy/document.ts";
import type { Question } from "../policy/facts.ts";
import type { MeshSettings } from "../policy/mesh-settings.ts";
import { selectPolicies } from "../policy/select.ts";
import { createFlowDecider, FlowKinds, recordedFlows } from "./recorded-flows.ts";

/** What recorded flows would come to. */
export interface FlowFlips {
  /** Flows that the called workload's own sidecar recorded. */
  readonly read: number;
  /** Lines that say nothing of a decision, or are damaged. */
  readonly skipped: number;
  /** Flows that hang on what no record carries. */
  readonly untold: { readonly count: number; readonly missing: readonly string[] };
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

/** Decides every recorded flow by both sets. Null without a file. Errors: `bad-input` for one that cannot be read. */
export async function flippedFlows(
  files: readonly string[],
  sets: {
    readonly before: readonly AuthorizationPolicy[];
    readonly after: readonly AuthorizationPolicy[];
    readonly settings: MeshSettings;
    /** Whose tokens either set knows. */
    readonly issuers: readonly string[];
  },
): Promise<FlowFlips | null> {
  if (files.length === 0) return null;
  const decideBefore = createFlowDecider(sets.before);
  const decideAfter = createFlowDecider(sets.after);
  const kinds = new FlowKinds<Pick<FlippedFlow, "change" | "before" | "after">>();
  const tally = { read: 0, skipped: 0 };
  const untold = { count: 0, missing: new Set<string>() };
  const areSame = sameness(sets.before, sets.after);
  for await (const { flow, question } of recordedFlows(files, sets.settings, tally, sets)) {
    const [was, is] = [decideBefore(question), decideAfter(question)];
    const missing = [...new Set([...was.missing, ...is.missing])];
    if (missing.length > 0) {
      if (areSame(question)) continue;
      untold.count += 1;
      for (const each of missing) untold.missing.add(each);
      continue;
    }
    const [before, after] = [was.decision, is.decision];
    if (before.allow === after.allow) continue;
    const change = after.allow ? "newly-allowed" : "newly-denied";
    kinds.add(change, flow, { change, before, after });
  }
  return {
    ...tally,
    untold: { count: untold.count, missing: [...untold.missing] },
    flipped: kinds.all().map(({ of, ...kind }) => ({ ...of, ...kind })),
  };
}

/** Whether the very same policies select a question's workload in both sets: then it is decided alike, whatever is not recorded. */
function sameness(
  before: readonly AuthorizationPolicy[],
  after: readonly AuthorizationPolicy[],
): (question: Question) => boolean {
  const known = new Map<string, boolean>();
  return (question) => {
    const key = JSON.stringify(question.workload);
    const isSame = known.get(key) ?? textOf(before, question) === textOf(after, question);
    known.set(key, isSame);
    return isSame;
  };
}

function textOf(documents: readonly AuthorizationPolicy[], { workload, settings }: Question): string {
  return JSON.stringify(selectPolicies(documents, workload, settings.rootNamespace).map(({ raw }) => raw));
}
