import type { FlowRecord } from "../observe/flow.ts";
import type { Decision } from "../policy/decision.ts";
import type { AuthorizationPolicy } from "../policy/document.ts";
import type { MeshSettings } from "../policy/mesh-settings.ts";
import { createFlowDecider, FlowKinds, recordedFlows } from "./recorded-flows.ts";

/** What recorded flows would come to. */
export interface FlowFlips {
  /** Flows that the called workload's own sidecar recorded. */
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
  const decideBefore = createFlowDecider(sets.before);
  const decideAfter = createFlowDecider(sets.after);
  const kinds = new FlowKinds<Pick<FlippedFlow, "change" | "before" | "after">>();
  const tally = { read: 0, skipped: 0 };
  for await (const { flow, question } of recordedFlows(files, sets.settings, tally)) {
    const [before, after] = [decideBefore(question).decision, decideAfter(question).decision];
    if (before.allow === after.allow) continue;
    const change = after.allow ? "newly-allowed" : "newly-denied";
    kinds.add(change, flow, { change, before, after });
  }
  return { ...tally, flipped: kinds.all().map(({ of, ...kind }) => ({ ...of, ...kind })) };
}
