import { CardeaError } from "../core/errors.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { isCutText } from "../observe/json-text.ts";
import type { Observation } from "../policy/analysis/suggest.ts";
import type { MeshSettings } from "../policy/mesh-settings.ts";
import { type FlowTally, recordedFlows } from "./recorded-flows.ts";

/** Kinds of request that are kept; a file with more of them was not taken of services that people wrote. */
const KINDS_MAX = 200_000;

/** What was let through, as the called workloads' own sidecars saw it, alike ones as one. `would-deny` was let through in AUDIT. */
export async function observeFlows(
  files: readonly string[],
  settings: MeshSettings,
  tally: FlowTally,
): Promise<readonly Observation[]> {
  const kinds = new Map<string, Observation>();
  for await (const { flow, question } of recordedFlows(files, settings, tally, { takes: wasLetThrough })) {
    const { workload, peer, request } = question;
    const asked = request === null ? null : { method: request.method, path: request.path };
    const times = { firstMs: flow.timeMs, lastMs: flow.timeMs };
    const seen = {
      principal: peer.principal,
      workload,
      port: peer.destinationPort,
      request: asked,
      count: 1,
      ...times,
    };
    addObservation(kinds, seen);
  }
  return [...kinds.values()];
}

/** Observations that differ in nothing but their time are one. Errors: `bad-input` for too many kinds. */
export function addObservation(kinds: Map<string, Observation>, seen: Observation): void {
  const { principal, workload, port, request } = seen;
  const key = JSON.stringify([principal, workload.namespace, workload.labels, port, request?.method, request?.path]);
  const known = kinds.get(key);
  if (known === undefined && kinds.size >= KINDS_MAX)
    throw new CardeaError("bad-input", `there are more than ${KINDS_MAX} kinds of request: give fewer at a time`);
  const count = (known?.count ?? 0) + seen.count;
  const firstMs = Math.min(known?.firstMs ?? seen.firstMs, seen.firstMs);
  kinds.set(key, { ...seen, count, firstMs, lastMs: Math.max(known?.lastMs ?? seen.lastMs, seen.lastMs) });
}

function wasLetThrough({ verdict, path }: FlowRecord): boolean {
  return (verdict === "allowed" || verdict === "would-deny") && !(path !== null && isCutText(path));
}
