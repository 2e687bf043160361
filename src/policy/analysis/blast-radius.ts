import type { KnownWorkload } from "./known-workload.ts";
import { type Edge, type PolicyGround, type Reach, reachBetween } from "./reach.ts";

/** What whoever holds a workload's identity can reach. */
export interface Blast {
  readonly workload: KnownWorkload;
  /** What it may call itself. */
  readonly direct: readonly Edge[];
  /** All that it can come to if each workload that it may call can be taken over in turn, nearest first. */
  readonly reached: readonly Reached[];
}

export interface Reached {
  readonly workload: KnownWorkload;
  /** Calls from one workload to the next; 1: directly. */
  readonly hops: number;
  /** The workload before it on a shortest way. */
  readonly via: KnownWorkload;
}

export interface BlastRadius {
  readonly blasts: readonly Blast[];
  /** Per cent of the other workloads that a breach of one can come to, on average over all; 0: nobody may call anybody. */
  readonly score: number;
  readonly unknown: Reach["unknown"];
}

export function blastRadiusOf(workloads: readonly KnownWorkload[], set: PolicyGround): BlastRadius {
  const { edges, unknown } = reachBetween(workloads, set);
  const byCaller = Map.groupBy(edges, ({ from }) => from);
  const blasts = workloads.map((workload) => ({
    workload,
    direct: byCaller.get(workload) ?? [],
    reached: reachedFrom(workload, byCaller),
  }));
  const reached = blasts.reduce((sum, blast) => sum + blast.reached.length, 0);
  const pairs = workloads.length * (workloads.length - 1);
  return { blasts, score: pairs === 0 ? 0 : (reached / pairs) * 100, unknown };
}

/** Breadth first, so each is found by a shortest way. */
export function reachedFrom(
  start: KnownWorkload,
  byCaller: ReadonlyMap<KnownWorkload, readonly Edge[]>,
): readonly Reached[] {
  const reached = new Map<KnownWorkload, Reached>();
  const queue: { workload: KnownWorkload; hops: number }[] = [{ workload: start, hops: 0 }];
  for (const { workload, hops } of queue) {
    for (const { to } of byCaller.get(workload) ?? []) {
      const next = to.workload;
      if (next === start || reached.has(next)) continue;
      reached.set(next, { workload: next, hops: hops + 1, via: workload });
      queue.push({ workload: next, hops: hops + 1 });
    }
  }
  return [...reached.values()];
}
